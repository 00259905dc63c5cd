#include "data/metrics/score_bytes.h"

#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

template <class T>
void put(std::string& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
void put(std::string& bytes, const std::vector<T>& values) {
  put(bytes, values.size());
  for (const T& value : values)
    put(bytes, value);
}

template <class T>
void take(std::string_view& bytes, T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  BASIN_CHECK(bytes.size() >= sizeof value, bytes.size(), " bytes are left");
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
}
template <class T>
void take(std::string_view& bytes, std::vector<T>& values) {
  size_t count = 0;
  take(bytes, count);
  BASIN_CHECK(count <= bytes.size() / sizeof(T), count, " values in ", bytes.size(), " bytes");
  values.resize(count);
  for (T& value : values)
    take(bytes, value);
}

/// Calls f with each member of a score.
template <class Score, class F>
void for_each_member(Score& s, const F& f) {
  // Fails to compile if a member is added, which must then be added below.
  auto& [truth, prediction, matched, best_of_truth, best_of_prediction, semantic_iou, semantic_f1, aji, aji_plus,
         aji_cellpose, dice2, best_dice_prediction, best_dice_truth, seg, det, detections, box_detections,
         has_confidence, from_planes] = s;
  f(truth), f(prediction), f(matched), f(best_of_truth), f(best_of_prediction), f(semantic_iou), f(semantic_f1);
  f(aji), f(aji_plus), f(aji_cellpose), f(dice2), f(best_dice_prediction), f(best_dice_truth), f(seg), f(det);
  f(detections), f(box_detections), f(has_confidence), f(from_planes);
}

}  // namespace

void put_score(std::string& bytes, const ImageScore& score) {
  for_each_member(score, [&](const auto& member) { put(bytes, member); });
}

ImageScore take_score(std::string_view& bytes) {
  ImageScore score;
  for_each_member(score, [&](auto& member) { take(bytes, member); });
  return score;
}

}  // namespace basin
