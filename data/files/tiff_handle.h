#pragma once
// Shared by reading and writing TIFF; not included elsewhere.
#include <tiffio.h>

#include <cstdarg>
#include <cstdio>

namespace basin::raster {

/// An open TIFF and the first error that libtiff reported.
struct Tiff {
  TIFF* handle = nullptr;
  char message[200] = "";
  Tiff() = default;
  Tiff(const Tiff&) = delete;
  ~Tiff() {
    if (handle) TIFFClose(handle);
  }
};

inline int on_tiff_error(TIFF*, void* tiff, const char*, const char* format, va_list arguments) {
  char* message = static_cast<Tiff*>(tiff)->message;
  if (!*message) std::vsnprintf(message, sizeof Tiff::message, format, arguments);
  return 1;
}
inline int on_tiff_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct TiffOptions {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  explicit TiffOptions(Tiff& tiff) {
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_tiff_error, &tiff);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_tiff_warning, nullptr);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t(1) << 32);
  }
  ~TiffOptions() { TIFFOpenOptionsFree(options); }
};

}  // namespace basin::raster
