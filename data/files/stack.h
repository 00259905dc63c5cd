#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace basin {

/// One axis of a stack: T (time), Z (depth), C (channel), or I if its meaning is unknown.
struct StackAxis {
  char name = 'I';
  int64_t size = 1;
  bool operator==(const StackAxis&) const = default;
};

/// The width and the height of a pixel, um.
struct PixelSides {
  double width = 0, height = 0;
  bool operator==(const PixelSides&) const = default;
};

/// The arrangement of the images of a file in a stack, and the file's metadata about them.
struct Stack {
  int64_t images = 1;                      // the product of the axes' sizes
  std::vector<StackAxis> axes;             // those longer than 1, slowest first
  int64_t height = 0, width = 0;           // of each image, px
  int samples = 1;                         // channels within each image
  bool colours = true;                     // whether three of these are red, green and blue
  std::vector<std::string> channel_names;  // along C, or of the samples; empty if they have no names
  std::optional<PixelSides> pixel;         // none if they are unknown
  std::optional<double> spacing;           // of neighbouring planes along Z, um
  std::optional<double> interval;          // between neighbouring planes along T, s
  std::vector<int64_t> order;              // the index in the file of the k-th image in the order of the axes; empty: k
  std::vector<std::string> notes;          // what was left out of the file

  /// The side of square pixels, um; none if it is unknown or pixels are not square.
  std::optional<double> pixel_size() const;
};

/// "C=2 Z=5 Y X", and the pixel size if known: "C=2 Y X, 0.108 um/px". An axis of unknown meaning is "unnamed=5".
std::string to_text(const Stack&);

/// The user's selection from a stack.
struct PlaneChoice {
  std::string axes;                   // the axes, slowest first: "ZCYX", "T=10 C=2"; empty: according to the file
  std::vector<std::string> channels;  // by name or by index from 0; empty: all
  std::string plane;                  // index along each other axis, from 0: "Z=3,T=0", or "3" if there is only one
  std::string series = {};       // of several images in a file: its index from 0, its path in an OME-Zarr store, or
                                 // its name in an OME-TIFF
  bool offered = false;          // whether the command has --axes, --plane and --series, which messages then name
  bool offers_channels = false;  // the same of --channel
  bool operator==(const PlaneChoice&) const = default;
};

/// What was chosen, behind the text of the stack: "; series 1; channels DAPI, 2; plane T=1". Empty if nothing was.
std::string describe_choice(const PlaneChoice&);

/// The indices in the file of the images that are the channels of the chosen image, in their order. Throws one sentence
/// that begins with `name` if axes other than C are not determined, naming the options that determine them if these are
/// offered, and if the choice does not fit the stack.
std::vector<int64_t> chosen_images(const Stack&, const PlaneChoice&, const std::string& name);

/// The stack with the axes of the choice, if it names some. Throws like chosen_images if they do not fit.
Stack with_axes(Stack, const PlaneChoice&, const std::string& name);

/// The chosen samples of an image; all if none are named, or if the channels are along C.
std::vector<int> chosen_samples(const Stack&, const PlaneChoice&, const std::string& name);

/// Parses ImageJ's description of a TIFF ("ImageJ=1.53t\nimages=10\nchannels=2\n..."). `columns_per_unit` and
/// `rows_per_unit` are the file's XResolution and YResolution; 0: unknown. A resolution per inch, and one per
/// centimetre that is_print(), is not a pixel size: ImageJ copies them from the tags for printing. None if the text is
/// not ImageJ's.
std::optional<Stack> stack_of_imagej(const std::string& description, double columns_per_unit, double rows_per_unit);

/// The size of each image of a TIFF, and the samples of a pixel, interleaved or as planes, alpha included.
struct PageShape {
  int64_t height = 0, width = 0, samples = 1;
  bool planar = false;
};

/// Parses tifffile's description, {"shape": [5, 64, 64], "axes": "ZYX"}, in which the samples are a dimension too. None
/// if the shape does not end in that of a page.
std::optional<Stack> stack_of_tifffile(const std::string& description, const PageShape& page);

/// The number of images (series) that an OME-XML description describes; 0 if it is not one.
int64_t count_ome_series(const std::string& description);

/// Parses an OME-XML description. Of several series, the choice names one: by its index from 0, its name or its ID; the
/// order of the stack then says which images of the file are its own. Throws one sentence that begins with `name` if
/// the choice names none of the series or leaves several open, and for a data set in several files. None if the text is
/// not OME-XML.
std::optional<Stack> stack_of_ome(const std::string& description, const std::string& name,
                                  const PlaneChoice& choice = {});

/// Micrometres per unit of length, as ImageJ, OME-XML or OME-Zarr name it ("um", "micron", "nanometer"); 0 if it is not
/// one of these, or if it is an inch, which is not a unit of microscopes.
double micrometres_per(const std::string& unit);

/// Seconds per unit of time, as these name it ("s", "sec", "minute", "ms"); 0 if it is not one of these.
double seconds_per(const std::string& unit);

/// Removes the axes of size 1 and counts the images.
void complete(Stack&);

/// Whether a pixel of this many um is rather that of a print: 20 um or more.
bool is_print(double um);

/// Sets the width and height of a pixel, um; a height of 0 is unknown, and taken to be the width. Pixels that are
/// square to one part in a thousand get the same height as width; others have no pixel_size(), which is noted.
void set_pixel_size(Stack&, double width, double height);

}  // namespace basin
