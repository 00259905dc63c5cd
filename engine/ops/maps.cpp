#include "engine/ops/maps.h"

#include <algorithm>

#include "engine/ops/gradient_sink.h"
#include "kernels/nn/channels.h"
#include "kernels/nn/dropout.h"
#include "kernels/nn/resample.h"
#include "kernels/nn/resize.h"
#include "kernels/runtime/bfloat16.h"

namespace basin {
namespace {

Var activate(Tape& tape, const Var& x, kernels::Activation f) {
  const Tensor out = tape.empty_like(x.value);
  with_map(out.dtype(),
           [&]<class X>(X) { kernels::activate<X>(tape.exec(), f, x.value.features<const X>(), out.features<X>()); });
  return tape.record(out, {x}, [&tape, x = shape_of(x), f, out](const Tensor& d_out) {
    GradientSink d_x(tape, x, d_out);
    with_map(d_out.dtype(), [&]<class X>(X) {
      kernels::activate_backward<X>(tape.exec(), f, out.features<const X>(), d_out.features<const X>(),
                                    d_x.tensor().features<X>());
    });
    d_x.finish();
  });
}

Var sum(Tape& tape, const Var& a, const Var& b, bool relu) {
  const Tensor out = tape.empty_like(a.value);
  with_map(out.dtype(), [&]<class X>(X) {
    kernels::add<X>(tape.exec(), a.value.features<const X>(), b.value.features<const X>(), relu, out.features<X>());
  });
  const Tensor kept = relu ? out : Tensor();
  return tape.record(out, {a, b}, [&tape, a = shape_of(a), b = shape_of(b), kept](const Tensor& d_out) {
    with_map(d_out.dtype(), [&]<class X>(X) {
      if (kept)
        kernels::activate_backward<X>(tape.exec(), kernels::Activation::relu, kept.features<const X>(),
                                      d_out.features<const X>(), d_out.features<X>());
    });
    // d_out itself becomes the gradient of one of the two inputs, after the other has read it.
    const auto pass = [&](const Var& v, bool hand_over) {
      if (!tape.wants_gradient(v)) return;
      if (hand_over && !tape.wants_sum(v)) return tape.set_gradient(v, d_out);
      const Tensor& to = tape.gradient_sum(v);
      with_map(to.dtype(),
               [&]<class X>(X) { kernels::add_to<X>(tape.exec(), d_out.features<const X>(), to.features<X>()); });
    };
    pass(b, false);
    pass(a, true);
  });
}

void copy_channels(const Exec& exec, const Tensor& from, int from_first, const Tensor& to, int to_first, int count) {
  with_map(to.dtype(), [&]<class X>(X) {
    kernels::copy_channels<X>(exec, from.features<const X>(), from_first, to.features<X>(), to_first, count);
  });
}

}  // namespace

Var max_pool(Tape& tape, const Var& x) {
  const Tensor& in = x.value;
  const Shape half{in.dim(0), in.dim(1), in.dim(2) / 2, in.dim(3) / 2};
  const Tensor out = Tensor::empty(tape.exec(), half, in.dtype(), in.layout());
  Tensor chosen;
  if (tape.wants_gradient(x)) chosen = Tensor::empty(tape.exec(), half, DType::u8, in.layout());
  with_map(out.dtype(), [&]<class T>(T) {
    kernels::max_pool<T>(tape.exec(), in.features<const T>(), out.features<T>(),
                         chosen ? chosen.features<uint8_t>() : FeatureView<uint8_t>());
  });
  return tape.record(out, {x}, [&tape, x = shape_of(x), chosen](const Tensor& d_out) {
    const bool add = tape.wants_sum(x);
    with_map(d_out.dtype(), [&]<class T>(T) {
      kernels::max_pool_backward<T>(tape.exec(), d_out.features<const T>(), chosen.features<const uint8_t>(),
                                    tape.gradient(x).features<T>(), add);
    });
  });
}

Var dropout(Tape& tape, const Var& x, const DropoutOptions& o, const StepState* state) {
  BASIN_CHECK(tape.training(), "dropout needs a training tape");
  const Tensor out = tape.empty_like(x.value);
  with_map(out.dtype(), [&]<class T>(T) {
    kernels::dropout<T>(tape.exec(), x.value.features<const T>(), o.p, o.seed, o.layer, state, out.features<T>());
  });
  return tape.record(out, {x}, [&tape, x = shape_of(x), o, state](const Tensor& d_out) {
    GradientSink d_x(tape, x);
    with_map(d_out.dtype(), [&]<class T>(T) {
      kernels::dropout<T>(tape.exec(), d_out.features<const T>(), o.p, o.seed, o.layer, state,
                          d_x.tensor().features<T>());
    });
    d_x.finish();
  });
}

Var to_layout(Tape& tape, const Var& x, Layout layout) {
  if (x.value.layout() == layout) return x;
  const auto change = [&tape](const Tensor& from, const Tensor& to) {
    with_map(to.dtype(), [&]<class T>(T) {
      kernels::change_layout<T, T>(tape.exec(), from.features<const T>(), to.features<T>());
    });
  };
  const Tensor out = Tensor::empty(tape.exec(), x.value.shape(), x.value.dtype(), layout);
  change(x.value, out);
  return tape.record(out, {x}, [&tape, x = shape_of(x), change](const Tensor& d_out) {
    GradientSink d_x(tape, x);
    change(d_out, d_x.tensor());
    d_x.finish();
  });
}

Var max_pool_3x3(Tape& tape, const Var& x) {
  const Tensor& in = x.value;
  const Shape shape{in.dim(0), in.dim(1), (in.dim(2) + 1) / 2, (in.dim(3) + 1) / 2};
  const Tensor out = Tensor::empty(tape.exec(), shape, in.dtype(), in.layout());
  Tensor chosen;
  if (tape.wants_gradient(x)) chosen = Tensor::empty(tape.exec(), shape, DType::u8, in.layout());
  with_map(out.dtype(), [&]<class T>(T) {
    kernels::max_pool_3x3<T>(tape.exec(), in.features<const T>(), out.features<T>(),
                             chosen ? chosen.features<uint8_t>() : FeatureView<uint8_t>());
  });
  return tape.record(out, {x}, [&tape, x = shape_of(x), chosen](const Tensor& d_out) {
    GradientSink d_x(tape, x);
    with_map(d_out.dtype(), [&]<class T>(T) {
      kernels::max_pool_3x3_backward<T>(tape.exec(), d_out.features<const T>(), chosen.features<const uint8_t>(),
                                        d_x.tensor().features<T>());
    });
    d_x.finish();
  });
}

Var resize_bilinear(Tape& tape, const Var& x, int h, int w) {
  const Tensor& in = x.value;
  if (in.dim(2) == h && in.dim(3) == w) return x;
  const Tensor out = Tensor::empty(tape.exec(), {in.dim(0), in.dim(1), h, w}, in.dtype(), in.layout());
  with_map(out.dtype(),
           [&]<class T>(T) { kernels::resize_bilinear<T>(tape.exec(), in.features<const T>(), out.features<T>()); });
  return tape.record(out, {x}, [&tape, x = shape_of(x)](const Tensor& d_out) {
    GradientSink d_x(tape, x);
    with_map(d_out.dtype(), [&]<class T>(T) {
      kernels::resize_bilinear_backward<T>(tape.exec(), d_out.features<const T>(), d_x.tensor().features<T>());
    });
    d_x.finish();
  });
}

Tensor channel_dropout_mask(Tape& tape, const Tensor& maps, const DropoutOptions& o, const StepState* state) {
  Tensor mask;
  with_map(maps.dtype(), [&]<class X>(X) {
    using T = Arithmetic<X>;
    const int block = maps.block(), lanes = (maps.dim(1) + block - 1) / block * block;
    mask = Tensor::empty(tape.exec(), {maps.dim(0), lanes}, dtype_of<T>);
    kernels::channel_dropout_mask<T>(tape.exec(), maps.dim(0), maps.dim(1), block, o.p, o.seed, o.layer, state,
                                     mask.data<T>());
  });
  return mask;
}

Var channel_dropout(Tape& tape, const Var& x, const DropoutOptions& o, const StepState* state) {
  BASIN_CHECK(tape.training(), "dropout needs a training tape");
  const Tensor mask = channel_dropout_mask(tape, x.value, o, state);
  const auto multiply = [&tape, mask](const Tensor& from, const Tensor& to) {
    with_map(to.dtype(), [&]<class X>(X) {
      kernels::multiply_channels<X>(tape.exec(), from.features<const X>(), mask.data<const Arithmetic<X>>(),
                                    to.features<X>());
    });
  };
  const Tensor out = tape.empty_like(x.value);
  multiply(x.value, out);
  return tape.record(out, {x}, [&tape, x = shape_of(x), multiply](const Tensor& d_out) {
    GradientSink d_x(tape, x, d_out);
    multiply(d_out, d_x.tensor());
    d_x.finish();
  });
}

Var relu(Tape& tape, const Var& x) { return activate(tape, x, kernels::Activation::relu); }
Var sigmoid(Tape& tape, const Var& x) { return activate(tape, x, kernels::Activation::sigmoid); }
Var tanh(Tape& tape, const Var& x) { return activate(tape, x, kernels::Activation::tanh); }

Var add(Tape& tape, const Var& a, const Var& b) { return sum(tape, a, b, false); }
Var add_relu(Tape& tape, const Var& a, const Var& b) { return sum(tape, a, b, true); }

Var concat(Tape& tape, const std::vector<Var>& parts, Layout layout) {
  BASIN_CHECK(!parts.empty(), "there are no parts to concatenate");
  const Tensor& like = parts[0].value;
  int channels = 0;
  std::vector<Var> shapes;
  for (const Var& part : parts) {
    channels += part.value.dim(1);
    shapes.push_back(shape_of(part));
  }
  const Tensor out =
      Tensor::empty(tape.exec(), {like.dim(0), channels, like.dim(2), like.dim(3)}, like.dtype(), layout);
  int first = 0;
  for (const Var& part : parts) {
    const int count = part.value.dim(1);
    copy_channels(tape.exec(), part.value, 0, out, first, count);
    first += count;
  }
  const auto wanted = std::find_if(parts.begin(), parts.end(), [&](const Var& v) { return tape.wants_gradient(v); });
  if (wanted == parts.end()) return {out, -1};
  return tape.record(out, {*wanted}, [&tape, shapes](const Tensor& d_out) {
    int from = 0;
    for (const Var& part : shapes) {
      const int count = part.value.dim(1);
      if (tape.wants_gradient(part)) {
        GradientSink d_part(tape, part);
        copy_channels(tape.exec(), d_out, from, d_part.tensor(), 0, count);
        d_part.finish();
      }
      from += count;
    }
  });
}

Var normalise_pixels(Tape& tape, const Var& x, double epsilon) {
  const Tensor out = tape.empty_like(x.value);
  with_map(out.dtype(), [&]<class X>(X) {
    kernels::normalise_pixels<X>(tape.exec(), x.value.features<const X>(), Arithmetic<X>(epsilon), out.features<X>());
  });
  return tape.record(out, {x}, [&tape, x = x.kept(), epsilon](const Tensor& d_out) {
    GradientSink d_x(tape, x, d_out);
    const Tensor value = x.recomputed();
    with_map(d_out.dtype(), [&]<class X>(X) {
      kernels::normalise_pixels_backward<X>(tape.exec(), value.features<const X>(), Arithmetic<X>(epsilon),
                                            d_out.features<const X>(), d_x.tensor().features<X>());
    });
    d_x.finish();
  });
}

}  // namespace basin
