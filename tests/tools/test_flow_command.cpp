#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "data/arrays/npy.h"
#include "data/files/image.h"
#include "data/files/labels.h"
#include "engine/ops/loss.h"
#include "kernels/flow/integrate.h"
#include "tests/support/file_support.h"
#include "tests/support/paths.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

/// A folder for one test, removed at its end.
struct FlowFolder {
  fs::path path = fs::temp_directory_path() / ("basin-flow-" + std::to_string(getpid()));
  FlowFolder() { fs::create_directories(path); }
  ~FlowFolder() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
};

struct Outcome {
  int code;
  std::string text;
};
Outcome command(const FlowFolder& folder, const std::string& arguments) {
  const std::string log = folder / "log";
  const int code = std::system((basin::basin_command() + " " + arguments + " --device cpu >" + log + " 2>&1").c_str());
  std::ifstream in(log);
  return {WEXITSTATUS(code), {std::istreambuf_iterator<char>(in), {}}};
}

template <class T>
std::vector<T> kernel_moved(int h, int w, const std::vector<T>& field, std::vector<T> points,
                            const kernels::IntegrateOptions& options) {
  kernels::integrate<T>(Exec{}, View<const T, 3>{field.data(), {2, h, w}},
                        View<T, 2>{points.data(), {int(points.size() / 2), 2}}, options);
  return points;
}

}  // namespace

TEST_CASE("integrate: the command moves points and pixels of a mask") {
  const FlowFolder folder;
  const std::string field = folder / "field.npy", points = folder / "points.npy", out = folder / "out.npy";
  const int h = 5, w = 7;
  const std::vector<float> f = uniform<float>(2 * h * w, -2, 2, 1), p = uniform<float>(2 * 30, -1, 7, 2);
  const std::vector<double> f64(f.begin(), f.end()), p64 = uniform<double>(2 * 30, -1, 7, 3);
  write_npy(field, {2, h, w}, f.data());
  write_npy(points, {30, 2}, p.data());
  using kernels::Interpolation, kernels::Solver, kernels::Suppression;
  const auto check = [&](const std::string& how, const kernels::IntegrateOptions& options) {
    const Outcome o = command(folder, "integrate " + field + " --points " + points + " " + how + " --out " + out);
    CAPTURE(o.text);
    REQUIRE(o.code == 0);
    const Array got = read_npy(out);
    CHECK(got.type == ElementType::f32);
    CHECK(got.shape == std::vector<int64_t>{30, 2});
    CHECK(got.values<float>() == kernel_moved(h, w, f, p, options));
  };
  check("", {});
  check("--solver rk4 --step 0.3 --steps 4 --interpolation nearest", {Solver::rk4, Interpolation::nearest, .3, 4});
  check("--solver midpoint", {Solver::midpoint});
  check("--solver dopri5 --tolerance 1e-4", {Solver::dopri5, Interpolation::bilinear, .1, 25, 1e-4});
  check("--suppress", {Solver::euler, Interpolation::bilinear, .1, 25, 1e-2, Suppression::paper});
  check("--suppress=omnipose", {Solver::euler, Interpolation::bilinear, .1, 25, 1e-2, Suppression::omnipose});

  write_npy(points, {30, 2}, p64.data());  // float64 points through a float32 field
  REQUIRE(command(folder, "integrate " + field + " --points " + points + " --out " + out).code == 0);
  CHECK(read_npy(out).type == ElementType::f64);
  CHECK(read_npy(out).values<double>() == kernel_moved(h, w, f64, p64, {}));

  Image mask{h, w, 1, PixelType::u8, std::vector<std::byte>(size_t(h * w))};
  mask.as<uint8_t>()[3] = 1, mask.as<uint8_t>()[10] = 200;
  write_png(folder / "mask.png", mask);
  REQUIRE(command(folder, "integrate " + field + " --mask " + (folder / "mask.png") + " --out " + out).code == 0);
  CHECK(read_npy(out).values<float>() == kernel_moved<float>(h, w, f, {3, 0, 3, 1}, {}));
  write_npy(folder / "mask.npy", {h, w}, mask.as<uint8_t>());
  REQUIRE(command(folder, "integrate " + field + " --mask " + (folder / "mask.npy") + " --out " + out).code == 0);
  CHECK(read_npy(out).values<float>() == kernel_moved<float>(h, w, f, {3, 0, 3, 1}, {}));
}

