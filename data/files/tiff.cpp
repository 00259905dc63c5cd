// Reads TIFF: which images a file contains, and what their descriptions say. Only tiff_handle.h includes libtiff.
#include <algorithm>
#include <string_view>
#include <utility>

#include "data/files/decoders.h"
#include "data/files/library_versions.h"
#include "data/files/tiff_handle.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

constexpr uint32_t metamorph_planes = 33629;  // UIC2Tag: its count is the number of planes

/// One image of the file, with the few tags that tell what it is.
struct Entry {
  uint64_t offset;
  uint32_t height = 0, width = 0;
  bool reduced = false;
};

/// Whether a tag of the directory at `offset` that tells what the image is lies behind the end of the file, so that the
/// file is cut: libtiff passes over such a tag with a warning.
bool has_lost_tags(TIFF* tiff, uint64_t offset) {
  constexpr uint64_t tags[] = {TIFFTAG_IMAGEDESCRIPTION, TIFFTAG_XRESOLUTION, TIFFTAG_YRESOLUTION};
  const thandle_t file = TIFFClientdata(tiff);
  const uint64_t end = TIFFGetSizeProc(tiff)(file);
  const auto read = [&](std::vector<uint8_t>& bytes) {
    return TIFFGetReadProc(tiff)(file, bytes.data(), tmsize_t(bytes.size())) == tmsize_t(bytes.size());
  };
  const auto number_at = [&](const uint8_t* p, size_t bytes) {
    uint64_t number = 0;
    for (size_t k = 0; k < bytes; ++k)
      number = number << 8 | p[TIFFIsBigEndian(tiff) ? k : bytes - 1 - k];
    return number;
  };
  const size_t wide = TIFFIsBigTIFF(tiff) ? 8 : 4;  // bytes of an offset
  std::vector<uint8_t> count(wide == 8 ? 8 : 2), entry(4 + 2 * wide);
  if (TIFFGetSeekProc(tiff)(file, offset, SEEK_SET) != offset || !read(count)) return false;
  for (uint64_t left = number_at(count.data(), count.size()); left > 0 && read(entry); --left) {
    const uint64_t tag = number_at(&entry[0], 2), values = number_at(&entry[4], wide);
    const int bytes = TIFFDataWidth(TIFFDataType(number_at(&entry[2], 2)));
    if (std::find(std::begin(tags), std::end(tags), tag) == std::end(tags) || bytes <= 0) continue;
    if (values <= wide / uint64_t(bytes)) continue;  // they stand in the entry itself
    if (values > end / uint64_t(bytes) || number_at(&entry[4 + wide], wide) > end - values * uint64_t(bytes))
      return true;
  }
  return false;
}

/// An open file.
class Reader {
 public:
  Reader(const fs::path& path, const PlaneChoice& choice) : path_(path), name_(path.string()), options_(tiff_) {
    tiff_.handle = TIFFOpenExt(path.c_str(), "rm", options_.options);
    if (!tiff_.handle) refuse(name_, ": is a truncated or damaged TIFF file (", tiff_.reason(), ")");
    list_images();
    if (has_lost_tags(tiff_.handle, entries_[0].offset))
      refuse(name_, ": is a truncated TIFF file (its description or resolution is missing)");
    keep_series(choice);
    leave_out_copies();
    describe();
  }

  const Stack& stack() const { return stack_; }

  /// Reads image k, or a part of it unless its height is 0.
  Decoded read(int64_t k, const PixelRect& part) {
    const bool behind = entries_.size() == 1 && k > 0;
    if (!behind && k >= int64_t(entries_.size()))
      refuse(name_, ": is a truncated or damaged TIFF file (image ", k + 1, " of its stack is missing)");
    if (!TIFFSetSubDirectory(tiff_.handle, entries_[behind ? 0 : size_t(k)].offset))
      refuse(name_, ": is a truncated or damaged TIFF file (", tiff_.reason(), ")");
    Decoded d;
    const TiffLayout l = read_layout(tiff_.handle, path_, d.notes);
    d.is_part = part.height > 0;
    if (d.is_part && behind)
      refuse(name_, ": is too large for a file with several images that share a directory; save it with its own one");
    BASIN_CHECK(int64_t(part.y) + part.height <= l.height && int64_t(part.x) + part.width <= l.width, "part ", part.y,
                ", ", part.x, " of ", part.height, " x ", part.width);
    const bool is_sparse = !behind && note_missing(tiff_.handle, l, path_, d.notes);
    d.pixels = allocate(path_, l.type, d.is_part ? part.height : l.height, d.is_part ? part.width : l.width,
                        int64_t(l.kept.size()), is_sparse);
    *tiff_.message = '\0';  // messages about tags do not mean damaged pixels
    if (behind)
      read_behind(tiff_.handle, l, k, path_, d.pixels);
    else
      read_chunks(tiff_, l, path_, uint32_t(part.y), uint32_t(part.x), d.pixels);
    if (l.is_packed()) d.bits = l.bits;
    if (l.photometric == PHOTOMETRIC_PALETTE) read_palette(tiff_.handle, l, name_, d);
    d.white_is_zero = l.photometric == PHOTOMETRIC_MINISWHITE && !(tifffile_ && l.bits == 1);
    d.orientation = l.orientation;
    d.lossy = loses(tiff_.handle, l.compression);
    d.imagej = imagej_;
    d.notes.insert(d.notes.end(), stack_.notes.begin(), stack_.notes.end());
    return d;
  }

