#include "models/methods/vector_field_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <unordered_map>

#include "engine/pool.h"
#include "kernels/cluster/border_points.h"
#include "kernels/cluster/mask_points.h"
#include "models/methods/cluster_sets.h"

namespace basin {
namespace {

constexpr int min_side = 32;  // of a block

/// Two clusters that became one.
struct United {
  int32_t a, b;
};

/// The part of an object in a block.
struct ObjectPart {
  int64_t label;
  ObjectExtent extent;
};

// Records of blocks: numbers of elements and elements.

template <class T>
void put(std::vector<std::byte>& record, const std::vector<T>& elements) {
  const auto count = uint64_t(elements.size());
  const auto append = [&](const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    record.insert(record.end(), bytes.begin(), bytes.end());
  };
  append(std::array{count});
  append(elements);
}

/// Removes the elements at the beginning of a record and returns them.
template <class T>
std::vector<T> take(std::span<const std::byte>& record) {
  uint64_t count = 0;
  BASIN_CHECK(record.size() >= sizeof count, record.size(), " bytes");
  std::memcpy(&count, record.data(), sizeof count);
  record = record.subspan(sizeof count);
  BASIN_CHECK(count <= record.size() / sizeof(T), count, " elements in ", record.size(), " bytes");
  std::vector<T> elements(count);
  if (count > 0) std::memcpy(static_cast<void*>(elements.data()), record.data(), count * sizeof(T));
  record = record.subspan(count * sizeof(T));
  return elements;
}

class BlockDecoder {
 public:
  BlockDecoder(const BlockDecoding& image, const VectorFieldDecoding& decoding)
      : image_(image), decoding_(decoding), exec_(for_images({})) {
    if (!(image.largest <= 1e30f))
      refuse("the network's vector field has values that are not finite or too large to be followed");
    const double farthest = reach(decoding.integrate, double(image.largest), std::max(image.height, image.width));
    // Points meet if both move up to `farthest` towards each other. The labels of the block depend on core points
    // within eps of its points, and whether these are core points depends on points within another eps.
    const double around = 2 * farthest + 2 * decoding.dbscan.eps + 1;
    const double all = around + farthest;
    const double side = std::floor(std::sqrt(double(image.window_pixels)) - 2 * std::ceil(all));
    const bool one_block = std::max(image.height, image.width) <= side;
    if (side < min_side && !one_block && image.window_pixels < int64_t(image.height) * image.width)
      refuse("pixels move up to ", std::llround(farthest), " px along the network's field, so that each block would ",
             "need more memory than there is; raise --max-memory");
    const int longest = std::max(image.height, image.width);
    side_ = side < min_side ? longest : int(std::min<double>(side, longest));
    around_ = int(std::min<double>(std::ceil(around), longest));
    farthest_ = int(std::min<double>(std::ceil(farthest), longest));
  }

  std::vector<ObjectExtent> run() {
    const int64_t blocks = blocks_along(image_.height) * blocks_along(image_.width);
    const int64_t kept = image_.records ? int64_t(image_.records->records().size()) : 0;
    BASIN_CHECK(kept <= 2 * blocks, kept, " records of ", blocks, " blocks");
    int64_t number = 0;  // of a block in a pass
    const auto report = [&] {
      if (image_.progress && number >= kept) image_.progress(double(number) / double(2 * blocks));
    };
    const auto in_blocks = [&](const auto& repeat, const auto& compute) {
      for_each_block([&](const PixelRect& block) {
        if (number < kept)
          repeat(std::span<const std::byte>(image_.records->records()[size_t(number)]));
        else
          compute(block);
        ++number;
        report();
      });
    };
    report();
    in_blocks([&](std::span<const std::byte> record) { repeat_cores(record); },
              [&](const PixelRect& block) { find_cores(block); });
    const std::vector<int32_t> numbers = clusters_.numbers();
    in_blocks([&](std::span<const std::byte> record) { add_parts(take<ObjectPart>(record)); },
              [&](const PixelRect& block) { label(block, numbers); });
    return std::move(extents_);
  }

 private:
  /// Records that a block is finished, after its results are in the file.
  void record(PlaneFile& file, const std::vector<std::byte>& content) {
    if (!image_.records) return;
    file.flush();
    image_.records->append(content);
  }