TEST_CASE("integrate: the command refuses in one sentence and writes nothing") {
  const FlowFolder folder;
  const std::string field = folder / "field.npy", points = folder / "points.npy", out = folder / "out.npy";
  const std::vector<float> zeros(64, 0);
  const std::vector<int32_t> whole(8, 0);
  write_npy(field, {2, 3, 4}, zeros.data());
  write_npy(points, {4, 2}, zeros.data());
  write_npy(folder / "whole.npy", {4, 2}, whole.data());
  write_npy(folder / "three.npy", {3, 3, 4}, zeros.data());
  write_npy(folder / "wide.npy", {4, 3}, zeros.data());
  write_npy(folder / "mask.npy", {4, 3}, zeros.data());
  const auto refused = [&](const std::string& arguments, const std::string& named) {
    const Outcome o = command(folder, "integrate " + arguments + " --out " + out);
    CAPTURE(arguments);
    CAPTURE(o.text);
    CHECK(o.code != 0);
    CHECK(o.text.find(named) != std::string::npos);
    CHECK(!fs::exists(out));
  };
  refused(field, "--points and --mask");
  refused(field + " --points " + points + " --mask " + points, "--points and --mask");
  refused(field + " --points " + (folder / "whole.npy"), "whole.npy");
  refused(field + " --points " + (folder / "wide.npy"), "wide.npy");
  refused(field + " --points " + (folder / "missing.npy"), "missing.npy");
  refused((folder / "three.npy") + " --points " + points, "three.npy");
  refused(points + " --points " + points, "points.npy");
  refused(field + " --mask " + (folder / "mask.npy"), "mask.npy");
  refused(field + " --points " + points + " --solver rk4 --suppress", "suppression");
  refused(field + " --points " + points + " --step 0", "--step");
  std::vector<float> nan(12, 0);
  nan[7] = NAN;
  write_npy(folder / "nan.npy", {3, 4}, nan.data());
  refused(field + " --mask " + (folder / "nan.npy"), "nan.npy: element 7 is not finite");
  const Outcome text = command(folder, "integrate " + field + " --points " + points + " --out " + (folder / "out.txt"));
  CHECK(text.code == 1);
  CHECK(text.text.find("out.txt: arrays are written as .npy") != std::string::npos);
  CHECK(!fs::exists(folder / "out.txt"));
}

TEST_CASE("flow: field, integrate and cluster in turn recover a label image") {
  const FlowFolder folder;
  const std::string truth = folder / "t.png", field = folder / "f.npy", points = folder / "p.npy",
                    out = folder / "l.png", mask = " --mask " + truth;
  Labels labels{40, 60, 2, std::vector<int32_t>(40 * 60)};
  for (int y = 4; y < 36; ++y)
    for (int x = 4; x < 56; ++x)
      labels.ids[size_t(y * 60 + x)] = x < 30 ? 1 : 2;  // two that touch
  write_labels(truth, labels);
  REQUIRE(command(folder, "field " + truth + " --out " + field).code == 0);
  REQUIRE(command(folder, "integrate " + field + mask + " --steps 50 --out " + points).code == 0);
  const std::string cluster = "cluster " + points + " --eps 2.25 --min-samples 15 --snap-noise=majority --out " + out;
  const Outcome o = command(folder, cluster + mask);
  REQUIRE_MESSAGE(o.code == 0, o.text);
  const Labels back = read_labels(out);
  CHECK(back.count == 2);
  CHECK(back.ids == labels.ids);
  CHECK(command(folder, cluster).text.find("l.png: arrays are written as .npy") != std::string::npos);
  labels.ids[0] = 2;
  write_labels(truth, labels);
  CHECK(command(folder, cluster + mask).text.find("t.png: has 1665 foreground pixels, but") != std::string::npos);
}

TEST_CASE("flow: a mask is read in the same way as a label image") {
  const FlowFolder folder;
  const fs::path samples = fs::path(basin::source_dir()) / "tests/samples";
  for (const char* name : {"u8_palette.tif", "u8_palette.png", "u8_white_is_zero.tif", "i64_strips.tif"}) {
    CAPTURE(name);
    const std::string mask = (samples / name).string(), field = folder / "f.npy", out = folder / "p.npy";
    Labels labels;
    try {
      labels = read_labels(mask);
    } catch (const Error&) {
      MESSAGE("no label image: ", name);
      continue;
    }
    REQUIRE(command(folder, "field " + mask + " --kind centroid --out " + field).code == 0);
    REQUIRE(command(folder, "integrate " + field + " --mask " + mask + " --steps 0 --out " + out).code == 0);
    std::vector<float> pixels;
    for (int y = 0; y < labels.height; ++y)
      for (int x = 0; x < labels.width; ++x)
        if (labels(y, x) != 0) pixels.push_back(float(x)), pixels.push_back(float(y));
    CHECK(read_npy(out).values<float>() == pixels);
  }
}

TEST_CASE("losses: the command reads a mask from an image file") {
  const FlowFolder folder;
  const std::vector<float> logit = uniform<float>(30, -1, 1, 1);
  write_npy(folder / "p.npy", {1, 6, 5}, logit.data());
  Labels labels{6, 5, 7, std::vector<int32_t>(30)};
  std::vector<float> mask(30);
  for (size_t i = 0; i < 30; i += 3)
    labels.ids[i] = 7, mask[i] = 1;
  write_labels(folder / "t.png", labels);
  write_npy(folder / "t.npy", {1, 6, 5}, mask.data());
  for (const char* kind : {"loss tversky ", "loss bce "}) {
    const Outcome image = command(folder, kind + (folder / "p.npy") + " " + (folder / "t.png"));
    CHECK_MESSAGE(image.code == 0, image.text);
    CHECK(image.text == command(folder, kind + (folder / "p.npy") + " " + (folder / "t.npy")).text);
  }
  CHECK(command(folder, "loss mse " + (folder / "p.npy") + " " + (folder / "t.png")).code == 1);
}

