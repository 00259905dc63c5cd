#include "models/methods/object_guided_decoding.h"

#include <algorithm>
#include <cmath>

#include "kernels/image/runs.h"
#include "kernels/runtime/elementary.h"
#include "models/methods/method_support.h"

namespace basin {
namespace {

struct FloodedPiece {
  int64_t area = 0;
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  int32_t first = 0;  // its first pixel
};

/// Flood fill of the piece that contains a pixel; marks its pixels as seen.
FloodedPiece flood(const Labels& labels, int32_t start, std::vector<uint8_t>& seen, std::vector<int32_t>& pixels) {
  const int width = labels.width;
  const int32_t id = labels.ids[size_t(start)];
  FloodedPiece piece{0, start % width, start / width, start % width, start / width, start};
  pixels.assign(1, start);
  seen[size_t(start)] = 1;
  for (size_t next = 0; next < pixels.size(); ++next) {
    const int32_t at = pixels[next];
    const int y = at / width, x = at % width;
    piece.x0 = std::min(piece.x0, x), piece.x1 = std::max(piece.x1, x);
    piece.y0 = std::min(piece.y0, y), piece.y1 = std::max(piece.y1, y);
    const auto visit = [&](bool inside, int32_t to) {
      if (!inside || labels.ids[size_t(to)] != id || seen[size_t(to)]) return;
      seen[size_t(to)] = 1;
      pixels.push_back(to);
    };
    visit(x > 0, at - 1), visit(x + 1 < width, at + 1);
    visit(y > 0, at - width), visit(y + 1 < labels.height, at + width);
  }
  piece.area = int64_t(pixels.size());
  return piece;
}

/// The votes of one region for pixels of the frame, within the box that they reach.
struct Votes {
  int x0, y0, width, height;
  std::vector<float> sum, weight;

