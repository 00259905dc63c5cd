#include "engine/plane_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernels/runtime/platform.h"

namespace basin {

PixelRect PixelRect::grown(int margin, int image_height, int image_width) const {
  const auto before = [&](int from) { return int(std::max<int64_t>(0, int64_t(from) - margin)); };
  const auto behind = [&](int to, int side) { return int(std::min<int64_t>(side, int64_t(to) + margin)); };
  const int top = before(y), left = before(x);
  return {top, left, behind(y + height, image_height) - top, behind(x + width, image_width) - left};
}

PlaneFile::PlaneFile(const std::filesystem::path& path, int planes, int height, int width, size_t element, bool keep)
    : path_(path), planes_(planes), height_(height), width_(width), element_(element) {
  const int64_t bytes = place_of(planes, 0, 0);
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  struct stat found {};
  bool good = descriptor_ >= 0 && fstat(descriptor_, &found) == 0;
  kept_ = good && keep && found.st_size == bytes;
  if (good && !kept_) good = ftruncate(descriptor_, 0) == 0 && ftruncate(descriptor_, bytes) == 0;
  if (good) return;
  const int error = errno;
  if (descriptor_ >= 0) close(descriptor_);
  refuse(path.string(), ": cannot be written (", std::strerror(error), ")");
}

PlaneFile::~PlaneFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void PlaneFile::reopen() {
  close(descriptor_);
  descriptor_ = open(path_.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor_ < 0) refuse(path_.string(), ": cannot be opened again (", std::strerror(errno), ")");
}

void PlaneFile::check(int plane, const PixelRect& r) const {
  BASIN_CHECK(plane < planes_ && r.y >= 0 && r.x >= 0 && r.y + r.height <= height_ && r.x + r.width <= width_,
              "rectangle ", r.y, ", ", r.x, ", ", r.height, " x ", r.width);
}

int64_t PlaneFile::place_of(int plane, int y, int x) const {
  return ((int64_t(plane) * height_ + y) * width_ + x) * int64_t(element_);
}

void PlaneFile::read(int plane, const PixelRect& r, void* to) const {
  check(plane, r);
  auto* at = static_cast<std::byte*>(to);
  for (int y = r.y; y < r.y + r.height; ++y) {
    int64_t from = place_of(plane, y, r.x), left = int64_t(r.width) * int64_t(element_);
    while (left > 0) {
      const ssize_t n = pread(descriptor_, at, size_t(left), from);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) refuse(path_.string(), ": cannot be read (", n == 0 ? "it is truncated" : std::strerror(errno), ")");
      at += n, from += n, left -= n;
    }
  }
}

void PlaneFile::write(int plane, const PixelRect& r, const void* from, int64_t stride) {
  check(plane, r);
  for (int y = 0; y < r.height; ++y) {
    const auto* at = static_cast<const std::byte*>(from) + int64_t(y) * stride * int64_t(element_);
    int64_t to = place_of(plane, r.y + y, r.x), left = int64_t(r.width) * int64_t(element_);
    while (left > 0) {
      const ssize_t n = pwrite(descriptor_, at, size_t(left), to);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) refuse(path_.string(), ": cannot be written (", std::strerror(errno), ")");
      at += n, to += n, left -= n;
    }
  }
}

void PlaneFile::flush() {
  if (fdatasync(descriptor_) != 0) refuse(path_.string(), ": cannot be written (", std::strerror(errno), ")");
}

}  // namespace basin