 private:
  void list_images() {
    do {
      Entry e{TIFFCurrentDirOffset(tiff_.handle)};
      uint32_t kind = 0;
      uint16_t old_kind = 0;
      TIFFGetField(tiff_.handle, TIFFTAG_IMAGEWIDTH, &e.width);
      TIFFGetField(tiff_.handle, TIFFTAG_IMAGELENGTH, &e.height);
      TIFFGetField(tiff_.handle, TIFFTAG_SUBFILETYPE, &kind);
      TIFFGetField(tiff_.handle, TIFFTAG_OSUBFILETYPE, &old_kind);
      e.reduced = (kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) || old_kind == OFILETYPE_REDUCEDIMAGE;
      entries_.push_back(e);
      *tiff_.message = '\0';
    } while (TIFFReadDirectory(tiff_.handle));
    if (*tiff_.message)
      refuse(name_, ": is a truncated or damaged TIFF file (its list of images is incomplete: ", tiff_.message, ")");
  }

  std::string description_of(const Entry& entry) {
    if (!TIFFSetSubDirectory(tiff_.handle, entry.offset))
      refuse(name_, ": is a truncated or damaged TIFF file (", tiff_.reason(), ")");
    const char* text = nullptr;
    return TIFFGetField(tiff_.handle, TIFFTAG_IMAGEDESCRIPTION, &text) && text ? text : "";
  }

  /// If the file contains several images of an OME data set, keeps the planes of the chosen one, in the order of its
  /// axes.
  void keep_series(const PlaneChoice& choice) {
    const std::string description = description_of(entries_[0]);
    const int64_t several = count_ome_series(description);
    if (several == 0 && !choice.series.empty())
      refuse(name_, ": --series ", choice.series, " is not one of its images; it has no OME description");
    if (several == 0 || (several == 1 && choice.series.empty())) return;
    std::optional<Stack> chosen = stack_of_ome(description, name_, choice);
    if (several == 1 || !chosen) return;  // described below
    series_ = std::move(chosen);
    std::vector<Entry> own;
    for (const int64_t image : std::exchange(series_->order, {})) {
      if (image < 0 || image >= int64_t(entries_.size()))
        refuse(name_, ": has fewer images than its OME description says");
      own.push_back(entries_[size_t(image)]);
    }
    entries_ = std::move(own);
  }

