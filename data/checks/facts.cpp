#include "data/checks/facts.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "data/dataset/dataset.h"
#include "data/dataset/normalise.h"
#include "data/dataset/order_statistics.h"
#include "engine/fingerprint.h"

namespace basin {

ImageFacts facts_of(const Image& image) {
  ImageFacts facts;
  facts.height = image.height, facts.width = image.width, facts.channels = image.channels, facts.type = image.type;
  facts.separate_channels = channels_of(image).separate;
  with_pixels(image.type, [&](auto zero) {
    using T = decltype(zero);
    const size_t n = image.pixels.size() / sizeof(T);
    const T* values = image.as<T>();
    const auto [low, high] = std::minmax_element(values, values + n);
    facts.low = double(*low), facts.high = double(*high);
    const size_t rank = size_t(std::llround(0.998 * double(n - 1)));
    facts.bright = double(order_statistics(n, [&](size_t i) { return float(values[i]); }, {rank, rank, rank, rank})[0]);
    if constexpr (std::is_integral_v<T>) facts.bits_used = int(std::bit_width(*high));
  });
  facts.pixel_size = image.stack.pixel_size().value_or(0);
  facts.fingerprint = fingerprint(image);
  return facts;
}

std::string kind_of(const ImageFacts& facts) {
  return std::string(name_of(facts.type)) + ", " + std::to_string(facts.channels) +
         (facts.channels == 1 ? " channel" : " channels");
}

LabelFacts facts_of(const Labels& labels) {
  LabelFacts facts;
  facts.objects.resize(size_t(labels.count));
  struct Box {
    int y0 = 0, x0 = 0, y1 = -1, x1 = -1;
  };
  std::vector<Box> boxes(facts.objects.size());
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) {
      const int32_t id = labels(y, x);
      if (id == 0) continue;
      Box& box = boxes[size_t(id) - 1];
      if (box.y1 < 0) box = {y, x, y, x};
      box.y1 = y, box.x0 = std::min(box.x0, x), box.x1 = std::max(box.x1, x);
    }
  for (size_t k = 0; k < boxes.size(); ++k) {
    facts.objects[k].height = boxes[k].y1 - boxes[k].y0 + 1;
    facts.objects[k].width = boxes[k].x1 - boxes[k].x0 + 1;
  }
  for (const Piece& piece : pieces_of(labels)) {
    ObjectFacts& object = facts.objects[size_t(piece.id) - 1];
    object.area += piece.area;
    if (object.pieces++ == 0 || piece.area < object.smallest.area) object.smallest = piece;
  }
  facts.evidence = evidence(labels);
  Fingerprint hash;
  hash.add(uint64_t(labels.height) << 32 | uint64_t(labels.width));
  hash.add(std::as_bytes(std::span(labels.ids)));
  facts.fingerprint = hash.digits();
  return facts;
}

bool looks_binary(const LabelFacts& facts) { return facts.objects.size() == 1 && facts.objects[0].pieces > 1; }

bool looks_smoothed(const LabelFacts& facts) {
  const LabelEvidence& e = facts.evidence;
  return !e.interpolated && e.between >= 20 && 12 * e.between >= e.borders;
}

}  // namespace basin
