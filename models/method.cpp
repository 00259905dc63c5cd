#include "models/method.h"

#include "engine/json.h"
#include "models/registry.h"

namespace basin {

void Instances::keep(const std::vector<int32_t>& numbers) {
  if (planes) planes = selected(*planes, numbers);
  if (scores.empty()) return;
  std::vector<float> kept;
  for (const int32_t number : numbers)
    kept.push_back(scores[size_t(number) - 1]);
  scores = std::move(kept);
}

Json Method::config() const {
  Json config{{"method", name()}};
  settings().write(config);
  return config;
}

void Method::take_parameters(const Exec& exec, const Method& from) {
  params_.allocate(exec);
  params_.copy_from(exec, from.params_);
}

std::vector<ObjectExtent> Method::decode_blocks(const BlockDecoding&) const {
  BASIN_CHECK(false, reason_for_whole_image());
  return {};
}

Maps Method::layered_oracle(const Exec&, const Labels&, int layers) const {
  BASIN_CHECK(false, name(), " has no samples of ", layers, " layers");
  return {};
}

std::unique_ptr<Decoder> Method::decoder(Maps maps) const {
  class Repeated : public Decoder {
   public:
    Repeated(std::unique_ptr<Method> method, Maps maps) : method_(std::move(method)), maps_(std::move(maps)) {}
    Instances decode(const Exec& exec, const Json& decoding) override {
      method_->settings().set_decoding(decoding);
      return method_->decode(exec, maps_);
    }

   private:
    std::unique_ptr<Method> method_;
    Maps maps_;
  };
  return std::make_unique<Repeated>(make_method(config()), std::move(maps));
}

}  // namespace basin
