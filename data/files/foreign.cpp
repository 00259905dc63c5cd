#include "data/files/foreign.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "engine/files.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

constexpr const char* by_microscopy = "open it in Fiji (Bio-Formats) and save it as TIFF";
constexpr const char* by_any = "save it as PNG or TIFF";

struct Kind {
  size_t at;
  std::string_view bytes;
  const char* name;
  const char* remedy;
};

using namespace std::string_view_literals;
constexpr Kind kinds[] = {
    {0, "ZISRAWFILE"sv, "a Zeiss CZI file", by_microscopy},
    {0, "\xda\xce\xbe\x0a"sv, "a Nikon ND2 file", by_microscopy},
    {0, "\x70\0\0\0"sv, "a Leica LIF file", by_microscopy},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "an OLE container, such as Olympus OIB or Zeiss ZVI", by_microscopy},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file, such as Imaris IMS", by_microscopy},
    {128, "DICM"sv, "a DICOM file", by_microscopy},
    {0, "SIMPLE  ="sv, "a FITS file", by_microscopy},
    {0, "GIF8"sv, "a GIF file", by_any},
    {8, "WEBP"sv, "a WebP file", by_any},
    {4, "ftypheic"sv, "a HEIC file", by_any},
    {4, "ftypavif"sv, "an AVIF file", by_any},
    {0, "\0\0\0\x0cjP  "sv, "a JPEG 2000 file, or an old Nikon ND2 file", by_microscopy},
    {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 file", by_any},
    {0, "\0\0\0\x0cJXL "sv, "a JPEG XL file", by_any},
    {0, "\xff\x0a"sv, "a JPEG XL file", by_any},
    {0, "8BPS"sv, "a Photoshop file", by_any},
    {0, "gimp xcf"sv, "a GIMP file", by_any},
    {0, "\x76\x2f\x31\x01"sv, "an OpenEXR file", by_any},
    {0, "%PDF"sv, "a PDF file", by_any},
    {0, "\x93NUMPY"sv, "a NumPy array", "images must be PNG, JPEG, BMP or TIFF; only labels may be .npy"},
    {0, "PK\x03\x04"sv, "a ZIP archive", "unpack it first"},
    {0, "\x1f\x8b"sv, "a gzip archive", "unpack it first"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive", "unpack it first"},
    {0, "version https://git-lfs"sv, "a Git LFS pointer, not the file itself", "fetch it with git lfs pull"},
    {0, "/annex/objects/"sv, "a git-annex pointer, not the file itself", "fetch it with git annex get"},
};

bool is_pnm(std::string_view head) {
  return head.size() > 2 && head[0] == 'P' && head[1] >= '1' && head[1] <= '7' &&
         std::isspace(static_cast<unsigned char>(head[2]));
}

/// The beginning of a text in lower case, without leading blanks.
std::string beginning(std::string_view head) {
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  while (!head.empty() && std::isspace(static_cast<unsigned char>(head[0])))
    head.remove_prefix(1);
  std::string text(head.substr(0, 32));
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return text;
}

}  // namespace

std::string foreign_kind(const fs::path& path) {
  const auto sentence = [](const std::string& name, const char* remedy) { return "is " + name + "; " + remedy; };
  char bytes[256];
  const File file = open_file(path);
  const std::string_view head(bytes, std::fread(bytes, 1, sizeof bytes, file.get()));
  for (const Kind& k : kinds)
    if (head.size() >= k.at + k.bytes.size() && head.substr(k.at, k.bytes.size()) == k.bytes)
      return sentence(k.name, k.remedy);
  if (is_pnm(head)) return sentence("a PNM file", by_any);
  const std::string text = beginning(head);
  if (text.starts_with("<!doctype html") || text.starts_with("<html"))
    return sentence("a web page, not an image", "the download failed; download the file again");
  if (text.starts_with("<svg") || head.find("<svg") != head.npos) return sentence("an SVG drawing", by_any);
  if (text.starts_with("<?xml")) return sentence("an XML file", "give the image that it describes");
  return "is not a PNG, JPEG, BMP or TIFF file, nor an OME-Zarr store";
}

bool has_foreign_extension(const fs::path& path) {
  static const std::set<std::string> known{
      ".gif",    ".webp", ".jp2", ".j2k", ".jpx",  ".jxl",  ".heic", ".heif", ".avif", ".czi",  ".nd2",
      ".lif",    ".lof",  ".oib", ".oif", ".vsi",  ".zvi",  ".ims",  ".dv",   ".r3d",  ".mrxs", ".scn",
      ".dcm",    ".nii",  ".mha", ".mhd", ".nrrd", ".h5",   ".hdf5", ".mat",  ".pgm",  ".ppm",  ".pnm",
      ".pbm",    ".tga",  ".xcf", ".psd", ".exr",  ".fits", ".mrc",  ".stk",  ".lsm",  ".svs",  ".ndpi",
      ".qptiff", ".btf",  ".tf8", ".tf2", ".jpe",  ".jfif", ".dib"};
  return known.contains(lower_extension(path));
}

}  // namespace basin::raster
