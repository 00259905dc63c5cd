#pragma once
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "data/dataset/placement.h"

namespace basin {

/// How a method's training samples are cut from images. The ids of a sample are renumbered to 1..n, except for `crop`.
enum class Sampling {
  /// A random window, inside the image if that is large enough; otherwise inside the image padded by ceil((crop - side)
  /// / 2) zeros on each side.
  crop,
  /// A window around the centroid of a random object, shifted into the image; a smaller image is mirrored. All objects
  /// of the training set are equally likely, and an epoch has as many samples as there are objects.
  object_crop,
  /// The image around a random centre, scaled so that 0.6 to 1.3 of its larger side fills the sample, flipped left to
  /// right with p = 1/2; zeros outside it.
  affine
};

/// How images are chosen. `images`: an epoch takes each image once, in a random order; if weights differ, each image in
/// proportion to its weight, rounded up or down at random. `objects`: half of the samples are random crops of an image
/// drawn by weight. For the other half an object is drawn: first a size class (areas from 2^k to 2^(k+1) pixels), all
/// equally likely, then an object of the class by weight; the crop is a random one that contains its centroid. This
/// represents few large objects among many small ones, images with many objects among empty ones, and background.
enum class DrawBy { images, objects };
DrawBy parse_draw_by(const std::string&);
std::string to_string(DrawBy);

struct SamplerOptions {
  Sampling sampling = Sampling::crop;
  DrawBy draw_by = DrawBy::images;  // objects: only for Sampling::crop
  int64_t draws = 0;                // samples per epoch; 0: draws_per_epoch()
  int crop = 256;
  uint64_t seed = 0;
};

/// The default number of samples in an epoch: one per image, or for object crops one per object.
int64_t draws_per_epoch(const std::vector<Example>&, Sampling);

/// Chooses image and position of each sample of each epoch, as a function of (seed, epoch, position) alone.
/// Thread-safe.
class Sampler {
 public:
  /// `examples` must outlive it. Throws if there is no image to draw, or no object when objects are drawn.
  Sampler(const std::vector<Example>& examples, const SamplerOptions&);

  int64_t draws() const { return draws_; }
  /// The order of the images of an epoch, which choose() reads; empty if they are drawn one by one.
  void order(int64_t epoch, std::vector<int>& images) const;

  struct Choice {
    int image;
    int object = -1;  // the object to cut around, an index into the sampler's own list
  };
  /// `random`: the sample's own stream, which place() then continues.
  Choice choose(const std::vector<int>& order, uint64_t position, Random& random) const;
  /// The position of the sample, if the image is to appear `scale` times as large.
  Placement place(const Choice&, float scale, Random& random) const;

 private:
  struct Object {
    int image;
    double y, x;  // centroid
    int64_t pixels;
  };
  void find_objects();

  const std::vector<Example>& examples_;
  SamplerOptions options_;
  int64_t draws_;
  std::vector<int> images_;             // the images that may be drawn
  bool weighted_ = false;               // weights differ
  std::vector<double> image_weights_;   // cumulative weights of images_
  std::vector<Object> objects_;         // sorted by size class if objects are drawn
  std::vector<size_t> class_begin_;     // into objects_; the last element is their number
  std::vector<double> object_weights_;  // cumulative weights within each class
};

}  // namespace basin
