// Reads TIFF: which images a file contains, and what their descriptions say. Only tiff_handle.h includes libtiff.
#include <algorithm>
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

/// The tags of one image.
struct Layout {
  uint32_t height = 0, width = 0;
  uint16_t samples = 1, bits = 1, format = SAMPLEFORMAT_UINT, planar = PLANARCONFIG_CONTIG;
  uint16_t photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE, orientation = ORIENTATION_TOPLEFT;
  std::vector<uint16_t> kept;  // the samples other than alpha
  ElementType type = ElementType::u8;

  bool is_half() const { return format == SAMPLEFORMAT_IEEEFP && bits == 16; }
  bool is_packed() const { return bits != 8 && bits != 16 && bits != 32 && bits != 64; }
  /// Bytes of a row of `n` pixels with `of` samples each, as libtiff returns them.
  uint64_t row_bytes(uint64_t n, uint64_t of) const { return (n * of * bits + 7) / 8; }
};

std::string compression_name(uint16_t code) {
  static const std::map<uint16_t, const char*> names = {{COMPRESSION_CCITTRLE, "CCITT RLE"},
                                                        {COMPRESSION_CCITTFAX3, "CCITT fax 3"},
                                                        {COMPRESSION_CCITTFAX4, "CCITT fax 4"},
                                                        {COMPRESSION_LZW, "LZW"},
                                                        {COMPRESSION_OJPEG, "old JPEG"},
                                                        {COMPRESSION_JPEG, "JPEG"},
                                                        {COMPRESSION_ADOBE_DEFLATE, "deflate"},
                                                        {COMPRESSION_PACKBITS, "PackBits"},
                                                        {COMPRESSION_DEFLATE, "deflate"},
                                                        {33003, "JPEG 2000"},
                                                        {33004, "JPEG 2000"},
                                                        {33005, "JPEG 2000"},
                                                        {34712, "JPEG 2000"},
                                                        {34892, "lossy JPEG"},
                                                        {34933, "PNG"},
                                                        {34934, "JPEG XR"},
                                                        {22610, "JPEG XR"},
                                                        {COMPRESSION_LZMA, "LZMA"},
                                                        {COMPRESSION_ZSTD, "zstd"},
    const bool is_sparse = !behind && note_missing(tiff_.handle, l, path_, d.notes);
                                                        {COMPRESSION_WEBP, "WebP"},
                                                        {COMPRESSION_LERC, "LERC"},
                                                        {COMPRESSION_JBIG, "JBIG"},
                                                        {50002, "JPEG XL"},
                                                        {52546, "JPEG XL"}};
  const auto found = names.find(code);
  return found == names.end() ? "number " + std::to_string(code) : found->second;
}

ElementType element_type(const Layout& l, const std::string& name) {
  const bool is_signed = l.format == SAMPLEFORMAT_INT;
  if (l.format == SAMPLEFORMAT_IEEEFP) {
    if (l.bits == 16 || l.bits == 32) return ElementType::f32;
    if (l.bits == 64) return ElementType::f64;
  } else if (l.format == SAMPLEFORMAT_UINT || l.format == SAMPLEFORMAT_VOID || is_signed) {
    if (l.bits == 8) return is_signed ? ElementType::i8 : ElementType::u8;
    if (l.bits == 16) return is_signed ? ElementType::i16 : ElementType::u16;
    if (l.bits == 32) return is_signed ? ElementType::i32 : ElementType::u32;
    if (l.bits == 64) return is_signed ? ElementType::i64 : ElementType::u64;
    if (l.bits >= 1 && l.bits < 32 && !is_signed) return unpacked_type(l.bits);
  }
  refuse(
      name, ": is a TIFF file with ", l.bits, " bits per sample (sample format ", l.format,
      "), which is not supported; supported are integers and floats of 8 to 64 bits, and unsigned integers of 1 to 31");
}

