#include "engine/ops/loss.h"

#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "data/arrays/npy.h"
#include "engine/files.h"
#include "tools/cli/arrays.h"
#include "tools/cli/command.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

struct LossRequest {
  Common common;
  std::string kind, predicted, truth, gradient;
  PlaneChoice choice;  // of the truth
  kernels::IvpOptions ivp;
  std::vector<double> tversky{0.5, 0.5};
};

/// [N,C,H,W]: missing leading dimensions are 1.
Shape batch_shape(const Array& array) {
  int64_t d[4] = {1, 1, 1, 1};
  const size_t rank = array.shape.size();
  for (size_t k = 0; k < rank; ++k)
    d[4 - rank + k] = array.shape[k];
  return {d[0], d[1], d[2], d[3]};
}

/// The truth for a prediction of this shape. A mask may be an image: pixels that are not 0 are foreground.
Array read_truth(const LossRequest& request, const Array& predicted) {
  const bool compares_fields = request.kind == "ivp" || request.kind == "mse";
  if (compares_fields || lower_extension(request.truth) == ".npy") return read_real(request.truth, {2, 3, 4});
  const Mask mask = read_mask(request.truth, request.choice);
  const std::vector<float> values(mask.pixels.begin(), mask.pixels.end());
  Array truth;
  truth.type = ElementType::f32;
  truth.shape = {mask.height, mask.width};
  truth.shape.insert(truth.shape.begin(), predicted.shape.size() - 2, 1);
  const auto bytes = std::as_bytes(std::span(values));
  truth.bytes.assign(bytes.begin(), bytes.end());
  return truth;
}

void run(const LossRequest& request) {
  if (!request.gradient.empty()) expect_npy(request.gradient);
  keep_inputs(request.gradient, {request.predicted, request.truth});
  const Array predicted = read_real(request.predicted, {2, 3, 4}), truth = read_truth(request, predicted);
  if (predicted.shape != truth.shape)
    refuse(request.truth, ": shape ", shape_text(truth), ", but ", request.predicted, " has ", shape_text(predicted));
  if (predicted.size() == 0) refuse(request.predicted, ": the array of shape ", shape_text(predicted), " is empty");
  const Shape shape = batch_shape(predicted);
  if (request.kind == "ivp" && shape[1] != 2)
    refuse(request.predicted, ": expected a field [N, 2, H, W] or [2, H, W], not ", shape_text(predicted));
  const Exec exec = make_exec(request.common);
  const DType dtype = wider(predicted, truth);
  const Tensor target = to_tensor(exec, truth, dtype, shape);
  Tape tape(exec);
  const Tensor input = to_tensor(exec, predicted, dtype, shape);
  const Var in = request.gradient.empty() ? Var{input} : tape.leaf(input);
  const Var loss = request.kind == "ivp"       ? ivp_loss(tape, in, target, request.ivp)
                   : request.kind == "mse"     ? mse_loss(tape, in, target)
                   : request.kind == "tversky" ? tversky_loss(tape, in, target, request.tversky[0], request.tversky[1])
                                               : bce_loss(tape, in, target);
  with_real(dtype, [&]<class T>(T) {
    const std::vector<T> value = loss.value.to_host<T>(exec);
    expect_finite(value, request.predicted, "values of the loss");
    std::vector<T> gradient;
    if (!request.gradient.empty()) {
      tape.backward(loss, Tensor::from<T>(exec, {1}, {T(1)}));
      gradient = tape.grad(in).template to_host<T>(exec);
      expect_finite(gradient, request.predicted, "values of the gradient of the loss");
    }
    std::printf("%.*g\n", sizeof(T) == 4 ? 9 : 17, double(value.at(0)));
    if (!request.gradient.empty()) write_npy(request.gradient, predicted.shape, gradient.data());
  });
  if (!request.gradient.empty()) write_run_json_beside(request.gradient);
}

}  // namespace

void add_loss(Command& program) {
  Command command = program.subcommand("loss", "compute a training loss and its gradient");
  auto request = std::make_shared<LossRequest>();
  command.add("KIND", request->kind, "ivp and mse compare two fields; tversky and bce compare logits with a mask")
      .one_of({"ivp", "mse", "tversky", "bce"})
      .required();
  command.add("PRED", request->predicted, "prediction: .npy, float32 or float64, [N,C,H,W], [C,H,W] or [H,W]")
      .required();
  command
      .add("TRUE", request->truth,
           "truth of the same shape; a mask is .npy with 0 and 1, or an image whose foreground is not 0")
      .required();
  command.add("--step", request->ivp.step, "ivp: length of an Euler step").positive().shown();
  command.add("--steps", request->ivp.steps, "ivp: number of steps").within(1, 10000).shown();
  command.add("--tversky", request->tversky, "weights of false positives and of false negatives")
      .list(2)
      .not_negative()
      .shown();
  command.add("--out-grad", request->gradient, "also write the gradient of the loss with respect to PRED: .npy")
      .output();
  add_plane_options(command, request->choice, Reads::labels);
  add_device_options(command, request->common);
  command.runs([request] { run(*request); });
}

}  // namespace basin::tools
