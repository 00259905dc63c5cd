#pragma once
#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/metrics/truth_score.h"
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

/// Objects as pictures show them: pixels that several share are drawn for the first of them.
Labels drawn(const Objects&);
/// The caption of a picture of objects: "truth, 41 objects". Says how pixels are drawn that they share.
std::string caption_of(const std::string& name, const Objects&);

/// A picture of the objects in an image, with such a caption. A large image is shown in part.
ReportPicture objects_picture(const std::string& name, const Image&, const Objects&);

/// A picture of predicted objects that match true ones (IoU of at least 0.5), of those that do not, and of the true
/// objects that are missed, with their numbers in the caption. Objects are matched as counts() does: those that share
/// pixels whole. Predicted objects that counted_objects() leaves out are not drawn. A large image is shown in part.
ReportPicture errors_picture(const std::string& name, const Image&, const Truth&, const Objects& prediction);

}  // namespace basin::tools