  Votes(const RoiList::Region& region, const float* mask, int frame_height, int frame_width) {
    const auto first = [](double low) { return std::max(int(std::floor(low)), 0); };
    const auto last = [](double low, double step, int n, int side) {
      return std::min(int(std::floor(low + step * (n - 1))) + 1, side - 1);
    };
    x0 = first(region.x0), y0 = first(region.y0);
    width = std::max(last(region.x0, region.step_x, region.width, frame_width) - x0 + 1, 0);
    height = std::max(last(region.y0, region.step_y, region.height, frame_height) - y0 + 1, 0);
    sum.assign(size_t(width) * size_t(height), 0);
    weight = sum;
    for (int row = 0; row < region.height; ++row)
      for (int column = 0; column < region.width; ++column) {
        const kernels::Corners<float> corners(region.x0 + column * region.step_x - x0,
                                              region.y0 + row * region.step_y - y0);
        corners.each(height, width, [&](int y, int x, float w) {
          const size_t at = size_t(y) * size_t(width) + size_t(x);
          sum[at] += w * mask[size_t(row) * size_t(region.width) + size_t(column)];
          weight[at] += w;
        });
      }
  }
  bool elect(int y, int x, ObjectGuidedDecoding::Votes rule) const {
    if (y < y0 || x < x0 || y >= y0 + height || x >= x0 + width) return false;
    const size_t at = size_t(y - y0) * size_t(width) + size_t(x - x0);
    if (rule == ObjectGuidedDecoding::Votes::published) return sum[at] >= 0.53f;
    return weight[at] > 0 && sum[at] >= 0.5f * weight[at];
  }
};

/// The range of pixels of a side of length `to` that falls into [begin, end) of a side of length `from`.
std::pair<int, int> resized_range(int begin, int end, int from, int to) {
  const int low = std::max(int(int64_t(begin) * to / from) - 1, 0);
  return {low, std::min(int(int64_t(end) * to / from) + 2, to)};
}

/// `image`: the rectangle of the frame that the image of height x width px fills.
Instance instance_of(const Votes& votes, double score, const PixelRect& image, int height, int width,
                     ObjectGuidedDecoding::Votes rule) {
  const int votes_y = votes.y0 - image.y, votes_x = votes.x0 - image.x;
  const auto [top, bottom] = resized_range(votes_y, votes_y + votes.height, image.height, height);
  const auto [left, right] = resized_range(votes_x, votes_x + votes.width, image.width, width);
  int x0 = width, y0 = height, x1 = -1, y1 = -1;
  const auto elect = [&](int y, int x) {
    return votes.elect(image.y + nearest_source(y, image.height, height),
                       image.x + nearest_source(x, image.width, width), rule);
  };
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x)
      if (elect(y, x)) x0 = std::min(x0, x), x1 = std::max(x1, x), y0 = std::min(y0, y), y1 = std::max(y1, y);
  Instance object{x0, y0, x1 - x0 + 1, y1 - y0 + 1, {}, score, 0};
  if (x1 < x0) return {};
  object.mask.reserve(size_t(object.width) * size_t(object.height));
  for (int y = y0; y <= y1; ++y)
    for (int x = x0; x <= x1; ++x)
      object.mask.push_back(elect(y, x));
  object.area = std::count(object.mask.begin(), object.mask.end(), 1);
  return object;
}

/// The labels of an image in the frame, layer by layer.
Labels placed(const Labels& labels, const GuidedFrame& frame, int layers) {
  const Labels image = resized(labels, layers * frame.image.height, frame.image.width);
  const int height = layers * frame.height;
  Labels all{height, frame.width, image.count, std::vector<int32_t>(size_t(height) * size_t(frame.width))};
  for (int y = 0; y < image.height; ++y) {
    const int row = y / frame.image.height * frame.height + frame.image.y + y % frame.image.height;
    std::copy_n(&image.ids[size_t(y) * size_t(image.width)], image.width,
                &all.ids[size_t(row) * size_t(all.width) + size_t(frame.image.x)]);
  }
  return all;
}

double iou(const Instance& a, const Instance& b) {
  const int x0 = std::max(a.x, b.x), x1 = std::min(a.x + a.width, b.x + b.width);
  const int y0 = std::max(a.y, b.y), y1 = std::min(a.y + a.height, b.y + b.height);
  int64_t common = 0;
  for (int y = y0; y < y1; ++y)
    for (int x = x0; x < x1; ++x)
      common += a.mask[size_t(y - a.y) * size_t(a.width) + size_t(x - a.x)] &
                b.mask[size_t(y - b.y) * size_t(b.width) + size_t(x - b.x)];
  return double(common) / double(a.area + b.area - common);
}

std::vector<Planes::Run> runs_of(const Instance& object, int64_t width) {
  std::vector<Planes::Run> runs;
  for (int row = 0; row < object.height; ++row) {
    const uint8_t* mask = object.mask.data() + size_t(row) * size_t(object.width);
    const int64_t start = (object.y + row) * width + object.x;
    for_each_run(mask, size_t(object.width), [&](size_t begin, size_t end, uint8_t inside) {
      if (inside) append_run(runs, start + int64_t(begin), start + int64_t(end));
    });
  }
  return runs;
}

}  // namespace

GuidedObjects guided_objects(const Labels& labels, int max_objects, int layers) {
  const size_t n = labels.ids.size();
  std::vector<FloodedPiece> largest(size_t(labels.count) + 1);
  std::vector<uint8_t> seen(n, 0);
  std::vector<int32_t> pixels;
  for (size_t i = 0; i < n; ++i) {
    if (labels.ids[i] == 0 || seen[i]) continue;
    const FloodedPiece piece = flood(labels, int32_t(i), seen, pixels);
    FloodedPiece& best = largest[size_t(labels.ids[i])];
    if (piece.area > best.area) best = piece;
  }
  GuidedObjects objects{{labels.height, labels.width, 0, std::vector<int32_t>(n, 0)}, {}};
  std::fill(seen.begin(), seen.end(), uint8_t(0));
  for (const FloodedPiece& p : largest) {
    if (p.area == 0 || objects.pieces.count == max_objects) continue;
    const int width = p.x1 - p.x0 + 1, height = p.y1 - p.y0 + 1;
    if (std::min(width, height) <= narrow_guided_object) continue;
    flood(labels, p.first, seen, pixels);
    ++objects.pieces.count;
    for (int32_t pixel : pixels)
      objects.pieces.ids[size_t(pixel)] = objects.pieces.count;
    const int layer_height = labels.height / layers, top = p.y0 / layer_height * layer_height;
    objects.boxes.push_back({0, (p.x0 + p.x1) / 2.0, (p.y0 + p.y1) / 2.0 - top, double(width), double(height)});
  }
  return objects;
}