TEST_CASE("losses: values, gradients and points that are not finite are refused") {
  const FlowFolder folder;
  const std::string p = folder / "p.npy", t = folder / "t.npy", out = folder / "out.npy";
  const std::vector<float> large(2 * 4 * 4, 3e38f), small(2 * 4 * 4, -3e38f);
  write_npy(p, {2, 4, 4}, large.data());
  write_npy(t, {2, 4, 4}, small.data());
  for (const std::string& arguments :
       {"loss mse " + p + ' ' + t + " --out-grad " + out, "loss ivp " + p + ' ' + t + " --step 1e20 --out-grad " + out,
        "integrate " + p + " --points " + (folder / "points.npy") + " --step 1e20 --out " + out}) {
    write_npy(folder / "points.npy", {1, 2}, std::vector<float>{1, 1}.data());
    const Outcome o = command(folder, arguments);
    CHECK(o.code == 1);
    CHECK_MESSAGE(contains(o.text, p + ": "), o.text);
    CHECK_MESSAGE(contains(o.text, "are not finite"), o.text);
    CHECK(std::count(o.text.begin(), o.text.end(), '\n') == 1);
    CHECK(!fs::exists(out));
  }
}

TEST_CASE("losses: the command prints the value and writes the gradient") {
  const FlowFolder folder;
  const Exec cpu;
  const std::string pred = folder / "pred.npy", truth = folder / "true.npy", out = folder / "grad.npy";
  const std::vector<float> p = uniform<float>(2 * 2 * 6 * 5, -1, 1, 1), t = uniform<float>(2 * 2 * 6 * 5, 0, 1, 2);
  const auto check = [&](const std::string& arguments, const std::vector<int64_t>& shape, auto loss) {
    write_npy(pred, shape, p.data());
    write_npy(truth, shape, t.data());
    const Outcome o = command(folder, "loss " + arguments + " " + pred + " " + truth + " --out-grad " + out);
    CAPTURE(o.text);
    REQUIRE(o.code == 0);
    Shape four{1, 1, shape[0], shape[1]};
    if (shape.size() == 3) four = {1, shape[0], shape[1], shape[2]};
    if (shape.size() == 4) four = {shape[0], shape[1], shape[2], shape[3]};
    const size_t n = size_t(four.size());
    Tape tape(cpu);
    const Var in = tape.leaf(Tensor::from(cpu, four, std::vector<float>(p.begin(), p.begin() + ptrdiff_t(n))));
    const Var value = loss(tape, in, Tensor::from(cpu, four, std::vector<float>(t.begin(), t.begin() + ptrdiff_t(n))));
    tape.backward(value, Tensor::from<float>(cpu, {1}, {1}));
    CHECK(std::stof(o.text) == value.value.to_host<float>(cpu).at(0));
    CHECK(read_npy(out).shape == shape);
    CHECK(read_npy(out).values<float>() == tape.grad(in).to_host<float>(cpu));
  };
  check("ivp", {2, 2, 6, 5}, [](Tape& tape, Var in, const Tensor& y) { return ivp_loss(tape, in, y, {}); });
  check("ivp --step 0.5 --steps 3", {2, 6, 5}, [](Tape& tape, Var in, const Tensor& y) {
    return ivp_loss(tape, in, y, {.5, 3});
  });
  check("mse", {2, 2, 6, 5}, [](Tape& tape, Var in, const Tensor& y) { return mse_loss(tape, in, y); });
  check("tversky --tversky 0.7,0.3", {4, 1, 6, 5},
        [](Tape& tape, Var in, const Tensor& y) { return tversky_loss(tape, in, y, .7, .3); });
  check("bce", {6, 5}, [](Tape& tape, Var in, const Tensor& y) { return bce_loss(tape, in, y); });

  fs::remove(out);
  write_npy(truth, {2, 5, 6}, t.data());
  write_npy(pred, {2, 6, 5}, p.data());
  const Outcome o = command(folder, "loss mse " + pred + " " + truth + " --out-grad " + out);
  CHECK(o.code != 0);
  CHECK(o.text.find("true.npy") != std::string::npos);
  write_npy(truth, {3, 4, 5}, t.data());
  write_npy(pred, {3, 4, 5}, p.data());
  CHECK(command(folder, "loss ivp " + pred + " " + truth).code != 0);
  CHECK(command(folder, "loss l1 " + pred + " " + truth).code != 0);
  CHECK(!fs::exists(out));
}
