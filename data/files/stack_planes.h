#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/files/image.h"
#include "data/files/stack.h"

namespace basin {

/// The planes of a stack that a choice leaves open: one after another along Z for each index along T.
struct StackPlanes {
  Stack stack;
  int64_t frames = 1, slices = 1;  // along T and along Z
  bool has_channels = false;       // several, as images of the stack

  int64_t count() const { return frames * slices; }
  int64_t frame_of(int64_t plane) const { return plane / slices; }
  int64_t slice_of(int64_t plane) const { return plane % slices; }
  /// "T=2,Z=0", with the axes that are longer than 1.
  std::string name_of(int64_t plane) const;
};

/// The planes of a stack. Throws one sentence that begins with `name` if the choice does not fit the stack, or if it
/// leaves an axis open that is not T, Z or C; the sentence then names the options that determine it.
StackPlanes planes_of(const Stack&, const PlaneChoice&, const std::string& name);

/// The indices in the file of the channels of one plane, as chosen_images gives them.
std::vector<int64_t> images_of_plane(const StackPlanes&, int64_t plane, const PlaneChoice&, const std::string& name);

/// The stack in a file, with the series and the axes of `choice`. For formats without stacks a single image of unknown
/// size.
Stack stack_in(const std::filesystem::path&, const PlaneChoice& choice);

/// The planes of a file: one unless it is a TIFF or an OME-Zarr store with several images. Throws like read_image.
StackPlanes planes_in(const std::filesystem::path&, const PlaneChoice&);

/// Reads the planes of a file one by one, like read_image, and calls f with the index and the image of each. The file
/// is opened once.
void read_image_planes(const std::filesystem::path&, const StackPlanes&, const PlaneChoice&,
                       const std::function<void(int64_t plane, Image)>& f);

/// The index of the plane that a choice names completely; none if it leaves an axis open.
std::optional<int64_t> index_of_plane(const StackPlanes&, const PlaneChoice&, const std::string& name);

/// The choice of one plane.
PlaneChoice choice_of_plane(const StackPlanes&, int64_t plane, const PlaneChoice&);

}  // namespace basin
