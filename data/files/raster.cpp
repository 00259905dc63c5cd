#include "data/files/raster.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "data/arrays/zarr.h"
#include "data/files/decoders.h"
#include "data/files/foreign.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;

namespace {

enum class Format { none, png, tiff, jpeg, bmp, zarr };

Format format_of(const fs::path& path) {
  if (is_zarr(path)) return Format::zarr;
  unsigned char head[8] = {};
  const File file = open_file(path);
  const size_t n = std::fread(head, 1, sizeof head, file.get());
  (void)n;  // a shorter file leaves zeros, which match no known format
  const auto begins = [&](const char* magic, size_t size) { return std::memcmp(head, magic, size) == 0; };
  if (begins("\x89PNG\r\n\x1a\n", 8)) return Format::png;
  for (const char* magic : {"II*\0", "MM\0*", "II+\0", "MM\0+"})
    if (begins(magic, 4)) return Format::tiff;
  if (begins("\xff\xd8\xff", 3)) return Format::jpeg;
  return begins("BM", 2) ? Format::bmp : Format::none;
}

/// Calls f(); out of memory is reported like any other error of the file.
template <class F>
auto within_memory(const fs::path& path, F f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    refuse(path.string(), ": does not fit into this machine's memory");
  }
}

Decoded decode_single(const fs::path& path, Format format) {
  switch (format) {
    case Format::png:
      return read_png(path);
    case Format::jpeg:
      return read_jpeg(path);
    case Format::bmp:
      return read_bmp(path);
    default:
      refuse(path.string(), ": ", foreign_kind(path));
  }
}

/// Whether files of this format may contain several images.
bool holds_stacks(Format format) { return format == Format::tiff || format == Format::zarr; }

/// The stack in a file of a format that holds stacks.
Stack stack_in(const fs::path& path, Format format, const PlaneChoice& choice) {
  return format == Format::zarr ? zarr_stack(path, choice) : tiff_stack(path, choice);
}

/// Decodes the images with the numbers in `planes`, in that order, and calls f with each; of each only `part`, unless
/// its height is 0.
void read_images(const fs::path& path, Format format, const PlaneChoice& choice, const std::vector<int64_t>& planes,
                 const PixelRect& part, const std::function<void(Decoded)>& f) {
  format == Format::zarr ? read_zarr_planes(path, choice, planes, part, f)
                         : read_tiff_planes(path, choice, planes, part, f);
}

/// The format of a file, in which --series must have a meaning if it is given.
Format format_for(const fs::path& path, const PlaneChoice& choice) {
  const Format format = format_of(path);
  if (!holds_stacks(format) && !choice.series.empty())
    refuse(path.string(), ": --series ", choice.series,
           " is for OME-Zarr stores and OME-TIFF files with several images");
  return format;
}

/// The chosen images of a stack, as stored.
std::vector<Decoded> decode(const fs::path& path, const PlaneChoice& choice, const PixelRect& part, Stack& stack) {
  std::vector<Decoded> all;
  const Format format = format_for(path, choice);
  if (!holds_stacks(format)) {
    if (part.height > 0)
      refuse(path.string(),
             ": is too large to be read as a whole, as its format requires; save it as TIFF or OME-Zarr");
    all.push_back(decode_single(path, format));
    stack.samples = int(all[0].pixels.shape[2]);
    (void)chosen_images(stack, choice, path.string());
    return all;
  }
  stack = stack_in(path, format, choice);
  read_images(path, format, choice, chosen_images(stack, choice, path.string()), part,
              [&](Decoded d) { all.push_back(std::move(d)); });
  return all;
}

/// The channels `kept` of an image.
Array with_channels(const fs::path& path, const Array& a, const std::vector<int>& kept) {
  Array out = allocate(path, a.type, a.shape[0], a.shape[1], int64_t(kept.size()));
  const size_t element = size_of(a.type), pixel = element * size_t(a.shape[2]);
  std::byte* to = out.bytes.data();
  for (size_t at = 0; at < a.bytes.size(); at += pixel)
    for (const int c : kept) {
      std::memcpy(to, a.bytes.data() + at + size_t(c) * element, element);
      to += element;
    }
  return out;
}

