#include "kernels/conv/conv_plan_onednn.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "kernels/conv/conv_onednn.h"
#include "kernels/runtime/prepared_weights.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;

memory::format_tag tag_of(int block, int channels, const OneDnnProblem& k) {
  using tag = memory::format_tag;
  const bool flat = k.slices == 1;
  if (k.bf16 && block == channels) return flat ? tag::nhwc : tag::ndhwc;
  if (block == 1) return flat ? tag::nchw : tag::ncdhw;
  // These maps are called blocked even if they have one block only and could be called nhwc: for nhwc maps together
  // with blocked ones oneDNN has only its reference convolution.
  if (block == 8) return flat ? tag::nChw8c : tag::nCdhw8c;
  if (block == 16) return flat ? tag::nChw16c : tag::nCdhw16c;
  BASIN_CHECK(block == channels, "block ", block);
  return flat ? tag::nhwc : tag::ndhwc;
}

constexpr auto f32 = memory::data_type::f32;
constexpr auto direct = algorithm::convolution_direct;

/// The memory descriptors shared by the three passes of one convolution. Slices become the depth of a 3-D convolution
/// whose kernel has a depth of one.
struct Descriptions {
  memory::data_type type;  // of the maps
  memory::desc x, weight, any_weight, bias, out;
  memory::dims strides, dilates, before, after;

  explicit Descriptions(const OneDnnProblem& k) : type(k.bf16 ? memory::data_type::bf16 : f32) {
    const ConvGeometry& g = k.geometry;
    const int64_t area = int64_t(g.kernel_h) * g.kernel_w;
    // With slices, maps, weights and per-axis numbers have one more dimension.
    const auto dims = [&](int64_t a, int64_t b, int64_t slices, int64_t h, int64_t w) {
      return k.slices == 1 ? memory::dims{a, b, h, w} : memory::dims{a, b, slices, h, w};
    };
    const auto per_axis = [&](int64_t slices, int64_t h, int64_t w) {
      return k.slices == 1 ? memory::dims{h, w} : memory::dims{slices, h, w};
    };
    // oneDNN counts dilations from 0, and some of its kernels reject any other value even where it has no effect.
    const auto dilation = [&](int extent) { return extent > 1 ? g.dilation - 1 : 0; };
    x = {dims(k.n, k.in, k.slices, k.h, k.w), type, tag_of(k.in_block, k.in, k)};
    const memory::dims shape = dims(k.out, k.in, 1, g.kernel_h, g.kernel_w);
    weight = {shape, f32, dims(k.weight_in * area, area, area, g.kernel_w, 1)};
    any_weight = {shape, type, memory::format_tag::any};
    bias = {{k.out}, f32, memory::format_tag::x};
    out = {dims(k.n, k.out, k.slices, g.out_h(k.h), g.out_w(k.w)), type, tag_of(k.out_block, k.out, k)};
    strides = per_axis(1, g.stride, g.stride);
    dilates = per_axis(0, dilation(g.kernel_h), dilation(g.kernel_w));
    before = per_axis(0, g.top, g.left);
    after = per_axis(0, g.bottom, g.right);
  }
};

using Forward = dnnl::convolution_forward::primitive_desc;
using BackwardData = dnnl::convolution_backward_data::primitive_desc;
using BackwardWeight = dnnl::convolution_backward_weights::primitive_desc;

