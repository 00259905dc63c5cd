#pragma once
// How much memory segmenting an image needs, and how an image that needs too much is divided.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/inference/views.h"
#include "tools/segmentation/segment_work.h"

namespace basin::tools {

/// Parses a number of bytes: "2G", "500M", "1.5 GB"; units are powers of 1000. Throws one sentence that begins with
/// `option`, also for less than a megabyte, because then the unit was probably forgotten.
int64_t parse_bytes(const std::string& option, const std::string& text);

/// An image that is segmented in blocks, and the memory for it.
struct LargePlan {
  int height = 0, width = 0;
  int64_t in_one_piece = 0;     // bytes that segmenting it in one piece would need
  int64_t limit = 0;            // bytes that may be used
  std::optional<double> scale;  // at which the network sees it, if a search for the scale is done
};

/// The sizes of an image at a scale.
struct LargeSizes {
  double scale;
  int height, width;                  // of the image
  int seen_height, seen_width;        // as the network sees it
  int decoded_height, decoded_width;  // of the maps that are decoded

  /// Throws like seen_size().
  LargeSizes(const Method&, int image_height, int image_width, double at_scale);
  int64_t pixels() const { return int64_t(height) * width; }
  int64_t seen_pixels() const { return int64_t(seen_height) * seen_width; }
  int64_t decoded_pixels() const { return int64_t(decoded_height) * decoded_width; }
  bool resizes_labels() const { return decoded_height != height || decoded_width != width; }
};

/// How an image is divided, and what that needs.
struct LargeBlocks {
  std::vector<ViewTile> tiles;
  int64_t fixed = 0;    // bytes for the program and for what is known of each object
  int64_t network = 0;  // bytes for a tile
  int bands = 0;        // how many times a band is held
  int64_t band = 0;     // bytes of the image that are held at a time
  int64_t window = 0;   // pixels of a block and its surroundings
  int64_t needed = 0;   // bytes of memory, at least, with bands of this size
  int64_t peak = 0;     // bytes of memory that are used
  int64_t left = 0;     // bytes of the limit besides `fixed`
  int64_t disk = 0;     // bytes

  /// `limit`: bytes of memory.
  LargeBlocks(const Work&, const LargeSizes&, int64_t limit);

  /// A limit that is enough to segment the image, in blocks or in one piece, whatever scale a search finds.
  int64_t enough_memory(const Work&, const LargePlan&) const;

 private:
  int64_t band_within(int64_t limit) const;
  int64_t needed_within(int64_t limit) const { return fixed + network + bands * band_within(limit); }
  /// The smallest limit that suffices for blocks.
  int64_t least_limit() const;
};

/// Whether the network sees all views of an image.
bool sees_views(const Work&);

/// Bytes that an image may need: Work::max_memory, or by default half of the free memory, shared by the processes of
/// this machine.
int64_t memory_limit(const Work&);

/// Bytes for a reader: "500 MB", "1.5 GB".
std::string in_bytes(int64_t bytes);

/// Megabytes, rounded up.
int64_t megabytes(int64_t bytes);

/// Images of at least so many pixels are segmented by several ranks together.
constexpr int64_t min_pixels_for_ranks = 16'000'000;

/// Plans to segment an image in blocks if it needs more memory in one piece than the limit, which is Work::max_memory,
/// or by default half of the free memory. Returns nothing if it needs less, or if its format can only be read as a
/// whole. If the run needs the whole image for another reason, returns nothing if the limit is the default, and
/// otherwise throws one sentence with the reason. If there are several ranks, which segment blocks of an image
/// together, blocks are also planned for images of at least min_pixels_for_ranks that fit into the memory.
/// `found_scale`: the result of the search for the scale, if it is done.
std::optional<LargePlan> plan_large(const Work&, const std::filesystem::path&, const StackPlanes&,
                                    std::optional<double> found_scale = {});

/// Throws one sentence with advice if segmenting an image that has been read, or each plane of a stack, in one piece
/// needs more memory than Work::max_memory, or without that limit more than the `available` bytes (which include those
/// of the image). Without that limit, warns on stderr if it needs more than half of these.
void check_memory(const Work&, const std::string& name, const StackPlanes&, const Image&, double scale,
                  int64_t available);

}  // namespace basin::tools
