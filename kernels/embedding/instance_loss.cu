#include "kernels/embedding/instance_loss.h"

#include <algorithm>
#include <cmath>

#include "kernels/embedding/instance_slots.h"
#include "kernels/embedding/lovasz.h"
#include "kernels/runtime/reduce.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

/// The contribution of a slot to the loss, and its gradient with respect to d.
template <class T>
BASIN_HD T hinge(const Slots<T>& slots, int32_t slot) {
  const T error = slots.error[slot];
  return (error > 0 ? error : 0 * error) * slots.weight[slot];
}
template <class T>
BASIN_HD T d_hinge(const Slots<T>& slots, int32_t slot) {
  return slots.error[slot] > 0 ? (slots.own[slot] ? -2 : 2) * slots.weight[slot] : T(0);
}

/// For each piece of each object: the hinges and their gradient with respect to the object's sigma.
template <class T>
struct SumSlots {
  Gaussians<T> g;
  Slots<T> slots;
  double* sums;  // [N * K * H * pieces, 3]

  BASIN_HD void operator()(int64_t i) const {
    const int32_t begin = slots.offset[i], end = slots.offset[i + 1];
    if (begin == end || end > slots.capacity) return;
    const PieceOfObject at(g, i);
    double sum[3] = {};
    for (int32_t slot = begin; slot < end; ++slot) {
      sum[0] += double(hinge(slots, slot));
      const double factor = -10 * double(d_hinge(slots, slot) * slots.d[slot]);
      for (int c = 0; c < 2; ++c) {
        const double to = double(g.e(at.n, c, at.y, slots.x[slot]) - g.centre(at.n, at.k, c));
        sum[1 + c] += factor * double(g.s(at.n, at.k, c)) * to * to;
      }
    }
    for (int j = 0; j < 3; ++j)
      sums[3 * i + j] = sum[j];
  }
};

template <class T>
struct SumObject {
  Gaussians<T> g;
  Slots<T> slots;
  const double* sums;
  double* of_object;  // [N, K, 3]

  BASIN_HD void operator()(int64_t i) const {
    double sum[3] = {};
    const int64_t pieces = int64_t(g.height()) * g.pieces(), begin = i * pieces;
    if (slots.offset[begin + pieces] > slots.offset[begin])
      for (int64_t p = begin; p < begin + pieces; ++p)
        if (slots.offset[p + 1] > slots.offset[p] && slots.offset[p + 1] <= slots.capacity)
          for (int j = 0; j < 3; ++j)
            sum[j] += sums[3 * p + j];
    for (int j = 0; j < 3; ++j)
      of_object[3 * i + j] = sum[j];
  }
};

/// A pixel's contribution to the seed and variance terms, and their gradient with respect to its sigma and seed: the
/// sum over the objects that it belongs to.
template <class T>
struct PixelTerms {
  Gaussians<T> g;
  InstanceLossOptions o;
  const double* of_object;
  View<T, 4> gradient;

  struct Pixel {
    int n, y, x;

    BASIN_HD Pixel(const Gaussians<T>& g, int64_t i) {
      const int64_t row = quotient(i, g.width());
      n = int(quotient(row, g.height()));
      y = int(row - int64_t(n) * g.height());
      x = int(i - row * g.width());
    }
  };
  /// Calls f(k, d of object k at the pixel) for each object that the pixel belongs to, and returns how many there are.
  template <class F>
  BASIN_HD int each_object(const Pixel& p, const F& f) const {
    int found = 0;
    for (int layer = 0; layer < g.labels.dim[1]; ++layer) {
      const int k = g.labels(p.n, layer, p.y, p.x) - 1;
      if (k < 0 || !g.has(p.n, k)) continue;
      ++found;
      f(k, double(exp_of(-g.exponent_at(p.n, k, p.y, p.x))));
    }
    return found;
  }
  BASIN_HD double off_mean(const Pixel& p, int k, int c) const {
    return double(g.raw(p.n, 2 + c, p.y, p.x)) - double(g.sigma(p.n, k, c));
  }

