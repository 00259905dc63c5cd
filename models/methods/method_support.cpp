#include "models/methods/method_support.h"

#include <algorithm>
#include <vector>

#include "engine/json.h"

namespace basin {

Setting normalisation_setting(Normalisation& value) {
  Setting s;
  s.use = Setting::Use::training;
  s.key = "normalisation";
  s.help = "how pixel values become what the network sees";
  s.range = "divide, percentile:LOW,HIGH or none";
  s.value = [&value] { return Json(to_string(value)); };
  s.assign = [&value](const Json& j) {
    if (!j.is_string()) return false;
    value = parse_normalisation(j.get<std::string>());
    return true;
  };
  s.parse = [](const std::string& text) { return Json(text); };
  s.option = "--norm";
  return s;
}

void publish_capacity(int& value, Settings& settings) {
  settings.integer(Setting::Use::training, "capacity", value, 1, max_capacity, "largest number of objects in a crop")
      .only_limits = true;
}

void publish_layers(int& value, Settings& settings) {
  Setting& layers = settings.integer(
      Setting::Use::training, "layers", value, 1, max_label_layers,
      "layers of labels of a training sample; with 2 or more, objects that share pixels are learnt whole");
  layers.unwritten = "1";
}

int cut_compact(View<const int32_t, 3> labels, View<int32_t, 3> to) {
  BASIN_CHECK(labels.dim[0] == to.dim[0], labels.dim[0], " layers of labels, and a target of ", to.dim[0]);
  const int margin_y = (labels.dim[1] - to.dim[1]) / 2, margin_x = (labels.dim[2] - to.dim[2]) / 2;
  std::vector<int32_t> ids;
  for (int layer = 0; layer < to.dim[0]; ++layer)
    for (int y = 0; y < to.dim[1]; ++y) {
      const int32_t* row = &labels(layer, y + margin_y, margin_x);
      std::copy_n(row, to.dim[2], &to(layer, y, 0));
      for (int x = 0; x < to.dim[2]; ++x)
        if (row[x] > 0 && (x == 0 || row[x] != row[x - 1])) ids.push_back(row[x]);
    }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  int32_t last = 0, compact = 0;
  for (int64_t i = 0; i < to.size(); ++i) {
    int32_t& id = to.data[i];
    if (id <= 0) {
      id = 0;
      continue;
    }
    if (id != last) last = id, compact = int32_t(std::lower_bound(ids.begin(), ids.end(), id) - ids.begin()) + 1;
    id = compact;
  }
  return int(ids.size());
}

void check_capacity(int objects, int capacity, bool mirrored) {
  if (objects <= capacity) return;
  refuse("a crop of this image has ", objects, " objects", mirrored ? ", mirrored copies included" : "",
         ", and may have at most ", capacity, "; ", capacity_advice(objects));
}

bool is_local_maximum(const std::vector<float>& map, int height, int width, int32_t pixel) {
  const int y = pixel / width, x = pixel % width;
  for (int v = std::max(y - 1, 0); v <= std::min(y + 1, height - 1); ++v)
    for (int u = std::max(x - 1, 0); u <= std::min(x + 1, width - 1); ++u)
      if (map[size_t(v) * size_t(width) + size_t(u)] > map[size_t(pixel)]) return false;
  return true;
}

Tensor without_channel(const Tensor& t) {
  BASIN_CHECK(t.shape().rank() == 4 && t.dim(1) == 1, "tensor ", t.shape());
  return Tensor::borrow(t.owner(), t.raw(), t.device(), {t.dim(0), t.dim(2), t.dim(3)}, t.dtype());
}

Tensor scheduled_number(const Exec& exec, const StepState* state) {
  return Tensor::borrow({}, const_cast<float*>(&state->scheduled), exec.device, {1}, DType::f32);
}

}  // namespace basin
