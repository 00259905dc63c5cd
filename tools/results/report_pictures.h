#pragma once
#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/report/report.h"

namespace basin::tools {

/// The part of an image that pictures on pages show: all of it, or of a larger image the middle.
struct PictureWindow {
  static constexpr int max_side = 512;  // px

  PictureWindow(int image_height, int image_width);

  Image of(const Image&) const;
  Labels of(const Labels&) const;  // with the ids of the whole image

  int y0, x0, height, width;
  bool is_whole;
};

/// A picture of the objects in an image; `name` begins its caption, such as "truth, 41 objects". A large image is shown
/// in part.
ReportPicture objects_picture(const std::string& name, const Image&, const Labels&);

/// A picture of predicted objects that match true ones (IoU of at least 0.5), of those that do not, and of the true
/// objects that are missed, with their numbers in the caption. A large image is shown in part.
ReportPicture errors_picture(const std::string& name, const Image&, const Labels& truth, const Labels& prediction);

}  // namespace basin::tools