  void repeat_cores(std::span<const std::byte> record) {
    for (const int64_t first : take<int64_t>(record))
      clusters_.add(first);
    for (const United& pair : take<United>(record))
      clusters_.unite(pair.a, pair.b);
  }

  void add_parts(const std::vector<ObjectPart>& parts) {
    for (const ObjectPart& part : parts) {
      if (size_t(part.label) > extents_.size()) extents_.resize(size_t(part.label));
      extents_[size_t(part.label) - 1].add(part.extent);
    }
  }

  /// The foreground pixels of a part of the image, and where they end.
  struct Points {
    PixelRect window;
    Tensor mask;  // u8 [window]
    Tensor ends;  // f32 [N, 2]: x, y in the image

    int count() const { return ends.dim(0); }
    View<const float, 2> view() const { return ends.view<const float, 2>(); }
    /// Calls f(i, y, x) for each point, in raster order; y and x in the image.
    template <class F>
    void for_each(const F& f) const {
      const uint8_t* m = mask.data<const uint8_t>();
      int i = 0;
      for (int y = window.y; y < window.y + window.height; ++y)
        for (int x = window.x; x < window.x + window.width; ++x)
          if (*m++) f(i++, y, x);
    }
  };

  int64_t blocks_along(int side) const { return (int64_t(side) + side_ - 1) / side_; }

  template <class F>
  void for_each_block(const F& f) const {
    for (int64_t y = 0; y < image_.height; y += side_)
      for (int64_t x = 0; x < image_.width; x += side_)
        f(PixelRect{int(y), int(x), int(std::min<int64_t>(side_, image_.height - y)),
                    int(std::min<int64_t>(side_, image_.width - x))});
  }

  Points points_around(const PixelRect& block) const {
    Points p;
    p.window = block.grown(around_, image_.height, image_.width);
    const PixelRect seen = p.window.grown(farthest_, image_.height, image_.width);
    Maps maps = image_.maps(seen);
    const Tensor& logit = maps["logit"];
    const Tensor all = Tensor::empty(exec_, {seen.height, seen.width}, DType::u8);
    kernels::threshold_logit(exec_, View<const float, 2>{logit.data<const float>(), {seen.height, seen.width}},
                             decoding_.threshold, all.view<uint8_t, 2>());
    maps.tensors.erase("logit");
    p.mask = Tensor::empty(exec_, {p.window.height, p.window.width}, DType::u8);
    for (int y = 0; y < p.window.height; ++y)
      std::memcpy(p.mask.data<uint8_t>() + int64_t(y) * p.window.width,
                  all.data<const uint8_t>() + int64_t(y + p.window.y - seen.y) * seen.width + p.window.x - seen.x,
                  size_t(p.window.width));
    const View<const uint8_t, 2> mask = p.mask.view<const uint8_t, 2>();
    const int64_t n = kernels::count_points(exec_, mask);
    p.ends = Tensor::empty(exec_, {n, 2});
    if (n == 0) return p;
    const View<float, 2> points = p.ends.view<float, 2>();
    kernels::mask_points<float>(exec_, mask, points);
    for (int64_t i = 0; i < n; ++i)
      points.data[2 * i] += float(p.window.x), points.data[2 * i + 1] += float(p.window.y);
    kernels::integrate<float>(exec_, maps["field"].view<const float, 3>(), points, decoding_.integrate, {},
                              {seen.y, seen.x, image_.height, image_.width});
    return p;
  }

  std::vector<int32_t> known_clusters(const PixelRect& window) const {
    std::vector<int32_t> known(size_t(window.pixels()));
    image_.clusters->read(0, window, known.data());
    return known;
  }