  BASIN_HD void operator()(int64_t i, double (&t)[2]) const {
    const Pixel p(g, i);
    const double phi = double(Sigmoid<T>(g.raw(p.n, 4, p.y, p.x)).p), objects = g.table.count(p.n);
    t[0] = t[1] = 0;
    const int owners = each_object(p, [&](int k, double d) {
      const double miss = phi - d, area = g.table.area(p.n, k);
      t[0] += o.foreground * miss * miss;
      for (int c = 0; c < 2; ++c) {
        const double off = off_mean(p, k, c);
        t[1] += off * off / (2 * area * objects);
      }
    });
    if (owners == 0) t[0] = phi * phi;
    const T position = g.e(p.n, 0, p.y, p.x) + g.e(p.n, 1, p.y, p.x);
    if (position != position) t[0] = double(position);  // NaN outside objects is in no other term
  }
  BASIN_HD void operator()(int64_t i) const {
    const Pixel p(g, i);
    const Sigmoid<T> phi(g.raw(p.n, 4, p.y, p.x));
    const double per_seed = o.seed / (double(g.pixels()) * g.crops()), objects = g.table.count(p.n);
    double d_seed = 0, d_sigma[2] = {};
    const int owners = each_object(p, [&](int k, double d) {
      const double area = g.table.area(p.n, k);
      d_seed += 2 * (per_seed * o.foreground) * (double(phi.p) - d) * double(phi.slope());
      for (int c = 0; c < 2; ++c) {
        const double of_mean = of_object[3 * (int64_t(p.n) * g.table.capacity() + k) + 1 + c];
        d_sigma[c] += (o.instance * of_mean + o.variance * off_mean(p, k, c)) / (area * objects * g.crops());
      }
    });
    if (owners == 0) d_seed = 2 * per_seed * double(phi.p) * double(phi.slope());
    gradient(p.n, 4, p.y, p.x) = T(d_seed);
    for (int c = 0; c < 2; ++c)
      gradient(p.n, 2 + c, p.y, p.x) = T(d_sigma[c]);
  }
};

/// The gradient with respect to o of the pixels of a piece, from all objects near them; the derivatives of tanh are
/// already stored there.
template <class T>
struct OffsetGradient {
  Gaussians<T> g;
  Slots<T> slots;
  double instance;
  View<T, 4> gradient;

  BASIN_HD void operator()(int64_t i) const {  // piece i
    const int64_t row = quotient(i, g.pieces());
    const int n = int(quotient(row, g.height())), y = int(row - int64_t(n) * g.height());
    const int piece = int(i - row * g.pieces()), begin = piece * piece_width;
    const int width = begin + piece_width < g.width() ? piece_width : g.width() - begin;
    T sum[2][piece_width] = {};
    for (int k = 0; k < g.table.count(n); ++k) {
      const int64_t at = ((int64_t(n) * g.table.capacity() + k) * g.height() + y) * g.pieces() + piece;
      if (slots.offset[at + 1] > slots.capacity) break;
      for (int32_t slot = slots.offset[at]; slot < slots.offset[at + 1]; ++slot) {
        const int x = slots.x[slot];
        const T factor = -2 * d_hinge(slots, slot) * slots.d[slot];
        for (int c = 0; c < 2; ++c)
          sum[c][x - begin] += factor * g.s(n, k, c) * (g.e(n, c, y, x) - g.centre(n, k, c));
      }
    }
    const T scale = T(instance / (double(g.table.count(n) > 0 ? g.table.count(n) : 1) * g.crops()));
    for (int c = 0; c < 2; ++c)
      for (int x = 0; x < width; ++x)
        gradient(n, c, y, begin + x) *= scale * sum[c][x];
  }
};

template <class T>
struct Value {
  Gaussians<T> g;
  Slots<T> slots;
  InstanceLossOptions o;
  const double *of_object, *of_pixels;
  T* value;  // [4]

  BASIN_HD void operator()(int64_t) const {
    const int capacity = g.table.capacity();
    double instance = 0;
    bool complete = slots.offset[int64_t(g.crops()) * capacity * g.height() * g.pieces()] <= slots.capacity;
    for (int n = 0; n < g.crops(); ++n) {
      double sum = 0;
      for (int k = 0; k < g.table.count(n); ++k)
        sum += of_object[3 * (int64_t(n) * capacity + k)];
      if (g.table.count(n) > 0) instance += sum / (double(g.table.count(n)) * g.crops());
      complete = complete && g.table.count(n) >= 0;
    }
    if (!complete) instance = double(NAN);
    const double seed = of_pixels[0] / (double(g.pixels()) * g.crops()), variance = of_pixels[1] / g.crops();
    value[0] = T(o.instance * instance + o.variance * variance + o.seed * seed);
    value[1] = T(instance);
    value[2] = T(variance);
    value[3] = T(seed);
  }
};

}  // namespace

