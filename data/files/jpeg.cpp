// The only file that includes libjpeg. Its errors are long jumps, so the functions that call setjmp contain plain data
// only.
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>

// clang-format off: these need the standard headers before them.
#include <jerror.h>
#include <jpeglib.h>
// clang-format on

#include "data/files/decoders.h"
#include "data/files/library_versions.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

struct JpegCodec {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
  bool unsupported = false;
  bool is_ls = false;  // JPEG-LS, which begins like JPEG
  ~JpegCodec() { jpeg_destroy_decompress(&info); }
};

void on_error(j_common_ptr info) {
  JpegCodec* codec = static_cast<JpegCodec*>(info->client_data);
  const int code = info->err->msg_code;
  codec->unsupported = code == JERR_BAD_PRECISION || code == JERR_ARITH_NOTIMPL || code == JERR_SOF_UNSUPPORTED ||
                       code == JERR_CONVERSION_NOTIMPL;
  if (code == JERR_UNKNOWN_MARKER && codec->info.image_width == 0) {  // in place of the frame
    constexpr int hierarchical = 0xde, ls_frame = 0xf7, ls_parameters = 0xf8;
    const int marker = info->err->msg_parm.i[0];
    codec->is_ls = marker == ls_frame || marker == ls_parameters;
    codec->unsupported = codec->is_ls || marker == hierarchical;
  }
  info->err->format_message(info, codec->message);
  std::longjmp(codec->jump, 1);
}

/// A warning is treated as an error if pixels are damaged; a stray byte or an unknown version is ignored.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
      return;
    default:
      on_error(info);
  }
}

bool read_header(JpegCodec& codec, const unsigned char* bytes, size_t size) {
  if (setjmp(codec.jump)) return false;
  jpeg_create_decompress(&codec.info);
  codec.info.client_data = &codec;
  jpeg_mem_src(&codec.info, bytes, size);
  jpeg_save_markers(&codec.info, JPEG_APP0 + 1, 0xffff);  // Exif
  jpeg_save_markers(&codec.info, JPEG_APP0 + 2, 0xffff);  // the multi-picture format
  jpeg_read_header(&codec.info, TRUE);
  const int channels = codec.info.num_components;
  codec.info.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_calc_output_dimensions(&codec.info);
  return true;
}

bool read_rows(JpegCodec& codec, unsigned char* to, size_t stride) {
  if (setjmp(codec.jump)) return false;
  jpeg_start_decompress(&codec.info);
  while (codec.info.output_scanline < codec.info.output_height) {
    JSAMPROW row = to + codec.info.output_scanline * stride;
    jpeg_read_scanlines(&codec.info, &row, 1);
  }
  jpeg_finish_decompress(&codec.info);
  return true;
}

int orientation_of(const jpeg_decompress_struct& info) {
  for (jpeg_saved_marker_ptr m = info.marker_list; m; m = m->next)
    if (m->data_length > 6 && std::memcmp(m->data, "Exif\0\0", 6) == 0)
      return exif_orientation(m->data + 6, m->data_length - 6);
  return 1;
}

/// Whether the file has an index of several pictures (CIPA DC-007, files *.mpo).
bool has_more_pictures(const jpeg_decompress_struct& info) {
  for (jpeg_saved_marker_ptr m = info.marker_list; m; m = m->next)
    if (m->marker == JPEG_APP0 + 2 && m->data_length > 4 && std::memcmp(m->data, "MPF\0", 4) == 0) return true;
  return false;
}

/// Converts Adobe's CMYK, stored as 255 - ink, to RGB.
Array rgb_of_cmyk(const fs::path& path, const Array& cmyk) {
  Array rgb = allocate(path, ElementType::u8, cmyk.shape[0], cmyk.shape[1], 3);
  const uint8_t* in = cmyk.as<uint8_t>();
  uint8_t* out = rgb.as<uint8_t>();
  for (int64_t i = 0, n = cmyk.shape[0] * cmyk.shape[1]; i < n; ++i, in += 4)
    for (int c = 0; c < 3; ++c)
      *out++ = uint8_t((int(in[c]) * int(in[3]) + 127) / 255);
  return rgb;
}

}  // namespace

Decoded read_jpeg(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  JpegCodec codec;
  codec.info.err = jpeg_std_error(&codec.errors);
  codec.info.client_data = &codec;
  codec.errors.error_exit = on_error;
  codec.errors.emit_message = on_message;
  const auto refuse_file = [&] {
    if (codec.is_ls) refuse(path.string(), ": is a JPEG-LS file; save it as PNG or TIFF");
    if (codec.unsupported)
      refuse(path.string(), ": is an unsupported kind of JPEG file (", codec.message, "); save it as PNG or TIFF");
    refuse(path.string(), ": is a truncated or damaged JPEG file (", codec.message, ")");
  };
  if (!read_header(codec, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) refuse_file();
  const int channels = codec.info.num_components;
  if (channels != 1 && channels != 3 && channels != 4)
    refuse(path.string(), ": is a JPEG file of ", channels, " components; only grey, colour and CMYK are supported");
  if (channels == 4 && !codec.info.saw_Adobe_marker)
    refuse(path.string(),
           ": is a JPEG file of four components without a marker of their meaning (CMYK as ink or as "
           "light); save it as RGB");
  Decoded d;
  d.lossy = true;
  d.orientation = orientation_of(codec.info);
  if (has_more_pictures(codec.info)) d.notes.push_back("contains several pictures, of which the first is read");
  d.pixels = allocate(path, ElementType::u8, codec.info.output_height, codec.info.output_width, channels);
  if (!read_rows(codec, reinterpret_cast<unsigned char*>(d.pixels.bytes.data()),
                 d.pixels.bytes.size() / codec.info.output_height))
    refuse_file();
  if (channels == 4) {
    d.pixels = rgb_of_cmyk(path, d.pixels);
    d.notes.push_back("converted from CMYK to RGB");
  }
  return d;
}

#define BASIN_QUOTED(x) #x
#define BASIN_TEXT(x) BASIN_QUOTED(x)
std::string jpeg_version() {
#ifdef LIBJPEG_TURBO_VERSION
  return "libjpeg-turbo " BASIN_TEXT(LIBJPEG_TURBO_VERSION);
#else
  return "libjpeg " BASIN_TEXT(JPEG_LIB_VERSION);
#endif
}

}  // namespace basin::raster
