#pragma once
// The files of an image that is segmented in blocks because it may be larger than memory.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine/plane_file.h"
#include "models/inference/large_image.h"
#include "tools/results/result_files.h"

namespace basin::tools {

/// The labels of the whole image in a scratch file, numbered as after dropping objects.
class LargeLabels {
 public:
  LargeLabels(const PlaneFile& file, std::vector<int32_t> numbers, int count)
      : file_(file), numbers_(std::move(numbers)), count_(count) {}

  int count() const { return count_; }
  bool is_wide() const { return count_ > 65535; }

  /// Every step-th pixel of every step-th row, from pixel (step y, step x) on.
  template <class T>
  void read(int step, const PixelRect& r, T* to) const {
    std::vector<int32_t> row(size_t(r.width - 1) * size_t(step) + 1);
    for (int y = 0; y < r.height; ++y) {
      file_.read(0, {(r.y + y) * step, r.x * step, 1, int(row.size())}, row.data());
      for (int x = 0; x < r.width; ++x)
        *to++ = T(numbers_[size_t(row[size_t(x) * size_t(step)])]);
    }
  }

 private:
  const PlaneFile& file_;
  std::vector<int32_t> numbers_;  // of objects 0, 1, ... of the file
  int count_;
};

/// Writes those files of `save` that can be written part by part (labels, zarr, overlay and outlines), and keeps them.
/// At most `max_bytes` of the image are in memory at a time.
void write_large_results(const std::set<std::string>& save, const LargeImage&, const LargeLabels&, int64_t max_bytes,
                         ImageFiles&);

}  // namespace basin::tools