std::vector<uint16_t> samples_without_alpha(TIFF* tiff, uint16_t samples) {
  uint16_t extras = 0;
  const uint16_t* extra = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extras, &extra);
  std::vector<uint16_t> kept;
  for (uint16_t s = 0; s < samples; ++s) {
    const int e = int(s) - (int(samples) - int(extras));
    if (e < 0 || (extra[e] != EXTRASAMPLE_ASSOCALPHA && extra[e] != EXTRASAMPLE_UNASSALPHA)) kept.push_back(s);
  }
  return kept;
}

Layout read_layout(TIFF* tiff, const std::string& name, std::vector<std::string>& notes) {
  Layout l;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &l.width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &l.height);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &l.samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &l.bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &l.format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &l.planar);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &l.compression);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &l.photometric);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &l.orientation);
  if (l.orientation < 1 || l.orientation > 8) l.orientation = 1;  // some writers write 0
  if (!TIFFIsCODECConfigured(l.compression))
    refuse(name, ": is a TIFF file compressed by ", compression_name(l.compression),
           ", which is not supported; save it uncompressed, or with LZW or deflate");
  switch (l.photometric) {
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_PALETTE:
    case PHOTOMETRIC_MASK:
      break;
    case PHOTOMETRIC_YCBCR:
      if (l.compression != COMPRESSION_JPEG && l.compression != COMPRESSION_WEBP)
        refuse(name, ": is a TIFF file in YCbCr colours; save it as RGB");
      if (l.compression == COMPRESSION_JPEG) TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      break;
    default:
      refuse(name, ": is a TIFF file with photometric interpretation ", l.photometric, "; save it as grey or RGB");
  }
  uint32_t depth = 1;
  if (TIFFGetField(tiff, TIFFTAG_IMAGEDEPTH, &depth) && depth > 1)
    refuse(name, ": contains a volume of ", depth, " slices in one image; save each slice as a separate image");
  l.type = element_type(l, name);
  l.kept = samples_without_alpha(tiff, l.samples);
  if (l.kept.size() < l.samples) notes.push_back("its alpha channel is left out");
  return l;
}

/// The pixels of the image that a strip or a tile covers, as far as they belong to the part that is read.
struct Chunk {
  uint32_t y, x, height, width;    // in the part
  uint32_t skipped_rows, skipped;  // rows of the chunk, and pixels of each row, before these
  uint32_t stored_width;
  uint16_t first_sample, samples;  // in the file: one sample if planes are separate
};

/// Unpacks libtiff's bytes to whole elements, into the part of the image that is read.
void copy_chunk(const Chunk& c, const std::byte* from, const Layout& l, Array& image) {
  const size_t element = size_of(image.type), channels = size_t(image.shape[2]);
  const uint64_t stored = l.row_bytes(c.stored_width, c.samples);
  std::vector<std::byte> whole(l.is_packed() || l.is_half() ? size_t(c.stored_width) * c.samples * element : 0);
  for (uint32_t y = 0; y < c.height; ++y) {
    const std::byte* in = from + (y + c.skipped_rows) * stored;
    if (l.is_packed()) {
      unpack(in, l.bits, int64_t(c.stored_width) * c.samples, image.type, whole.data());
      in = whole.data();
    } else if (l.is_half()) {
      for (size_t i = 0; i < size_t(c.stored_width) * c.samples; ++i) {
        uint16_t half;
        std::memcpy(&half, in + 2 * i, 2);
        const float value = half_value(half);
        std::memcpy(whole.data() + 4 * i, &value, 4);
      }
      in = whole.data();
    }
    in += size_t(c.skipped) * c.samples * element;
    std::byte* out = image.bytes.data() + (size_t(c.y + y) * size_t(image.shape[1]) + c.x) * channels * element;
    if (c.samples == l.samples && l.samples == channels) {  // all samples are kept and interleaved
      std::memcpy(out, in, size_t(c.width) * channels * element);
      continue;
    }
    for (size_t k = 0; k < channels; ++k) {
      if (l.kept[k] < c.first_sample || l.kept[k] >= c.first_sample + c.samples) continue;
      const std::byte* a = in + size_t(l.kept[k] - c.first_sample) * element;
      std::byte* b = out + k * element;
      for (uint32_t x = 0; x < c.width; ++x, a += c.samples * element, b += channels * element)
        std::memcpy(b, a, element);
    }
  }
}