  /// Keeps the full-resolution images: those not marked as reduced; if sizes differ, only the largest, provided that
  /// the others are copies of it at half its sides or less.
  void leave_out_copies() {
    const size_t all = entries_.size();
    if (std::any_of(entries_.begin(), entries_.end(), [](const Entry& e) { return !e.reduced; }))
      std::erase_if(entries_, [](const Entry& e) { return e.reduced; });
    const Entry largest = *std::max_element(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return uint64_t(a.height) * a.width < uint64_t(b.height) * b.width;
    });
    const auto is_copy = [&](const Entry& e) {
      const double down = double(largest.height) / std::max(1u, e.height),
                   across = double(largest.width) / std::max(1u, e.width);
      return down > 1.9 && across > 1.9 && std::abs(down / across - 1) < 0.05;
    };
    const auto is_largest = [&](const Entry& e) { return e.height == largest.height && e.width == largest.width; };
    if (std::all_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return is_largest(e) || is_copy(e); }))
      std::erase_if(entries_, is_copy);
    if (const size_t copies = all - entries_.size())
      stack_.notes.push_back(std::to_string(copies) +
                             (copies == 1 ? " reduced copy or mask is" : " reduced copies or masks are") + " left out");
    for (const Entry& e : entries_)
      if (!is_largest(e))
        refuse(name_, ": contains images of several sizes (", entries_[0].width, " x ", entries_[0].height, ", ",
               e.width, " x ", e.height, "); save each as a separate file");
  }

  /// The pixel size by the tags for printing, if it may be that of a microscope: photographs have 300 pixels per inch
  /// or the like there, which says nothing about what they show.
  void read_centimetres(double columns, double rows) {
    constexpr double um = 1e4;
    uint16_t unit = RESUNIT_INCH;
    TIFFGetFieldDefaulted(tiff_.handle, TIFFTAG_RESOLUTIONUNIT, &unit);
    if (unit == RESUNIT_CENTIMETER && columns > 0 && !is_print(um / columns))
      set_pixel_size(stack_, um / columns, rows > 0 ? um / rows : 0);
  }

  void describe() {
    const std::string description = description_of(entries_[0]);
    const char* software = nullptr;
    tifffile_ =
        TIFFGetField(tiff_.handle, TIFFTAG_SOFTWARE, &software) && std::string_view(software).starts_with("tifffile");
    uint16_t samples = 1, planar = PLANARCONFIG_CONTIG;
    TIFFGetFieldDefaulted(tiff_.handle, TIFFTAG_SAMPLESPERPIXEL, &samples);
    TIFFGetFieldDefaulted(tiff_.handle, TIFFTAG_PLANARCONFIG, &planar);
    float columns_per_unit = 0, rows_per_unit = 0;
    TIFFGetField(tiff_.handle, TIFFTAG_XRESOLUTION, &columns_per_unit);
    TIFFGetField(tiff_.handle, TIFFTAG_YRESOLUTION, &rows_per_unit);
    const std::vector<std::string> notes = std::exchange(stack_.notes, {});
    const int64_t images = int64_t(entries_.size());
    const auto fits = [&](const std::optional<Stack>& s) { return s && (s->images == images || images == 1); };
    if (series_) {
      stack_ = *series_;
    } else if (std::optional<Stack> imagej = stack_of_imagej(description, columns_per_unit, rows_per_unit)) {
      imagej_ = true;
      if (fits(imagej)) stack_ = *imagej;
    } else if (std::optional<Stack> ome = stack_of_ome(description, name_)) {
      if (ome->images != images)
        refuse(name_, ": contains ", images, " images, but its OME description announces ", ome->images,
               "; it is part of a larger data set, or damaged");
      stack_ = *ome;
    } else {
      std::optional<Stack> shaped = stack_of_tifffile(
          description, {entries_[0].height, entries_[0].width, samples, planar == PLANARCONFIG_SEPARATE});
      if (fits(shaped)) stack_ = *shaped;
      read_centimetres(columns_per_unit, rows_per_unit);
    }
    uint32_t planes = 0;
    const void* values = nullptr;
    if (images == 1 && TIFFGetField(tiff_.handle, metamorph_planes, &planes, &values) && planes > 1)
      stack_.axes = {{'I', planes}};
    complete(stack_);
    if (stack_.images == 1 && images > 1) stack_.axes = {{'I', images}}, complete(stack_);
    stack_.notes.insert(stack_.notes.begin(), notes.begin(), notes.end());
    stack_.height = entries_[0].height, stack_.width = entries_[0].width;
    stack_.samples = int(samples_without_alpha(tiff_.handle, samples).size());
    uint16_t photometric = PHOTOMETRIC_MINISBLACK;
    TIFFGetField(tiff_.handle, TIFFTAG_PHOTOMETRIC, &photometric);
    // Three interleaved grey samples count as colours, because many programs write RGB without saying so.
    const bool is_grey = photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE;
    stack_.colours = !is_grey || (planar == PLANARCONFIG_CONTIG && stack_.samples <= 3);
  }

  fs::path path_;
  std::string name_;
  Tiff tiff_;
  TiffOptions options_;
  std::vector<Entry> entries_;
  std::optional<Stack> series_;  // the chosen one of several
  Stack stack_;
  bool imagej_ = false;
  /// Written by Python's tifffile, which marks boolean arrays as 0 = white but does not invert them.
  bool tifffile_ = false;
};

}  // namespace

Stack tiff_stack(const fs::path& path, const PlaneChoice& choice) { return Reader(path, choice).stack(); }

bool tiff_holds_series(const fs::path& path) {
  Tiff tiff;
  TiffOptions options(tiff);
  tiff.handle = TIFFOpenExt(path.c_str(), "rm", options.options);
  const char* text = nullptr;
  return tiff.handle && TIFFGetField(tiff.handle, TIFFTAG_IMAGEDESCRIPTION, &text) && text &&
         count_ome_series(text) > 1;
}

void read_tiff_planes(const fs::path& path, const PlaneChoice& choice, const std::vector<int64_t>& planes,
                      const PixelRect& part, const std::function<void(Decoded)>& f) {
  Reader reader(path, choice);
  for (const int64_t k : planes)
    f(reader.read(k, part));
}

std::string tiff_version() {
  const std::string text = TIFFGetVersion();  // "LIBTIFF, Version 4.5.0", and the copyright on further lines
  const std::string line = text.substr(0, text.find('\n'));
  return "libtiff " + line.substr(line.rfind(' ') + 1);
}

}  // namespace basin::raster
