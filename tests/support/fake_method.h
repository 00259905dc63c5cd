#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/method.h"

namespace basin::test {

/// A method without network or training, whose maps and instances come from given functions: for tests of code that
/// uses methods through their interface only.
class FakeMethod : public Method {
 public:
  using Predict = std::function<Maps(const Exec&, const Tensor& image)>;
  using Decode = std::function<Instances(const Exec&, const Maps&)>;

  FakeMethod(std::vector<MapSpec> maps, Predict predict, Decode decode = {})
      : maps_(std::move(maps)), predict_(std::move(predict)), decode_(std::move(decode)) {}

  bool scalable = false, shares_pixels = false;

  std::string name() const override { return "fake"; }
  SampleSpec sample_spec() const override { return {}; }
  TargetSpec targets() const override { return {}; }
  void make_targets(const Exec&, View<const int32_t, 3>, const SampleTargets&) const override {}
  LossTerms loss(Tape&, const Batch&, const StepState*) const override { return {}; }
  std::vector<MapSpec> maps() const override { return maps_; }
  std::unique_ptr<Predictor> predictor(const Exec&) const override {
    struct Given : Predictor {
      Predict given;
      Maps predict(const Exec& exec, const Tensor& image, const TilingOptions&) const override {
        return given(exec, image);
      }
    };
    auto predictor = std::make_unique<Given>();
    predictor->given = predict_;
    return predictor;
  }
  Instances decode(const Exec& exec, Maps maps) const override { return decode_(exec, maps); }
  bool has_scalable_maps() const override { return scalable; }
  bool may_share_pixels() const override { return shares_pixels; }
  Maps oracle(const Exec&, const Labels&) const override { return {}; }

 private:
  std::vector<MapSpec> maps_;
  Predict predict_;
  Decode decode_;
};

}  // namespace basin::test
