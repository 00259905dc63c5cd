#pragma once
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/objects/drop_objects.h"
#include "data/objects/measure.h"
#include "data/objects/outlines.h"
#include "engine/json_fwd.h"
#include "models/method.h"
#include "tools/results/result_files.h"

namespace basin::tools {

/// The objects of one image, with what can be computed from them on demand.
class Results {
 public:
  std::filesystem::path path;                // of the image, or without one of the labels
  const Image* image = nullptr;              // as read; null: unknown
  const Labels* labels = nullptr;            // never null when it is saved
  const Planes* planes = nullptr;            // the whole masks of the objects; null: they share no pixels
  std::optional<std::vector<float>> scores;  // of the objects; none if the method gives none
  std::vector<float> foreground;             // probability of each pixel; empty: unknown
  std::vector<float> field;                  // [2, height, width], x and y, in the network's pixels; empty: unknown
  bool tiff = false;                         // the label image is a TIFF, with the image's pixel size

  const Outlines& outlines() const;
  /// Shapes and values in pixels, and in micrometres if the image's pixel size is known.
  const ObjectTable& table() const;
  /// A score of each object: the method's, or that of scores_of().
  std::vector<float> object_scores() const;

 private:
  const Measurements& measurements() const;

  mutable std::optional<Outlines> outlines_;
  mutable std::optional<Measurements> measurements_;
  mutable std::optional<ObjectTable> table_;
};

/// One kind of file that --save can name.
struct Saver {
  /// What the saver needs. image: the image and the labels. foreground: a foreground probability. scores: scores of the
  /// method, or a foreground probability. masks: the masks of a method whose objects may share pixels.
  enum class Needs { labels, image, foreground, field, scores, masks };

  const char* kind;
  Needs needs;
  std::vector<std::string> endings;  // of the names that its file may have; .tif for stacks
  const char* (*suffix)(const Results&);
  void (*write)(const std::filesystem::path&, const Results&);
};
/// All of them: labels, scores, instances, zarr, ome, overlay, outlines, rois, geojson, csv, npy, probability, flow.
const std::vector<Saver>& savers();

/// The ending of the label image: .png, or .tif if it is wanted or has more numbers than a PNG can hold.
const char* labels_suffix(const Results&);

/// Whether a method produces what a saver needs.
bool can_save(const Saver&, const Method&);

/// Probabilities as 8-bit grey, 255 for 1.
Image probability_picture(int height, int width, const std::vector<float>& probability);

/// Writes the files of these kinds; other names are ignored.
void save_results(const std::set<std::string>& kinds, const Results&, ImageFiles&);

/// "12 objects (dropped 3 smaller than 15 px, 1 at the edge)"
std::string describe_objects(int64_t objects, const ObjectFilter&, const Dropped&);

/// The numbers of dropped objects by reason, for run.json.
Json to_json(const Dropped&);

}  // namespace basin::tools