#if DNNL_VERSION_MAJOR >= 3
Forward describe(const Descriptions& d, prop_kind kind, bool bias, const dnnl::primitive_attr& attr) {
  const dnnl::engine& e = onednn_engine();
  if (bias)
    return Forward(e, kind, direct, d.x, d.any_weight, d.bias, d.out, d.strides, d.dilates, d.before, d.after, attr,
                   true);
  return Forward(e, kind, direct, d.x, d.any_weight, d.out, d.strides, d.dilates, d.before, d.after, attr, true);
}
BackwardData describe_data(const Descriptions& d, const Forward& hint, const dnnl::primitive_attr& attr) {
  return BackwardData(onednn_engine(), direct, d.x, d.any_weight, d.out, d.strides, d.dilates, d.before, d.after, hint,
                      attr, true);
}
BackwardWeight describe_weight(const Descriptions& d, const Forward& hint, const dnnl::primitive_attr& attr) {
  return BackwardWeight(onednn_engine(), direct, d.x, d.any_weight, d.out, d.strides, d.dilates, d.before, d.after,
                        hint, attr, true);
}
#else
Forward describe(const Descriptions& d, prop_kind kind, bool bias, const dnnl::primitive_attr& attr) {
  using Desc = dnnl::convolution_forward::desc;
  const Desc desc = bias ? Desc(kind, direct, d.x, d.any_weight, d.bias, d.out, d.strides, d.dilates, d.before, d.after)
                         : Desc(kind, direct, d.x, d.any_weight, d.out, d.strides, d.dilates, d.before, d.after);
  return Forward(desc, attr, onednn_engine(), true);
}
BackwardData describe_data(const Descriptions& d, const Forward& hint, const dnnl::primitive_attr& attr) {
  const dnnl::convolution_backward_data::desc desc(direct, d.x, d.any_weight, d.out, d.strides, d.dilates, d.before,
                                                   d.after);
  return BackwardData(desc, attr, onednn_engine(), hint, true);
}
BackwardWeight describe_weight(const Descriptions& d, const Forward& hint, const dnnl::primitive_attr& attr) {
  const dnnl::convolution_backward_weights::desc desc(direct, d.x, d.any_weight, d.out, d.strides, d.dilates, d.before,
                                                      d.after);
  return BackwardWeight(desc, attr, onednn_engine(), hint, true);
}
#endif

/// Throws std::bad_alloc where memory runs out: the library crashes if it cannot allocate the code that it generates.
void check_spare_memory() {
  constexpr size_t spare = size_t(16) << 20;
  const std::unique_ptr<void, decltype(&std::free)> memory(std::malloc(spare), std::free);
  if (!memory) throw std::bad_alloc();
}

/// The form of a reordered weight, in numbers that differ for different forms.
std::vector<int64_t> numbers_of(const memory::desc& form) {
#if DNNL_VERSION_MAJOR >= 3
  std::vector<int64_t> all{int64_t(form.get_format_kind()), int64_t(form.get_data_type())};
  for (const memory::dims& part :
       {form.get_padded_dims(), form.get_strides(), form.get_inner_blks(), form.get_inner_idxs()})
    all.insert(all.end(), part.begin(), part.end());
#else
  std::vector<int64_t> all(sizeof form.data / sizeof(int64_t) + 1);
  std::memcpy(all.data(), &form.data, sizeof form.data);
#endif
  return all;
}

}  // namespace

const dnnl::engine& onednn_engine() {
  static const auto* one = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *one;
}

OneDnnPlan::OneDnnPlan(const OneDnnProblem& key) : prepared_(key.prepared) {
  if (!make(key)) refuse("oneDNN has no convolution for ", key.in, " to ", key.out, " channels, ", key.geometry);
}

void OneDnnPlan::execute(const Exec& exec, dnnl::stream& stream, const void* x, const void* weight, const void* bias,
                         const void* out) {
  const memory::desc form = packed_.get_desc();
  // Rounded up so that the many sizes of a network share a few blocks; the unused part is never touched.
  const size_t packed = prepared_ ? 0 : (form.get_size() + 4095) / 4096 * 4096;
  const Temp<std::byte> work(exec, int64_t(std::bit_ceil(packed + scratchpad_.get_desc().get_size())));
  scratchpad_.set_data_handle(work.data() + packed);
  x_.set_data_handle(const_cast<void*>(x));
  out_.set_data_handle(const_cast<void*>(out));
  weight_.set_data_handle(const_cast<void*>(weight));
  if (bias) bias_.set_data_handle(const_cast<void*>(bias));
  const auto pack = [&](void* to) {
    packed_.set_data_handle(to);
    if (before_) before_->execute(stream, weight_, packed_);
  };
  if (prepared_)
    packed_.set_data_handle(
        exec.prepared->get(static_cast<const float*>(weight), numbers_of(form), form.get_size(), [&](void* to) {
          pack(to);
          stream.wait();
        }));
  else
    pack(work.data());
  primitive_->execute(stream, arguments_);
  if (after_) after_->execute(stream, packed_, weight_);
  stream.wait();
}