constexpr uint64_t max_bytes_of_chunk = uint64_t(256) << 20;  // unpacked, when an image is read part by part

/// Reads the part of an image that begins at pixel (top, left) and has the size of `image`.
void read_chunks(Tiff& tiff, const Layout& l, const fs::path& path, uint32_t top, uint32_t left, Array& image) {
  const std::string name = path.string();
  const bool tiled = TIFFIsTiled(tiff.handle), planes = l.planar == PLANARCONFIG_SEPARATE && l.samples > 1;
  uint32_t height = 0, width = l.width;
  if (tiled) {
    TIFFGetField(tiff.handle, TIFFTAG_TILELENGTH, &height);
    TIFFGetField(tiff.handle, TIFFTAG_TILEWIDTH, &width);
  } else {
    TIFFGetFieldDefaulted(tiff.handle, TIFFTAG_ROWSPERSTRIP, &height);
    height = std::min(height, l.height);
  }
  if (height == 0 || width == 0) refuse(name, ": is a damaged TIFF file (strips or tiles of size zero)");
  const uint16_t samples = planes ? 1 : l.samples;
  // libtiff's size must match ours: it differs if samples are packed in a way unknown to us.
  const uint64_t row = l.row_bytes(width, samples);
  const uint64_t theirs = tiled ? TIFFTileSize64(tiff.handle) : TIFFVStripSize64(tiff.handle, height);
  if (row * height != theirs || height > INT_MAX || width > INT_MAX)
    refuse(name, ": is a damaged TIFF file (strips or tiles of an impossible size)");
  const bool part = uint64_t(image.shape[0]) < l.height || uint64_t(image.shape[1]) < l.width;
  if (part && row * height > max_bytes_of_chunk)
    refuse(name, ": each of its ", tiled ? "tiles" : "strips", " has ", width, " x ", height,
           " pixels, too many to read it part by part; save it in smaller tiles");
  Array buffer = allocate(path, ElementType::u8, height, int64_t(row), 1);
  uint32_t number = 0;
  for (uint16_t plane = 0; plane < (planes ? l.samples : 1); ++plane) {
    for (uint64_t y = 0; y < l.height; y += height) {
      for (uint64_t x = 0; x < l.width; x += width, ++number) {
        const uint64_t y0 = std::max<uint64_t>(y, top), x0 = std::max<uint64_t>(x, left);
        const uint64_t y1 = std::min(std::min<uint64_t>(y + height, l.height), top + uint64_t(image.shape[0]));
        const uint64_t x1 = std::min(std::min<uint64_t>(x + width, l.width), left + uint64_t(image.shape[1]));
        if (y0 >= y1 || x0 >= x1) continue;
        const Chunk c{uint32_t(y0 - top),
                      uint32_t(x0 - left),
                      uint32_t(y1 - y0),
                      uint32_t(x1 - x0),
                      uint32_t(y0 - y),
                      uint32_t(x0 - x),
                      width,
                      plane,
                      samples};
        const tmsize_t wanted = tmsize_t((tiled ? height : std::min<uint64_t>(height, l.height - y)) * row);
        const tmsize_t got = tiled ? TIFFReadEncodedTile(tiff.handle, number, buffer.bytes.data(), wanted)
                                   : TIFFReadEncodedStrip(tiff.handle, number, buffer.bytes.data(), wanted);
        if (got != wanted || *tiff.message)
          refuse(name, ": is a truncated or damaged TIFF file (", *tiff.message ? tiff.message : "pixels are missing",
                 ")");
        copy_chunk(c, buffer.bytes.data(), l, image);
      }
    }
  }
}