std::vector<ScoredBox> decode_boxes(const Exec& exec, const Tensor& heat, const Tensor& size, const Tensor& offset,
                                    const ObjectGuidedDecoding& o) {
  BASIN_CHECK(heat.shape().rank() == 3 && heat.dim(0) == 1 && size.shape() == offset.shape() &&
                  size.shape() == Shape({2, heat.dim(1), heat.dim(2)}),
              "heat ", heat.shape(), ", sizes ", size.shape(), ", offsets ", offset.shape());
  const int height = heat.dim(1), width = heat.dim(2);
  const int cells = height * width;
  std::vector<float> p = heat.to_host<float>(exec);
  const std::vector<float> sides = size.to_host<float>(exec), shift = offset.to_host<float>(exec);
  for (float& z : p)
    z = float(kernels::reproducible_sigmoid(double(z)));
  std::vector<int32_t> peaks;
  for (int32_t cell = 0; cell < cells; ++cell)
    if (double(p[size_t(cell)]) > o.confidence && is_local_maximum(p, height, width, cell)) peaks.push_back(cell);
  std::stable_sort(peaks.begin(), peaks.end(), [&](int32_t a, int32_t b) { return p[size_t(a)] > p[size_t(b)]; });
  std::vector<ScoredBox> boxes;
  constexpr double down = kernels::detection_down;
  for (const int32_t cell : peaks) {
    if (int(boxes.size()) == o.max_objects) break;
    const size_t at = size_t(cell), beside = at + size_t(cells);
    const auto rounded = [](double value) { return double(float(value)); };
    const RoiBox box{0, rounded(down * (cell % width + double(shift[at]))),
                     rounded(down * (cell / width + double(shift[beside]))), down * double(sides[at]),
                     down * double(sides[beside])};
    // Far larger than any frame, far outside or NaN: such a box cannot have a region.
    const bool is_sane = std::abs(box.x) < 1e5 && std::abs(box.y) < 1e5 && box.width < 1e4 && box.height < 1e4;
    if (is_sane && roi_levels(box, 1) == 1) boxes.push_back({box, double(p[at])});
  }
  return boxes;
}

ScoredMasks decode_masks(const std::vector<ScoredBox>& boxes, const RoiList& regions, const std::vector<float>& masks,
                         const GuidedFrame& frame, int height, int width, const ObjectGuidedDecoding& o) {
  BASIN_CHECK(regions.count() == int(boxes.size()) && regions.points == int(masks.size()), boxes.size(), " boxes, ",
              regions.count(), " regions of ", regions.points, " points, ", masks.size(), " values");
  std::vector<Instance> found(boxes.size());
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t r = 0; r < boxes.size(); ++r) {
    const RoiList::Region& region = regions.regions[r];
    const Votes votes(region, masks.data() + region.offset, frame.height, frame.width);
    found[r] = instance_of(votes, boxes[r].score, frame.image, height, width, o.votes);
  }
  std::stable_sort(found.begin(), found.end(), [](const Instance& a, const Instance& b) { return a.score > b.score; });
  ScoredMasks result{height, width, {}};
  for (Instance& object : found) {
    if (object.area == 0) continue;
    const bool suppressed = std::any_of(result.objects.begin(), result.objects.end(),
                                        [&](const Instance& better) { return iou(better, object) > o.max_overlap; });
    if (!suppressed) result.objects.push_back(std::move(object));
  }
  return result;
}

