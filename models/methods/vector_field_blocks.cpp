#include "models/methods/vector_field_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>

#include "engine/pool.h"
#include "engine/ranks/ranks.h"
#include "kernels/cluster/border_points.h"
#include "kernels/cluster/mask_points.h"
#include "models/methods/cluster_sets.h"

namespace basin {
namespace {

constexpr int min_side = 32;             // of a block
constexpr int min_side_for_ranks = 512;  // smaller blocks mostly repeat the work of their neighbours

/// The value of pixels in the file of clusters that are no core points. Others have the name of their cluster: the
/// place of its first core point in the image, from 1, in raster order.
constexpr int32_t no_cluster = 0;

/// Core points of earlier blocks that belong to a cluster: columns x0 to x1 - 1 of a row.
struct Contact {
  int32_t cluster, y, x0, x1;
};

/// Two clusters that are one.
struct Pair {
  int32_t a, b;
  auto operator<=>(const Pair&) const = default;
};

/// The part of an object in a block.
struct ObjectPart {
  int64_t label;
  ObjectExtent extent;
};

// A record of a block: which pass over the blocks it belongs to, which block it is and the side of blocks, and then
// lists of elements, each after their number.
enum class Pass : int64_t { find_cores, label };

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
    if (image.ranks) {  // several blocks for each rank, so that none waits long for the others
      const double share = double(image.height) * image.width / (4.0 * image.ranks->count());
      side_ = std::min(side_, std::max(min_side_for_ranks, int(std::sqrt(share))));
    }
    around_ = int(std::min<double>(std::ceil(around), longest));
    farthest_ = int(std::min<double>(std::ceil(farthest), longest));
  }

  std::vector<ObjectExtent> run() {
    take_records();
    report(std::count(done_[0].begin(), done_[0].end(), true) + std::count(done_[1].begin(), done_[1].end(), true));
    for_each_block(Pass::find_cores, [&](int64_t number) { find_cores(number); });
    ClusterSets sets = join_clusters();
    for_each_block(Pass::label, [&](int64_t number) { label(number, sets); });
    if (image_.ranks) do_on_all(image_.ranks, [&] { image_.labels->reopen(); });
    std::vector<ObjectExtent> extents;
    for (const ObjectPart& part : gather_elements(image_.ranks, parts_)) {
      if (size_t(part.label) > extents.size()) extents.resize(size_t(part.label));
      extents[size_t(part.label) - 1].add(part.extent);
    }
    return extents;
  }

 private:
  int64_t blocks() const { return int64_t(blocks_along(image_.height)) * blocks_along(image_.width); }
  int blocks_along(int side) const { return int((int64_t(side) + side_ - 1) / side_); }
  int64_t number_of_block(int y, int x) const { return int64_t(y / side_) * blocks_along(image_.width) + x / side_; }
  PixelRect block(int64_t number) const {
    const int64_t y = number / blocks_along(image_.width) * side_, x = number % blocks_along(image_.width) * side_;
    return {int(y), int(x), int(std::min<int64_t>(side_, image_.height - y)),
            int(std::min<int64_t>(side_, image_.width - x))};
  }

  void report(int64_t done) const {
    if (image_.progress) image_.progress(double(done) / double(2 * blocks()));
  }

  /// Shares those blocks among the ranks that are not recorded.
  template <class F>
  void for_each_block(Pass pass, const F& f) {
    std::vector<bool>& done = done_[size_t(pass)];
    std::vector<int64_t> missing;
    for (int64_t number = 0; number < blocks(); ++number)
      if (!done[size_t(number)]) missing.push_back(number);
    const int64_t before = (pass == Pass::label ? 2 : 1) * blocks() - int64_t(missing.size());
    share_tasks(image_.ranks, int64_t(missing.size()), [&](int64_t k) {
      f(missing[size_t(k)]);
      report(before + k + 1);
    });
    if (image_.records) do_on_all(image_.ranks, [&] { image_.records->settle(); });
  }

  /// Records that a block is finished, after its results are in the file.
  void record(Pass pass, int64_t number, const std::vector<std::byte>& lists) {
    if (!image_.records) return;
    std::vector<std::byte> content;
    put(content, std::vector<int64_t>{int64_t(pass), number, side_});
    content.insert(content.end(), lists.begin(), lists.end());
    image_.records->append(std::move(content));
  }

  /// Continues from the recorded blocks, whose lists the ranks share.
  void take_records() {
    for (std::vector<bool>& done : done_)
      done.assign(size_t(blocks()), false);
    if (!image_.records) return;
    const int64_t rank = image_.ranks ? image_.ranks->rank() : 0, ranks = image_.ranks ? image_.ranks->count() : 1;
    for (const std::vector<std::byte>& bytes : image_.records->records()) {
      std::span<const std::byte> record = bytes;
      const std::vector<int64_t> head = take<int64_t>(record);
      BASIN_CHECK(head.size() == 3, head.size(), " numbers");
      if (head[2] != side_) continue;  // another number of ranks
      BASIN_CHECK((head[0] == 0 || head[0] == 1) && head[1] >= 0 && head[1] < blocks(), "a record of another image");
      std::vector<bool>& done = done_[size_t(head[0])];
      if (done[size_t(head[1])]) continue;
      done[size_t(head[1])] = true;
      if (head[1] % ranks != rank) continue;
      if (Pass(head[0]) == Pass::label) {
        append(parts_, take<ObjectPart>(record));
      } else {
        append(clusters_, take<int32_t>(record));
        append(contacts_, take<Contact>(record));
      }
    }
  }