bool OneDnnPlan::make(const OneDnnProblem& key) {
  check_spare_memory();
  const Descriptions d(key);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::engine& e = onednn_engine();
  const auto keep = [&](const auto& pd, const memory::desc& packed, int weight_argument) {
    packed_ = memory(packed, e, nullptr);
    scratchpad_ = memory(pd.scratchpad_desc(), e, nullptr);
    x_ = memory(d.x, e, nullptr), out_ = memory(d.out, e, nullptr), weight_ = memory(d.weight, e, nullptr);
    arguments_ = {{weight_argument, packed_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}};
    return packed;
  };
  if (key.pass == ConvPass::forward) {
    dnnl::post_ops post;
    if (key.add) post.append_sum(1.f);
#if DNNL_VERSION_MAJOR >= 3
    if (key.relu) post.append_eltwise(algorithm::eltwise_relu, 0.f, 0.f);
#else
    if (key.relu) post.append_eltwise(1.f, algorithm::eltwise_relu, 0.f, 0.f);
#endif
    attr.set_post_ops(post);
    // For inference, weights are transformed beforehand. oneDNN cannot do this for every part of a weight.
    Forward pd;
    dnnl::reorder::primitive_desc reorder;
    for (const prop_kind kind : {prop_kind::forward_inference, prop_kind::forward_training}) {
      if (kind == prop_kind::forward_inference && !key.prepared) continue;
      pd = describe(d, kind, key.bias, attr);
      if (!pd) return false;
      reorder = dnnl::reorder::primitive_desc(e, d.weight, e, pd.weights_desc(), {}, true);
      if (reorder) break;
    }
    if (!reorder) return false;
    keep(pd, pd.weights_desc(), DNNL_ARG_WEIGHTS);
    before_ = dnnl::reorder(reorder);
    primitive_ = dnnl::convolution_forward(pd);
    arguments_[DNNL_ARG_SRC] = x_, arguments_[DNNL_ARG_DST] = out_;
    if (key.bias) arguments_[DNNL_ARG_BIAS] = bias_ = memory(d.bias, e, nullptr);
    return true;
  }
  const Forward hint = describe(d, prop_kind::forward_training, false, attr);
  if (!hint) return false;
  if (key.pass == ConvPass::backward_data) {
    const BackwardData pd = describe_data(d, hint, attr);
    if (!pd) return false;
    const memory::desc packed = keep(pd, pd.weights_desc(), DNNL_ARG_WEIGHTS);
    before_ = dnnl::reorder(dnnl::reorder::primitive_desc(e, d.weight, e, packed));
    primitive_ = dnnl::convolution_backward_data(pd);
    arguments_[DNNL_ARG_DIFF_SRC] = x_, arguments_[DNNL_ARG_DIFF_DST] = out_;
    return true;
  }
  const BackwardWeight pd = describe_weight(d, hint, attr);
  if (!pd) return false;
  const memory::desc packed = keep(pd, pd.diff_weights_desc(), DNNL_ARG_DIFF_WEIGHTS);
  dnnl::primitive_attr sum;
  dnnl::post_ops post;
  post.append_sum(1.f);
  sum.set_post_ops(post);
  after_ = dnnl::reorder(dnnl::reorder::primitive_desc(e, packed, e, d.weight, sum));
  primitive_ = dnnl::convolution_backward_weights(pd);
  arguments_[DNNL_ARG_SRC] = x_, arguments_[DNNL_ARG_DIFF_DST] = out_;
  return true;
}

}  // namespace basin::kernels