PaintedMasks paint(const ScoredMasks& found) {
  PaintedMasks painted;
  Planes all{found.height, found.width, {}};
  for (const Instance& object : found.objects)
    all.objects.push_back(runs_of(object, found.width));
  painted.labels = flatten(all);
  painted.hidden = int(found.objects.size()) - painted.labels.count;
  std::vector<bool> is_hidden(found.objects.size(), false);
  if (painted.hidden > 0)
    for (const size_t k : covered(all))
      is_hidden[k] = true;
  painted.planes = {found.height, found.width, {}};
  for (size_t k = 0; k < found.objects.size(); ++k) {
    if (is_hidden[k]) continue;
    painted.scores.push_back(float(found.objects[k].score));
    painted.planes.objects.push_back(std::move(all.objects[k]));
  }
  return painted;
}

GuidedMaps object_guided_oracle(const Labels& labels, const GuidedFrame& frame, int layers) {
  constexpr int down = kernels::detection_down;
  BASIN_CHECK(frame.height % down == 0 && frame.width % down == 0, "a frame of ", frame.height, "x", frame.width);
  const Exec cpu;
  const GuidedObjects objects = guided_objects(placed(labels, frame, layers), max_guided_objects + 1, layers);
  const int height = frame.height / down, width = frame.width / down, count = int(objects.boxes.size());
  std::vector<float> table;
  for (const RoiBox& b : objects.boxes)
    table.insert(table.end(), {float(b.x), float(b.y), float(b.width), float(b.height)});
  const Tensor boxes = Tensor::from(cpu, {1, count, 4}, table), counts = Tensor::from<int32_t>(cpu, {1}, {count});
  const Tensor heat = Tensor::empty(cpu, {1, 1, height, width}), cell = Tensor::empty(cpu, {1, count}, DType::i32);
  const Tensor sides = Tensor::empty(cpu, {1, count, 2}), shifts = Tensor::empty(cpu, {1, count, 2});
  kernels::detection_targets<float>(cpu, boxes.view<const float, 3>(), counts.view<const int32_t, 1>(),
                                    heat.view<float, 4>(), cell.view<int32_t, 2>(), sides.view<float, 3>(),
                                    shifts.view<float, 3>());
  GuidedMaps maps{Tensor::empty(cpu, {1, height, width}),
                  Tensor::zeros(cpu, {2, height, width}),
                  Tensor::zeros(cpu, {2, height, width}),
                  {},
                  {}};
  const int cells = height * width;
  for (int i = 0; i < cells; ++i) {
    const double p = std::clamp(double(heat.data<float>()[i]), 1e-4, 1 - 1e-4);
    maps.heat.data<float>()[i] = float(std::log(p / (1 - p)));
  }
  std::vector<int32_t> object_at(size_t(cells), 0);
  for (int k = 0; k < count; ++k) {
    const int at = cell.data<int32_t>()[k];
    object_at[size_t(at)] = k + 1;
    for (int c = 0; c < 2; ++c) {
      maps.size.data<float>()[c * cells + at] = sides.data<float>()[2 * k + c];
      maps.offset.data<float>()[c * cells + at] = shifts.data<float>()[2 * k + c];
    }
  }
  ObjectGuidedDecoding all;
  all.max_objects = max_guided_objects + 1;
  maps.boxes = decode_boxes(cpu, maps.heat, maps.size, maps.offset, all);
  std::vector<RoiBox> regions_of;
  std::vector<int32_t> ids;
  for (const ScoredBox& b : maps.boxes) {
    regions_of.push_back(b.box);
    ids.push_back(object_at[size_t(int(b.box.y / down) * width + int(b.box.x / down))]);
  }
  const RoiList regions = roi_list(cpu, regions_of, 0);
  Tape tape(cpu, Tape::Mode::evaluate);
  const Tensor pieces = Tensor::from(cpu, {1, layers, frame.height, frame.width}, objects.pieces.ids);
  const Tensor sheet = roi_mask_sample(cpu, pieces, ids, regions, DType::f32);
  maps.masks = roi_values(tape, {sheet}, regions).value.to_host<float>(cpu);
  return maps;
}

}  // namespace basin