/// Reads the k-th of several images stored one after the other, of which only the first has a directory.
void read_behind(TIFF* tiff, const Layout& l, int64_t k, const fs::path& path, Array& image) {
  const std::string name = path.string();
  uint64_t* offsets = nullptr;
  if (l.compression != COMPRESSION_NONE || TIFFIsTiled(tiff) || l.is_packed() || l.kept.size() != l.samples ||
      (l.planar == PLANARCONFIG_SEPARATE && l.samples > 1) || !TIFFGetField(tiff, TIFFTAG_STRIPOFFSETS, &offsets))
    refuse(name, ": contains several images that share a directory; save each with its own directory");
  const uint64_t bytes = l.row_bytes(l.width, l.samples) * l.height;
  const __int128 at = __int128(offsets[0]) + __int128(bytes) * k;
  std::vector<std::byte> buffer(static_cast<size_t>(bytes));
  const File file = open_file(path);
  if (at + bytes > __int128(fs::file_size(path)) || fseeko(file.get(), off_t(at), SEEK_SET) != 0 ||
      std::fread(buffer.data(), 1, buffer.size(), file.get()) != buffer.size())
    refuse(name, ": is a truncated or damaged TIFF file (image ", k + 1, " of its stack is missing)");
  if (TIFFIsByteSwapped(tiff)) {
    const size_t width = l.bits / 8;
    for (size_t i = 0; i + width <= buffer.size(); i += width)
      std::reverse(buffer.begin() + ptrdiff_t(i), buffer.begin() + ptrdiff_t(i + width));
  }
  copy_chunk({0, 0, l.height, l.width, 0, 0, l.width, 0, l.samples}, buffer.data(), l, image);
}