/// Combines images of one size as the channels of one image.
Array joined(const fs::path& path, const std::vector<Picture>& parts) {
  int64_t channels = 0;
  for (const Picture& p : parts) {
    if (p.pixels.type != parts[0].pixels.type || p.pixels.shape != parts[0].pixels.shape)
      refuse(path.string(), ": its channels differ in size or element type; save each as a separate file");
    channels += p.pixels.shape[2];
  }
  const Array& first = parts[0].pixels;
  Array out = allocate(path, first.type, first.shape[0], first.shape[1], channels);
  const size_t part = size_of(first.type) * size_t(first.shape[2]);
  std::byte* to = out.bytes.data();
  for (size_t at = 0; at < first.bytes.size(); at += part)
    for (const Picture& p : parts) {
      std::memcpy(to, p.pixels.bytes.data() + at, part);
      to += part;
    }
  return out;
}

void add_once(std::vector<std::string>& notes, const std::vector<std::string>& more) {
  for (const std::string& note : more)
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
}

/// The image whose channels these are: one with all channels, or one for each channel.
Picture picture_of(const fs::path& path, Purpose purpose, const PlaneChoice& choice, const Stack& stack,
                   std::vector<Decoded> channels) {
  Picture picture;
  picture.stack = stack;
  std::vector<Picture> parts;
  for (Decoded& d : channels) {
    d = purpose == Purpose::image ? as_intensities(path, std::move(d)) : as_labels(path, std::move(d));
    add_once(picture.notes, d.notes);
    parts.push_back({std::move(d.pixels), {}, {}});
  }
  picture.pixels = parts.size() == 1 ? std::move(parts[0].pixels) : joined(path, parts);
  picture.stack.height = picture.pixels.shape[0], picture.stack.width = picture.pixels.shape[1];
  if (parts.size() == 1 && !choice.channels.empty()) {
    Stack samples = picture.stack;
    samples.samples = int(picture.pixels.shape[2]);
    const std::vector<int> kept = chosen_samples(samples, choice, path.string());
    if (int(kept.size()) != samples.samples || !std::is_sorted(kept.begin(), kept.end()))
      picture.pixels = with_channels(path, picture.pixels, kept);
  }
  return picture;
}

}  // namespace

Picture read(const fs::path& path, Purpose purpose, const PlaneChoice& choice, const PixelRect& part) {
  return within_memory(path, [&] {
    Stack stack;
    std::vector<Decoded> channels = decode(path, choice, part, stack);
    return picture_of(path, purpose, choice, stack, std::move(channels));
  });
}

Stack stack_in(const fs::path& path, const PlaneChoice& choice) {
  const Format format = format_for(path, choice);
  return with_axes(holds_stacks(format) ? stack_in(path, format, choice) : Stack(), choice, path.string());
}

StackPlanes planes_in(const fs::path& path, const PlaneChoice& choice) {
  const Format format = format_for(path, choice);
  return planes_of(holds_stacks(format) ? stack_in(path, format, choice) : Stack(), choice, path.string());
}

void read_planes(const fs::path& path, const StackPlanes& planes, const PlaneChoice& choice,
                 const std::function<void(Picture)>& f) {
  within_memory(path, [&] {
    const Format format = format_for(path, choice);
    if (!holds_stacks(format)) return f(read(path, Purpose::image, choice));
    std::vector<int64_t> images;
    size_t channels = 1;
    for (int64_t k = 0; k < planes.count(); ++k) {
      const std::vector<int64_t> own = images_of_plane(planes, k, choice, path.string());
      channels = own.size();
      images.insert(images.end(), own.begin(), own.end());
    }
    std::vector<Decoded> plane;
    read_images(path, format, choice, images, {}, [&](Decoded d) {
      plane.push_back(std::move(d));
      if (plane.size() < channels) return;
      f(picture_of(path, Purpose::image, choice, planes.stack, std::exchange(plane, {})));
    });
  });
}

bool holds_series(const fs::path& path) {
  switch (format_of(path)) {
    case Format::zarr:
      return zarr_holds_series(path);
    case Format::tiff:
      return tiff_holds_series(path);
    default:
      return false;
  }
}

int64_t count_images(const fs::path& path, const PlaneChoice& choice) {
  const Format format = format_of(path);
  return holds_stacks(format) ? stack_in(path, format, choice).images : 1;
}

void for_each_image(const fs::path& path, const PlaneChoice& choice, const std::function<void(const Array&)>& f) {
  within_memory(path, [&] {
    const Format format = format_of(path);
    if (!holds_stacks(format)) return f(read(path, Purpose::labels, choice).pixels);
    std::vector<int64_t> all(size_t(stack_in(path, format, choice).images));
    std::iota(all.begin(), all.end(), 0);
    read_images(path, format, choice, all, {}, [&](Decoded d) { f(as_labels(path, std::move(d)).pixels); });
  });
}

}  // namespace basin::raster