template <class T>
void instance_loss(const Exec& exec, View<const T, 4> raw, View<const int32_t, 4> labels, const ObjectTable& table,
                   View<const double, 3> centre, const InstanceLossOptions& o, T* value, View<T, 4> gradient) {
  const int crops = raw.dim[0], height = raw.dim[2], width = raw.dim[3], capacity = table.capacity();
  BASIN_CHECK(raw.dim[1] == 5 && labels.dim[0] == crops && labels.dim[1] > 0 && labels.dim[2] == height &&
                  labels.dim[3] == width && raw.size() > 0 && table.area.dim[0] == crops && centre.dim[0] == crops &&
                  centre.dim[1] == capacity && centre.dim[2] == 2 && (!gradient.data || gradient.size() == raw.size()),
              "maps ", raw, ", labels ", labels, ", areas ", table.area, ", centres ", centre, ", gradient ", gradient);
  BASIN_CHECK(o.slots_per_pixel > 0, "slots per pixel ", o.slots_per_pixel);
  const int pieces = (width + piece_width - 1) / piece_width;
  const int64_t objects = int64_t(crops) * capacity, rows = objects * height, all_pieces = rows * pieces;
  BASIN_CHECK(all_pieces < INT32_MAX, objects, " objects of ", height, " rows");
  // On a GPU the numbers of pairs are added up as int32 without a round trip to the host, which could check the sum.
  if (exec.device != Device::cpu && objects * height * width > INT32_MAX)
    refuse(crops, " crops of ", height, " x ", width, " pixels with room for ", capacity,
           " objects each may have more than 2^31 pairs of an object and a pixel; give a smaller --batch or --crop, or "
           "set a smaller capacity");

  const Temp<T> e(exec, int64_t(crops) * 2 * height * width), piece_box(exec, int64_t(crops) * height * pieces * 4);
  const Temp<T> shapes(exec, objects * 7), least(exec, rows);
  const Temp<double> sigma_sums(exec, rows * 2);
  Gaussians<T> g{raw, labels, table, centre, {e.data(), {crops, 2, height, width}}};
  g.piece_box = {piece_box.data(), {crops, height, pieces, 4}};
  g.sigma = {shapes.data(), {crops, capacity, 2}};
  g.s = {shapes.data() + objects * 2, {crops, capacity, 2}};
  g.centre = {shapes.data() + objects * 4, {crops, capacity, 2}};
  g.reach = {shapes.data() + objects * 6, {crops, capacity}};
  for_each_row(exec, int64_t(crops) * height, width, Embed<T>{g, gradient});
  for_each(exec, int64_t(crops) * height * pieces, BoxPiece<T>{g}, 64);
  for_each(exec, rows, SigmaOfRow<T>{g, sigma_sums.data()});
  for_each(exec, objects, Shape<T>{g, sigma_sums.data()}, 16);
  for_each(exec, rows, NearestOfRow<T>{g, least.data()});
  for_each(exec, objects, Reach<T>{g, least.data()}, 16);

  const Temp<int32_t> offset(exec, all_pieces + 1);
  for_each(exec, all_pieces, CountSlots<T>{g, offset.data()});
  for_each(exec, 1, Fill<int32_t>{offset.data() + all_pieces, 0});
  exclusive_scan(exec, {offset.data(), {int(all_pieces) + 1}});
  const int64_t room = exec.device == Device::cpu
                           ? offset[all_pieces]
                           : int64_t(crops) * height * width * std::min(o.slots_per_pixel, capacity);
  BASIN_CHECK(room < INT32_MAX, room, " pairs of an object and a pixel near to it");
  const Temp<int32_t> slot_x(exec, room);
  const Temp<T> slot_numbers(exec, 3 * room);
  const Temp<uint8_t> own(exec, room);
  const Slots<T> slots{offset.data(),
                       int(room),
                       slot_x.data(),
                       slot_numbers.data(),
                       slot_numbers.data() + room,
                       slot_numbers.data() + 2 * room,
                       own.data()};
  for_each(exec, all_pieces, FillSlots<T>{g, slots});
  lovasz_weights<T>(exec, {offset.data(), int(objects), height * pieces}, {slots.error, {int(room)}},
                    {slots.own, {int(room)}}, {slots.weight, {int(room)}});

  const Temp<double> sums(exec, all_pieces * 3), of_object(exec, objects * 3), of_pixels(exec, 2);
  for_each(exec, all_pieces, SumSlots<T>{g, slots, sums.data()});
  for_each(exec, objects, SumObject<T>{g, slots, sums.data(), of_object.data()}, 4);
  const PixelTerms<T> terms{g, o, of_object.data(), gradient};
  const int64_t pixels = int64_t(crops) * height * width;
  sum<2>(exec, pixels, terms, of_pixels.data());
  for_each(exec, 1, Value<T>{g, slots, o, of_object.data(), of_pixels.data(), value});
  if (!gradient.data) return;
  for_each(exec, int64_t(crops) * height * pieces, OffsetGradient<T>{g, slots, o.instance, gradient}, 32);
  for_each(exec, pixels, terms);
}
template void instance_loss<float>(const Exec&, View<const float, 4>, View<const int32_t, 4>, const ObjectTable&,
                                   View<const double, 3>, const InstanceLossOptions&, float*, View<float, 4>);
template void instance_loss<double>(const Exec&, View<const double, 4>, View<const int32_t, 4>, const ObjectTable&,
                                    View<const double, 3>, const InstanceLossOptions&, double*, View<double, 4>);

}  // namespace basin::kernels
