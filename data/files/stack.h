#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace basin {

/// One axis of a stack: T (time), Z (depth), C (channel), or I where its meaning is unknown.
struct StackAxis {
  char name = 'I';
  int64_t size = 1;
  bool operator==(const StackAxis&) const = default;
};

/// How the images of a file lie in its stack, and what the file says of them.
struct Stack {
  int64_t images = 1;                      // the product of the axes' sizes
  std::vector<StackAxis> axes;             // those longer than 1, the slowest first
  int64_t height = 0, width = 0;           // of each image, px
  int samples = 1;                         // channels within each image
  std::vector<std::string> channel_names;  // along C, or of the samples; empty where they have none
  std::optional<double> pixel_size;        // um
  std::vector<int64_t> order;              // which image of the file is the k-th by the axes; empty: the k-th
  std::vector<std::string> notes;          // what of the file is left out
};

/// "C=2 Z=5 Y X", and the pixel size where it is known: "C=2 Y X, 0.108 um/px".
std::string to_text(const Stack&);

/// What the user asks for of a stack.
struct PlaneChoice {
  std::string axes;  // what the axes are, the slowest first: "ZCYX", "T=10 C=2"; empty: as the file says
  std::vector<std::string> channels;  // by name or by number from 0; empty: all
  std::string plane;                  // the number along each other axis, from 0: "Z=3,T=0", or "3" where there is one
  bool operator==(const PlaneChoice&) const = default;
};

/// The images of a stack that are the channels of one image, in their order; their numbers in the file. Throws one
/// sentence that begins with `name` where an axis other than C is left open, naming the option that settles it, and
/// where the choice does not fit the stack.
std::vector<int64_t> chosen_images(const Stack&, const PlaneChoice&, const std::string& name);

/// Which of the samples of an image a choice asks for; all where it does not name any, or the channels are along C.
std::vector<int> chosen_samples(const Stack&, const PlaneChoice&, const std::string& name);

/// What ImageJ's description of a TIFF says ("ImageJ=1.53t\nimages=10\nchannels=2\n..."). `pixels_per_unit` is the
/// file's XResolution. Nothing where the text is not ImageJ's.
std::optional<Stack> stack_of_imagej(const std::string& description, double pixels_per_unit);

/// What tifffile's description says: {"shape": [5, 64, 64], "axes": "ZYX"}; height and width are `height` and `width`.
std::optional<Stack> stack_of_tifffile(const std::string& description, int64_t height, int64_t width);

/// What an OME-XML description says. Throws one sentence that begins with `name` for several series and for a data set
/// in several files. Nothing where the text is no OME-XML.
std::optional<Stack> stack_of_ome(const std::string& description, const std::string& name);

/// Leaves the axes of size 1 out and counts the images.
void complete(Stack&);

}  // namespace basin