std::vector<Colour> read_palette(TIFF* tiff, const Layout& l, const std::string& name) {
  uint16_t* map[3] = {};
  if (l.samples != 1 || l.bits > 16 || l.format == SAMPLEFORMAT_IEEEFP ||
      !TIFFGetField(tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
    refuse(name, ": is a damaged TIFF file (a palette without colours)");
  const size_t colours = size_t(1) << l.bits;
  bool wide = false;  // some writers store 8-bit colours instead of 16-bit ones
  for (const uint16_t* m : map)
    wide = wide || *std::max_element(m, m + colours) > 255;
  std::vector<Colour> palette(colours);
  const auto eight = [&](uint16_t v) { return uint8_t(wide ? v >> 8 : v); };
  for (size_t i = 0; i < colours; ++i)
    palette[i] = {eight(map[0][i]), eight(map[1][i]), eight(map[2][i])};
  return palette;
}

bool loses(TIFF* tiff, uint16_t compression) {
  if (compression == COMPRESSION_JPEG || compression == COMPRESSION_OJPEG || compression == 34892) return true;
  if (compression != COMPRESSION_WEBP) return false;
  char head[16] = {};
  const bool tiled = TIFFIsTiled(tiff);
  const tmsize_t n = tiled ? TIFFReadRawTile(tiff, 0, head, sizeof head) : TIFFReadRawStrip(tiff, 0, head, sizeof head);
  return n < 16 || std::memcmp(head + 12, "VP8L", 4) != 0;
}

/// One image of the file, with the few tags that tell what it is.
struct Entry {
  uint64_t offset;
  uint32_t height = 0, width = 0;
  bool reduced = false;
};

/// An open file.
class Reader {
 public:
  explicit Reader(const fs::path& path) : path_(path), name_(path.string()), options_(tiff_) {
    tiff_.handle = TIFFOpenExt(path.c_str(), "rm", options_.options);
    if (!tiff_.handle) refuse(name_, ": is a truncated or damaged TIFF file (", tiff_.message, ")");
    list_images();
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
      refuse(name_, ": is a truncated or damaged TIFF file (", tiff_.message, ")");
    Decoded d;
    const TiffLayout l = read_layout(tiff_.handle, path_, d.notes);
    d.is_part = part.height > 0;
    if (d.is_part && behind)
      refuse(name_, ": is too large for a file with several images that share a directory; save it with its own one");
    BASIN_CHECK(int64_t(part.y) + part.height <= l.height && int64_t(part.x) + part.width <= l.width, "part ", part.y,
                ", ", part.x, " of ", part.height, " x ", part.width);
    d.pixels = allocate(path_, l.type, d.is_part ? part.height : l.height, d.is_part ? part.width : l.width,
                        int64_t(l.kept.size()), is_sparse);
    *tiff_.message = '\0';  // messages about tags do not mean damaged pixels
    if (behind)
      read_behind(tiff_.handle, l, k, path_, d.pixels);
    else
      read_chunks(tiff_, l, path_, uint32_t(part.y), uint32_t(part.x), d.pixels);
    if (l.is_packed()) d.bits = l.bits;
    if (l.photometric == PHOTOMETRIC_PALETTE) read_palette(tiff_.handle, l, name_, d);
    d.white_is_zero = l.photometric == PHOTOMETRIC_MINISWHITE;
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
    constexpr double um = 1e4, largest = 20;  // 1200 pixels per inch are 21 um
    uint16_t unit = RESUNIT_INCH;
    TIFFGetFieldDefaulted(tiff_.handle, TIFFTAG_RESOLUTIONUNIT, &unit);
    if (unit == RESUNIT_CENTIMETER && columns * largest > um)
      set_pixel_size(stack_, um / columns, rows > 0 ? um / rows : 0);
  }

  void describe() {
    if (!TIFFSetSubDirectory(tiff_.handle, entries_[0].offset))
      refuse(name_, ": is a truncated or damaged TIFF file (", tiff_.message, ")");
    const char* text = nullptr;
    std::string description;
    if (TIFFGetField(tiff_.handle, TIFFTAG_IMAGEDESCRIPTION, &text) && text) description = text;
    float columns_per_unit = 0, rows_per_unit = 0;
    TIFFGetField(tiff_.handle, TIFFTAG_XRESOLUTION, &columns_per_unit);
    TIFFGetField(tiff_.handle, TIFFTAG_YRESOLUTION, &rows_per_unit);
    const std::vector<std::string> notes = std::exchange(stack_.notes, {});
    const int64_t images = int64_t(entries_.size());
    const auto fits = [&](const std::optional<Stack>& s) { return s && (s->images == images || images == 1); };
    if (std::optional<Stack> imagej = stack_of_imagej(description, columns_per_unit, rows_per_unit)) {
      imagej_ = true;
      if (fits(imagej)) stack_ = *imagej;
    } else if (std::optional<Stack> ome = stack_of_ome(description, name_)) {
      if (ome->images != images)
        refuse(name_, ": contains ", images, " images, but its OME description announces ", ome->images,
               "; it is part of a larger data set, or damaged");
      stack_ = *ome;
    } else {
      std::optional<Stack> shaped = stack_of_tifffile(description, entries_[0].height, entries_[0].width);
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
    uint16_t samples = 1;
    TIFFGetFieldDefaulted(tiff_.handle, TIFFTAG_SAMPLESPERPIXEL, &samples);
    stack_.samples = int(samples_without_alpha(tiff_.handle, samples).size());
  }

  fs::path path_;
  std::string name_;
  Tiff tiff_;
  TiffOptions options_;
  std::vector<Entry> entries_;
  Stack stack_;
  bool imagej_ = false;
};

}  // namespace

Stack tiff_stack(const fs::path& path) { return Reader(path).stack(); }

void read_tiff_planes(const fs::path& path, const std::vector<int64_t>& planes, const PixelRect& part,
                      const std::function<void(Decoded)>& f) {
  Reader reader(path);
  for (const int64_t k : planes)
    f(reader.read(k, part));
}

std::string tiff_version() {
  const std::string text = TIFFGetVersion();  // "LIBTIFF, Version 4.5.0", and the copyright on further lines
  const std::string line = text.substr(0, text.find('\n'));
  return "libtiff " + line.substr(line.rfind(' ') + 1);
}

}  // namespace basin::raster