  void find_cores(const PixelRect& block) {
    const Points p = points_around(block);
    std::vector<int32_t> component(size_t(p.count())), cores(size_t(block.pixels()));
    kernels::DbscanOptions options = decoding_.dbscan;
    options.border_points = false;
    const int64_t components = kernels::dbscan<float>(exec_, p.view(), options, {component.data(), {p.count()}});
    std::vector<int32_t> cluster(size_t(components), 0);  // of each component that has a core point of the block
    std::vector<int64_t> first;                           // pixels of new clusters
    std::vector<United> united;
    p.for_each([&](int i, int y, int x) {
      if (component[size_t(i)] < 0 || !block.contains(y, x)) return;
      int32_t& own = cluster[size_t(component[size_t(i)])];
      if (own == 0) {
        first.push_back(int64_t(y) * image_.width + x);
        own = clusters_.add(first.back());
      }
      cores[size_t(y - block.y) * size_t(block.width) + size_t(x - block.x)] = own;
    });
    const std::vector<int32_t> known = known_clusters(p.window);
    p.for_each([&](int i, int y, int x) {
      // Clusters within this block can only be those of an interrupted run, so they are not read.
      if (component[size_t(i)] < 0 || cluster[size_t(component[size_t(i)])] == 0 || block.contains(y, x)) return;
      const int32_t other = known[size_t(y - p.window.y) * size_t(p.window.width) + size_t(x - p.window.x)];
      const int32_t own = cluster[size_t(component[size_t(i)])];
      if (other != 0 && clusters_.unite(own, other)) united.push_back({own, other});
    });
    image_.clusters->write(0, block, cores.data(), block.width);
    std::vector<std::byte> content;
    put(content, first), put(content, united);
    record(*image_.clusters, content);
  }

  void label(const PixelRect& block, const std::vector<int32_t>& numbers) {
    const Points p = points_around(block);
    std::vector<int32_t> labels(size_t(p.count())), image(size_t(block.pixels()));
    const std::vector<int32_t> known = known_clusters(p.window);
    p.for_each([&](int i, int y, int x) {
      const int32_t cluster = known[size_t(y - p.window.y) * size_t(p.window.width) + size_t(x - p.window.x)];
      labels[size_t(i)] = cluster == 0 ? -1 : numbers[size_t(cluster)];
    });
    const View<int32_t, 1> view{labels.data(), {p.count()}};
    kernels::join_border_points<float>(exec_, p.view(), decoding_.dbscan.eps, view);
    kernels::snap_noise<float>(exec_, p.view(), decoding_.noise, decoding_.dbscan.eps, view);
    std::vector<ObjectPart> parts;
    std::unordered_map<int32_t, size_t> part_of;  // of objects in the block
    p.for_each([&](int i, int y, int x) {
      const int32_t id = labels[size_t(i)] + 1;
      if (id == 0 || !block.contains(y, x)) return;
      image[size_t(y - block.y) * size_t(block.width) + size_t(x - block.x)] = id;
      const auto [at, is_new] = part_of.emplace(id, parts.size());
      if (is_new) parts.push_back({id, {}});
      parts[at->second].extent.add(y, x);
    });
    image_.labels->write(0, block, image.data(), block.width);
    add_parts(parts);
    std::vector<std::byte> content;
    put(content, parts);
    record(*image_.labels, content);
  }

  const BlockDecoding& image_;
  const VectorFieldDecoding& decoding_;
  Exec exec_;
  int side_, around_, farthest_;  // side of a block; margin of points around it; margin of maps around these
  ClusterSets clusters_;
  std::vector<ObjectExtent> extents_;
};

}  // namespace

void ObjectExtent::add(int y, int x) {
  ++area;
  y0 = std::min(y0, y), y1 = std::max(y1, y + 1);
  x0 = std::min(x0, x), x1 = std::max(x1, x + 1);
}

void ObjectExtent::add(const ObjectExtent& part) {
  area += part.area;
  y0 = std::min(y0, part.y0), y1 = std::max(y1, part.y1);
  x0 = std::min(x0, part.x0), x1 = std::max(x1, part.x1);
}

std::vector<ObjectExtent> decode_in_blocks(const BlockDecoding& image, const VectorFieldDecoding& decoding) {
  BASIN_CHECK(reason_for_whole_image(decoding).empty(), reason_for_whole_image(decoding));
  return BlockDecoder(image, decoding).run();
}

std::string reason_for_whole_image(const VectorFieldDecoding& d) {
  if (d.rescale) return "--rescale compares the field at each pixel with that of the whole image";
  if (d.noise == kernels::NoiseRule::majority) return "--snap-noise majority looks for neighbours in the whole image";
  return {};
}

}  // namespace basin
