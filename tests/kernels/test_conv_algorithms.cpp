#include "engine/json.h"
#include "kernels/conv/conv_cudnn.h"
#include "models/training/conv_algorithms_json.h"
#include "tests/support/file_support.h"
#include "tests/support/gpu_support.h"

using namespace basin;
using namespace basin::test;
using kernels::ConvAlgorithm, kernels::ConvAlgorithms, kernels::ConvKey, kernels::ConvAlgorithmCache, kernels::ConvPass;

namespace {

ConvKey key_of(ConvPass pass, int n) {
  return {{pass, n, 3, 5, 40, 56, kernels::ConvGeometry::same(1, 1), true, false}, false, true};
}

/// All fields differ wherever their types have enough values.
ConvAlgorithms some_choices() {
  return {{key_of(ConvPass::forward, 2), {1, 4, int64_t(1) << 40, 91002}},
          {key_of(ConvPass::backward_data, 2), {6, 0, 0, 91003}},
          {{{ConvPass::backward_weight, 7, 8, 9, 10, 11, {5, 3, 6, 2, 13, 17, 13, 17}, false, true}, true, false},
           {12, 14, 15, 16}}};
}

bool always(const ConvAlgorithm&) { return true; }
bool never(const ConvAlgorithm&) { return false; }

}  // namespace

TEST_CASE("algorithm cache: each choice is measured once; restored choices are not measured") {
  ConvAlgorithmCache cache;
  const ConvKey a = key_of(ConvPass::forward, 1), b = key_of(ConvPass::forward, 2), c = key_of(ConvPass::forward, 3);
  int measured = 0;
  const auto measure = [&] { return ConvAlgorithm{10 + measured++, 0, 64, 9}; };
  CHECK_THROWS_AS(cache.get(a, never, [&]() -> ConvAlgorithm { throw Error("none"); }), Error);
  CHECK(cache.choices().empty());
  CHECK(cache.get(a, never, measure).algorithm == 10);
  CHECK(cache.get(a, never, measure).algorithm == 10);
  CHECK(measured == 1);

  const ConvAlgorithms others{{a, {1, 2, 3, 9}}, {b, {4, 5, 6, 9}}, {c, {7, 8, 9, 8}}};
  cache.restore(others, 9);
  CHECK(cache.choices() == ConvAlgorithms{{a, others.at(a)}, {b, others.at(b)}});  // c is from another cuDNN version
  CHECK(cache.get(a, always, measure) == others.at(a));
  CHECK(cache.get(a, never, measure) == others.at(a));  // accepted before, so not checked again
  CHECK(measured == 1);
  CHECK(cache.get(b, never, measure).algorithm == 11);  // the check refuses the restored choice
  CHECK(cache.get(b, always, measure).algorithm == 11);
  CHECK(cache.get(c, always, measure).algorithm == 12);
  CHECK(measured == 3);
  CHECK(cache.choices().at(a) == others.at(a));
  CHECK(cache.choices().at(b).algorithm == 11);
  cache.restore({}, 9);
  CHECK(cache.choices().empty());
}

TEST_CASE("algorithm cache: choices survive a round trip through JSON") {
  const std::string text = to_text(to_json(some_choices()));
  CHECK(conv_algorithms_from(parse_json(text), "state") == some_choices());
  CHECK(conv_algorithms_from(parse_json("[]"), "state").empty());
  CHECK(to_text(to_json({{key_of(ConvPass::backward_data, 2), {6, 0, 0, 91003}}})) ==
        "[{\"pass\":\"backward_data\",\"n\":2,\"in\":3,\"out\":5,\"h\":40,\"w\":56,\"kernel_h\":1,"
        "\"kernel_w\":1,\"stride\":1,\"dilation\":1,\"top\":0,\"left\":0,\"bottom\":0,\"right\":0,\"nhwc\":true,"
        "\"bf16\":false,\"tf32\":false,\"deterministic\":true,\"algorithm\":6,\"math\":0,\"workspace\":0,"
        "\"cudnn\":91003}]");
}

