#pragma once
#include <functional>
#include <string>

#include "data/dataset/normalise.h"
#include "models/method.h"

namespace basin {

/// One image segmented, with the seconds each stage took.
struct Segmentation {
  Labels labels;
  double network_seconds = 0, decode_seconds = 0;
};

/// What f throws, with the image's name before it.
template <class F>
auto with_name(const std::string& name, const F& f) {
  try {
    return f();
  } catch (const Error& e) {
    refuse(name, ": ", e.what());
  }
}

/// The method's maps of a whole image: runs the network tile by tile. Throws what the image "is" where it is too long
/// to be decoded.
Maps predict_source(const Exec&, const Method&, const Source&, const TilingOptions&);

/// Image to instances: runs the network tile by tile and decodes. What it throws does not name the image. `see` is
/// called with the maps of the whole image, which are let go while they are decoded, or on a GPU after it.
Segmentation segment_source(const Exec&, const Method&, const Source&, const TilingOptions&,
                            const std::function<void(const Maps&)>& see = {});

}  // namespace basin