  template <class T>
  static void append(std::vector<T>& to, const std::vector<T>& elements) {
    to.insert(to.end(), elements.begin(), elements.end());
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

  void find_cores(int64_t number) {
    const PixelRect own = block(number);
    const Points p = points_around(own);
    std::vector<int32_t> component(size_t(p.count())), cores(size_t(own.pixels()), no_cluster);
    kernels::DbscanOptions options = decoding_.dbscan;
    options.border_points = false;
    const int64_t components = kernels::dbscan<float>(exec_, p.view(), options, {component.data(), {p.count()}});
    std::vector<int32_t> cluster(size_t(components), no_cluster);  // of each component with a core point of the block
    std::vector<int32_t> clusters;
    p.for_each([&](int i, int y, int x) {
      if (component[size_t(i)] < 0 || !own.contains(y, x)) return;
      int32_t& name = cluster[size_t(component[size_t(i)])];
      if (name == no_cluster) clusters.push_back(name = int32_t(int64_t(y) * image_.width + x + 1));
      cores[size_t(y - own.y) * size_t(own.width) + size_t(x - own.x)] = name;
    });
    std::vector<Contact> contacts;
    p.for_each([&](int i, int y, int x) {
      // Of two blocks, the later one finds all that connects them.
      if (component[size_t(i)] < 0 || number_of_block(y, x) >= number) return;
      const int32_t name = cluster[size_t(component[size_t(i)])];
      if (name == no_cluster) return;
      if (contacts.empty() || contacts.back().cluster != name || contacts.back().y != y || contacts.back().x1 != x)
        contacts.push_back({name, y, x, x});
      ++contacts.back().x1;
    });
    image_.clusters->write(0, own, cores.data(), own.width);
    std::vector<std::byte> lists;
    put(lists, clusters), put(lists, contacts);
    record(Pass::find_cores, number, lists);
    append(clusters_, clusters), append(contacts_, contacts);
  }

  /// The sets of connected clusters, numbered, when all blocks have found theirs.
  ClusterSets join_clusters() {
    std::vector<Pair> pairs;
    do_on_all(image_.ranks, [&] {
      if (image_.ranks) image_.clusters->reopen();
      std::vector<int32_t> others;
      for (const Contact& c : contacts_) {
        others.resize(size_t(c.x1 - c.x0));
        image_.clusters->read(0, {c.y, c.x0, 1, c.x1 - c.x0}, others.data());
        for (const int32_t other : others)
          if (other != no_cluster && (pairs.empty() || pairs.back() != Pair{c.cluster, other}))
            pairs.push_back({c.cluster, other});
      }
      contacts_ = {};
      std::sort(pairs.begin(), pairs.end());
      pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
    });
    ClusterSets sets(gather_elements(image_.ranks, clusters_));
    for (const Pair& pair : gather_elements(image_.ranks, pairs))
      sets.unite(pair.a, pair.b);
    sets.number();
    return sets;
  }

  void label(int64_t number, const ClusterSets& sets) {
    const PixelRect own = block(number);
    const Points p = points_around(own);
    std::vector<int32_t> labels(size_t(p.count())), image(size_t(own.pixels())), clusters(size_t(p.window.pixels()));
    image_.clusters->read(0, p.window, clusters.data());
    int32_t last = no_cluster, last_number = -1;  // neighbouring pixels mostly have the same cluster
    p.for_each([&](int i, int y, int x) {
      const int32_t cluster = clusters[size_t(y - p.window.y) * size_t(p.window.width) + size_t(x - p.window.x)];
      if (cluster != last) last = cluster, last_number = cluster == no_cluster ? -1 : sets.number_of(cluster);
      labels[size_t(i)] = last_number;
    });
    const View<int32_t, 1> view{labels.data(), {p.count()}};
    kernels::join_border_points<float>(exec_, p.view(), decoding_.dbscan.eps, view);
    kernels::snap_noise<float>(exec_, p.view(), decoding_.noise, decoding_.dbscan.eps, view);
    std::vector<ObjectPart> parts;
    std::unordered_map<int32_t, size_t> part_of;  // of objects in the block
    p.for_each([&](int i, int y, int x) {
      const int32_t id = labels[size_t(i)] + 1;
      if (id == 0 || !own.contains(y, x)) return;
      image[size_t(y - own.y) * size_t(own.width) + size_t(x - own.x)] = id;
      const auto [at, is_new] = part_of.emplace(id, parts.size());
      if (is_new) parts.push_back({id, {}});
      parts[at->second].extent.add(y, x);
    });
    image_.labels->write(0, own, image.data(), own.width);
    std::vector<std::byte> lists;
    put(lists, parts);
    record(Pass::label, number, lists);
    append(parts_, parts);
  }

  const BlockDecoding& image_;
  const VectorFieldDecoding& decoding_;
  Exec exec_;
  int side_, around_, farthest_;           // side of a block; margin of points around it; margin of maps around these
  std::array<std::vector<bool>, 2> done_;  // whether each block is, in each pass
  // What this rank has found, or taken from records:
  std::vector<int32_t> clusters_;
  std::vector<Contact> contacts_;
  std::vector<ObjectPart> parts_;
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
  std::optional<BlockDecoder> decoder;
  do_on_all(image.ranks, [&] { decoder.emplace(image, decoding); });
  return decoder->run();
}

std::string reason_for_whole_image(const VectorFieldDecoding& d) {
  if (d.rescale) return "--rescale compares the field at each pixel with that of the whole image";
  if (d.noise == kernels::NoiseRule::majority) return "--snap-noise majority looks for neighbours in the whole image";
  return {};
}

}  // namespace basin
