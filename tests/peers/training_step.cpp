// Steps of H1 or H2 on one batch, for training_step.py: reads `image` [2,1,S,S], `field` [2,2,S,S] and `mask` [2,1,S,S]
// from a folder, all raw float32, and writes there what each step starts from and makes.
//
//     basin_training_step FOLDER SIDE DECODERS STEPS RATE
#include <cstdio>
#include <fstream>
#include <string>

#include "engine/ops/loss.h"
#include "kernels/nn/adam.h"
#include "kernels/nn/dropout.h"
#include "models/networks/unet.h"

namespace basin {
namespace {

constexpr int batch = 2;
constexpr uint64_t dropout_seed = 7;

struct Folder {
  std::string path;

  Tensor read(const Exec& exec, const std::string& name, Shape shape) const {
    std::vector<float> values(size_t(shape.size()));
    std::ifstream in(path + '/' + name, std::ios::binary);
    in.read(reinterpret_cast<char*>(values.data()), std::streamsize(values.size() * sizeof(float)));
    if (!in) refuse(path, "/", name, ": too short");
    return Tensor::from(exec, shape, values);
  }
  void write(const Exec& exec, const std::string& name, const Tensor& tensor) const {
    const std::vector<float> values = tensor.to_host<float>(exec);
    std::ofstream out(path + '/' + name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * sizeof(float)));
    if (!out.flush()) refuse(path, "/", name, ": could not be written");
  }
  /// One line per tensor: name, first element, number of elements.
  void write_names(const std::string& name, const std::vector<Params::Named>& tensors) const {
    std::ofstream out(path + '/' + name);
    for (const Params::Named& t : tensors)
      out << t.name << ' ' << t.offset << ' ' << t.shape.size() << '\n';
  }
};

/// What the network's dropout multiplies by in this step, in nchw order.
Tensor dropout_mask(const Exec& exec, Shape shape, const StepState& state) {
  const Tensor ones = Tensor::from(exec, shape, std::vector<float>(size_t(shape.size()), 1));
  const Tensor mask = Tensor::empty(exec, shape);
  kernels::dropout<float>(exec, ones.features<const float>(), 0.2, dropout_seed, 0, &state, mask.features<float>());
  return mask;
}

void run(const Folder& folder, int side, int decoders, int steps, float rate) {
  const Exec exec;
  Params params;
  const UNet net(params, {.decoders = decoders, .seed = dropout_seed});
  params.allocate(exec);
  params.init(exec, 5);
  folder.write_names("learnt.txt", params.learnt());
  folder.write_names("statistics.txt", params.statistics());
  folder.write(exec, "values", params.values());

  const Tensor image = folder.read(exec, "image", {batch, 1, side, side});
  const Tensor field = folder.read(exec, "field", {batch, 2, side, side});
  const Tensor mask = folder.read(exec, "mask", {batch, 1, side, side});
  const Tensor m = Tensor::zeros(exec, params.values().shape()), v = Tensor::zeros(exec, params.values().shape());
  StepState state{.rate = rate};
  for (; state.step < steps; ++state.step) {
    const std::string number = std::to_string(state.step);
    folder.write(exec, "dropout" + number, dropout_mask(exec, {batch, 256, side / 8, side / 8}, state));
    params.gradients().zero(exec);
    Tape tape(exec);
    const std::vector<Var> maps = net.forward(tape, {image}, &state);
    const Var loss = weighted_sum(
        tape,
        {{ivp_loss(tape, maps[1], field, {})}, {mse_loss(tape, maps[1], field)}, {tversky_loss(tape, maps[0], mask)}});
    folder.write(exec, "loss" + number, loss.value);
    tape.backward(loss, Tensor::from(exec, {1}, std::vector<float>{1}));
    if (state.step == 0) {
      folder.write(exec, "gradient", params.gradients());
      folder.write(exec, "running", params.running());
    }
    kernels::adam<float>(exec, {}, &state, params.gradients().view<const float, 1>(), params.values().view<float, 1>(),
                         m.view<float, 1>(), v.view<float, 1>());
  }
}

}  // namespace
}  // namespace basin

int main(int count, char** arguments) {
  if (count != 6) {
    std::fprintf(stderr, "usage: basin_training_step FOLDER SIDE DECODERS STEPS RATE\n");
    return 2;
  }
  try {
    basin::run({arguments[1]}, std::stoi(arguments[2]), std::stoi(arguments[3]), std::stoi(arguments[4]),
               std::stof(arguments[5]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "basin_training_step: %s\n", error.what());
    return 1;
  }
}
