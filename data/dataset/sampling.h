#pragma once
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "data/dataset/placement.h"

namespace basin {

/// How a method's training samples are cut from images.
struct Sampling {
  enum class Kind {
    /// A window at random, within the image where that is large enough; otherwise within the image and
    /// ceil((crop - side) / 2) zeros on each side.
    crop,
    /// A window about the centroid of an object drawn at random, moved into the image; mirrored beyond a smaller one.
    /// Any object of the training set is as likely as another, and an epoch has as many samples as
    /// there are objects.
    object_crop,
    /// The image about a random centre, scaled so that 0.6 to 1.3 of its larger side fills the sample, flipped left to
    /// right with p = 1/2; zeros beyond it.
    affine,
    /// The whole image, its aspect ignored.
    resize
  };
  Kind kind = Kind::crop;
  int min_object_pixels = 0;  // an object that shows fewer in a sample, margin counted, is left out of it
  int min_objects = 0;        // images with fewer are left out of training

  /// Whether the ids of a sample are renumbered to 1..n: always but for crops that leave nothing out.
  bool renumbers() const { return kind != Kind::crop || min_object_pixels > 0; }
};

/// What decides which image a sample is of. `images`: an epoch takes each image once, in a random order; with weights
/// that differ, each image in proportion to its weight, rounded up or down at random. `objects`: half the samples are
/// crops at random of an image drawn by weight. For the other half an object is drawn, first its size class (areas from
/// 2^k to 2^(k+1) pixels), each that there is with equal chance, then one of the class by weight, and the crop is one
/// at random that its centroid is in. So neither few large objects among many small ones are lost, nor images with many
/// objects among empty ones, nor background.
enum class DrawBy { images, objects };
DrawBy parse_draw_by(const std::string&);
std::string to_string(DrawBy);

struct SamplerOptions {
  Sampling sampling;
  DrawBy draw_by = DrawBy::images;  // objects: for crops alone
  int64_t draws = 0;                // samples of an epoch; 0: draws_per_epoch()
  int crop = 256;
  uint64_t seed = 0;
};

/// How many samples an epoch has where nobody asks for another number: one for each image, of object crops one for
/// each object.
int64_t draws_per_epoch(const std::vector<Example>&, const Sampling&);

/// Decides what each sample of each epoch is of, as a function of (seed, epoch, position) alone. May be used by several
/// threads at once.
class Sampler {
 public:
  /// `examples` must outlive it. Throws where no image is left to draw, or no object where objects are drawn.
  Sampler(const std::vector<Example>& examples, const SamplerOptions&);

  int64_t draws() const { return draws_; }
  /// The images of an epoch in their order, which choose() reads; empty where they are drawn one by one.
  void order(int64_t epoch, std::vector<int>& images) const;

  struct Choice {
    int image;
    int object = -1;  // that the sample is about, in a list of the sampler's own
  };
  /// `random`: the sample's own, which place() then goes on with.
  Choice choose(const std::vector<int>& order, uint64_t position, Random& random) const;
  /// Where the sample comes from, if the image is to appear `scale` times as large.
  Placement place(const Choice&, float scale, Random& random) const;

 private:
  struct Object {
    int image;
    double y, x;  // centroid
    int64_t pixels;
  };
  void find_objects();

  const std::vector<Example>& examples_;
  SamplerOptions options_;
  int64_t draws_;
  std::vector<int> images_;             // that may be drawn
  bool weighted_ = false;               // their weights differ
  std::vector<double> image_weights_;   // sums of the weights of images_ up to each
  std::vector<Object> objects_;         // by size class where objects are drawn
  std::vector<size_t> class_begin_;     // in objects_; the last is their number
  std::vector<double> object_weights_;  // sums of the weights up to each within its class
};

}  // namespace basin