TEST_CASE("algorithm cache: choices in the older format, which has square kernels only, can be read") {
  const ConvAlgorithms one{
      {{{ConvPass::forward, 2, 3, 5, 40, 56, kernels::ConvGeometry::same(3, 3), true, false}, false, true},
       {1, 4, 64, 91002}}};
  Json old = to_json(one);
  for (const char* name : {"kernel_h", "kernel_w", "stride", "dilation", "top", "left", "bottom", "right"})
    old[0].erase(name);
  CHECK_THROWS_AS(conv_algorithms_from(old, "state"), Error);
  old[0]["kernel"] = 3;
  CHECK(conv_algorithms_from(old, "state") == one);
  for (const int none : {0, 2}) {
    old[0]["kernel"] = none;
    CHECK_THROWS_AS(conv_algorithms_from(old, "state"), Error);
  }
}

TEST_CASE("algorithm cache: malformed lists of choices are refused with the file's name") {
  const auto refused = [](const Json& json) {
    return refusal([&] { conv_algorithms_from(json, "state"); }) ==
           "state is damaged: its list of cuDNN algorithms cannot be parsed";
  };
  for (const char* text : {"", "no JSON", "{}", "7", "[7]", "[[]]", "[{}]", "[null]"}) {
    CAPTURE(text);
    CHECK(refused(parse_json(text)));
  }
  const Json good = to_json(some_choices());
  for (const auto& part : good[0].items()) {
    CAPTURE(part.key());
    Json bad = good;
    bad[1].erase(part.key());
    CHECK(refused(bad));
    for (const char* wrong : {"null", "\"\"", "\"sideways\"", "-1", "1.5", "9223372036854775808", "1e300", "[1]"}) {
      CAPTURE(wrong);
      bad = good;
      bad[1][part.key()] = parse_json(wrong);
      CHECK(refused(bad));
    }
    bad[1][part.key()] = int64_t(1) << 32;
    if (part.key() != "workspace") CHECK(refused(bad));
  }
  Json twice = good;
  twice.push_back(good[0]);
  CHECK(refused(twice));
}

TEST_CASE("algorithm cache: a GPU uses a restored algorithm, and measures again if it does not exist" *
          skip_without_gpu()) {
  for (Exec gpu : execs()) {
    if (gpu.device == Device::cpu) continue;
    gpu.deterministic = true;
    const Shape shape{1, 8, 20, 24}, w_shape{8, 8, 3, 3};
    const Tensor x = Tensor::from(gpu, shape, uniform<float>(size_t(shape.size()), -1, 1, 1));
    const Tensor weight = Tensor::from(gpu, w_shape, uniform<float>(size_t(w_shape.size()), -1, 1, 2));
    const auto convolved = [&] {
      const Tensor out = Tensor::zeros(gpu, shape);
      kernels::conv_cudnn<float>(gpu, x.features<const float>(), weight.view<const float, 4>(), {}, {},
                                 out.features<float>());
      return out.to_host<float>(gpu);
    };
    const int cudnn = kernels::cudnn_versions().found;
    ConvAlgorithmCache& cache = kernels::conv_algorithm_cache();
    cache.restore({}, cudnn);
    const std::vector<float> want = convolved();
    const ConvAlgorithms measured = cache.choices();
    REQUIRE(measured.size() == 1);
    const auto& [key, first] = *measured.begin();
    CHECK(first.cudnn == cudnn);

    const int second = first.algorithm == 0 ? 1 : 0;  // cuDNN supports both for every such problem
    const ConvAlgorithms other{{key, {second, first.math, 64 << 20, cudnn}}};
    cache.restore(other, cudnn);
    const std::vector<float> got = convolved();
    CHECK(cache.choices() == other);
    check_close(got, want, 2e-5, 2e-5);
    if (is_emulated()) CHECK(got != want);

    cache.restore({{key, {99, first.math, 64 << 20, cudnn}}}, cudnn);
    CHECK(convolved() == want);
    CHECK(cache.choices() == measured);
  }
}
