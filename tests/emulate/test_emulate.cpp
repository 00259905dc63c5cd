#include <numeric>

#include "data/synth/synth.h"
#include "engine/pool.h"
#include "kernels/cluster/dbscan.h"
#include "kernels/field/distance_field.h"
#include "kernels/image/components.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/reduce.h"
#include "kernels/runtime/union_find.h"
#include "models/methods/vector_fields.h"
#include "models/networks/tiling.h"
#include "tests/support/field_support.h"

using namespace basin;
using namespace basin::test;
using emulate::waits;

// The faults that the emulated device detects, and kernels whose threads interact, run in many thread orders.

namespace {

Exec device() { return execs().at(1); }

/// The device's error for a kernel with this many threads in one block; empty if there is none.
template <class... A>
std::string failure_of(void (*kernel)(A...), unsigned threads, const std::type_identity_t<A>&... arguments) {
  const Exec exec = device();
  std::string failure;
  for (int seed = 0; seed < 20 && failure.empty(); ++seed) {
    emulate::set_seed(uint64_t(seed));
    launch(exec, 1, threads, kernel, arguments...);
    if (cudaStreamSynchronize(exec.stream) != cudaSuccess) failure = cudaGetErrorString(cudaGetLastError());
  }
  emulate::forget_failure();
  return failure;
}

bool says(const std::string& failure, const char* what) {
  INFO(failure);
  return failure.find(what) != std::string::npos;
}

void barrier_for_some(int some) {
  if (int(threadIdx.x) < some) __syncthreads();
}
void two_barriers() {
  if (threadIdx.x % 2)
    __syncthreads();
  else
    __syncthreads();
}
void out_of_bounds(int at) {
  BASIN_SHARED(int, value, 32);
  value[at] = 1;
}
void not_written() {
  BASIN_SHARED(int, value, 32);
  if (threadIdx.x > 0) value[threadIdx.x] = 1;
  __syncthreads();
  if (value[threadIdx.x] == 2) value[0] = 1;
}
/// Each thread reads the value that its neighbour wrote.
void neighbours(bool barrier, int* to) {
  BASIN_SHARED(int, value, 64);
  const unsigned i = threadIdx.x;
  value[i] = int(i);
  if (barrier) __syncthreads();
  to[i] = value[(i + 1) % 64];
}
void write_after_read(int* to) {
  BASIN_SHARED(int, value, 64);
  const unsigned i = threadIdx.x;
  value[i] = int(i);
  __syncthreads();
  to[i] = value[(i + 1) % 64];
  value[i] = 7;
}
/// Two threads read a value that one of them then writes.
void write_after_two_reads(int* to) {
  BASIN_SHARED(int, value, 1);
  if (threadIdx.x == 0) value[0] = 3;
  __syncthreads();
  to[threadIdx.x] = value[0];
  if (threadIdx.x == 1) value[0] = 4;
}
void too_much_shared() {
  BASIN_SHARED(double, value, 7000);
  value[threadIdx.x] = 1;
}
void missing_lane(int* to) {
  if (threadIdx.x != 5) to[threadIdx.x] = __shfl_down_sync(~0u, 1, 1);
}
void foreign_lane(int* to) {
  if (threadIdx.x < 16) to[threadIdx.x] = __shfl_sync(0xFFFFu, 1, 20);
}
void count_in_shared(int* to) {
  BASIN_SHARED(int, count, 1);
  if (threadIdx.x == 0) count[0] = 0;
  __syncthreads();
  atomicAdd(&count[0], 1);
  __syncthreads();
  to[threadIdx.x] = count[0];
}
void sum_of_warp(int* to) {
  int sum = int(threadIdx.x);
  for (int by = 16; by > 0; by /= 2)
    sum += __shfl_down_sync(~0u, sum, unsigned(by));
  const unsigned odd = __ballot_sync(~0u, threadIdx.x & 1);
  to[threadIdx.x] = threadIdx.x % 32 == 0 ? sum : int(odd);
}

struct Unite {
  const int32_t *a, *b;
  UnionFind sets;
  BASIN_HD void operator()(int64_t i) const { sets.unite(a[i], b[i]); }
};

struct Moments {
  const float* x;
  BASIN_HD void operator()(int64_t i, double (&t)[2]) const { t[0] = x[i], t[1] = double(x[i]) * x[i]; }
};

}  // namespace

TEST_CASE("emulate: faults in kernels are detected and described") {
  const Exec exec = device();
  const Temp<int> to(exec, 64);
  CHECK(failure_of(barrier_for_some, 64, 64).empty());
  CHECK(says(failure_of(barrier_for_some, 64, 63), "a barrier that only 63 of 64 threads reach"));
  CHECK(says(failure_of(two_barriers, 64), "a barrier while others wait"));
  CHECK(failure_of(out_of_bounds, 1, 31).empty());
  CHECK(says(failure_of(out_of_bounds, 1, 32), "index 32 of a shared array of 32"));
  CHECK(says(failure_of(not_written, 32), "never written"));
  CHECK(failure_of(neighbours, 64, true, to.data()).empty());
  CHECK_FALSE(failure_of(neighbours, 64, false, to.data()).empty());
  CHECK(says(failure_of(write_after_read, 64, to.data()), "no barrier in between"));
  CHECK(says(failure_of(write_after_two_reads, 2, to.data()), "no barrier in between"));
  CHECK(says(failure_of(too_much_shared, 1), "more than 48 KiB"));
  CHECK(says(failure_of(missing_lane, 32, to.data()), "not all lanes"));
  CHECK(says(failure_of(foreign_lane, 32, to.data()), "takes no part"));
  CHECK(failure_of(count_in_shared, 64, to.data()).empty());
  std::vector<int> host(64);
  read_back(exec, to.data(), 64, host.data());
  CHECK(host == std::vector<int>(64, 64));
  CHECK(failure_of(sum_of_warp, 64, to.data()).empty());
  read_back(exec, to.data(), 64, host.data());
  CHECK(host[0] == 496);
  CHECK(host[32] == 496 + 32 * 32);
  CHECK(unsigned(host[1]) == 0xAAAAAAAAu);
}

TEST_CASE("emulate: a host that does not wait sees old values, and may change its memory once it is copied") {
  const Exec exec = device();
  void* pinned = nullptr;
  REQUIRE(cudaMallocHost(&pinned, sizeof(int)) == cudaSuccess);
  int& value = *static_cast<int*>(pinned);
  value = 3;
  const Temp<int> there(exec, 1);
  int source = 5;
  BASIN_CUDA_CHECK(cudaMemcpyAsync(there.data(), &source, sizeof(int), cudaMemcpyHostToDevice, exec.stream));
  source = 6;
  BASIN_CUDA_CHECK(cudaMemcpyAsync(pinned, there.data(), sizeof(int), cudaMemcpyDeviceToHost, exec.stream));
  CHECK(value == 3);
  BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
  CHECK(value == 5);
  cudaFreeHost(pinned);
}

TEST_CASE("emulate: union-find gives the same roots in thousands of thread orders") {
  const Exec exec = device();
  constexpr int nodes = 40, links = 60;
  for (unsigned seed = 0; seed < 3000; ++seed) {
    emulate::set_seed(seed);
    std::mt19937 random(seed);
    std::vector<int32_t> parent(nodes), a(links), b(links), want(nodes);
    std::iota(parent.begin(), parent.end(), 0);
    std::iota(want.begin(), want.end(), 0);
    for (int k = 0; k < links; ++k) {
      a[size_t(k)] = int32_t(random() % nodes), b[size_t(k)] = int32_t(random() % nodes);
      const int32_t x = want[size_t(a[size_t(k)])], y = want[size_t(b[size_t(k)])];
      for (int32_t& w : want)
        if (w == std::max(x, y)) w = std::min(x, y);
    }
    const Tensor t = Tensor::from(exec, {nodes}, parent), ta = Tensor::from(exec, {links}, a),
                 tb = Tensor::from(exec, {links}, b);
    for_each(exec, links, Unite{ta.data<int32_t>(), tb.data<int32_t>(), {t.data<int32_t>()}});
    const std::vector<int32_t> found = t.to_host<int32_t>(exec);
    for (int i = 0; i < nodes; ++i) {
      int32_t root = i;
      while (found[size_t(root)] != root)
        root = found[size_t(root)];
      if (root != want[size_t(i)]) {
        FAIL("seed ", seed, ", node ", i, ": root ", root, ", want ", want[size_t(i)]);
      }
    }
  }
}

TEST_CASE("emulate: components and DBSCAN give the same labels in many thread orders") {
  const Exec exec = device(), cpu;
  for (unsigned seed = 0; seed < 300; ++seed) {
    emulate::set_seed(seed);
    const int h = 1 + int(seed % 23), w = 1 + int(seed * 7 % 31);
    std::vector<uint8_t> mask(size_t(h * w));
    std::mt19937 random(seed);
    for (uint8_t& m : mask)
      m = random() % 100 < 20 + seed % 60;
    std::vector<int32_t> want(mask.size());
    const int64_t count = kernels::components(cpu, {mask.data(), {h, w}}, 8, {want.data(), {h, w}});
    Tensor there = Tensor::empty(exec, {h, w}, DType::u8), labels = Tensor::empty(exec, {h, w}, DType::i32);
    there.copy_from_host(exec, mask.data());
    CAPTURE(seed);
    REQUIRE(kernels::components(exec, there.view<const uint8_t, 2>(), 8, labels.view<int32_t, 2>()) == count);
    REQUIRE(labels.to_host<int32_t>(exec) == want);

    const int n = 50 + int(seed);
    const std::vector<float> points = uniform<float>(size_t(2 * n), 0, 12, seed);
    std::vector<int32_t> clusters(static_cast<size_t>(n));
    const kernels::DbscanOptions o{0.8, 4};
    const int64_t clusters_wanted = kernels::dbscan<float>(cpu, {points.data(), {n, 2}}, o, {clusters.data(), {n}});
    const Tensor p = Tensor::from(exec, {n, 2}, points), found = Tensor::empty(exec, {n}, DType::i32);
    REQUIRE(kernels::dbscan<float>(exec, p.view<const float, 2>(), o, found.view<int32_t, 1>()) == clusters_wanted);
    REQUIRE(found.to_host<int32_t>(exec) == clusters);
  }
}

TEST_CASE("emulate: prediction and decoding of an image run without intermediate waits of the host") {
  const Exec exec = device();
  VectorFieldOptions options;
  options.net.width = 8;
  VectorFields method(options);
  method.params().allocate(exec);
  method.params().init(exec, 1);
  const std::unique_ptr<Predictor> predictor = method.predictor(exec);
  const Tensor image = Tensor::from(exec, {1, 100, 120}, uniform<float>(12000, 0, 1, 1));
  std::vector<int> waited;
  for (const int tile : {32, 64}) {
    const int before = waits();
    predictor->predict(exec, image, {.tile = tile, .overlap = 8});
    waited.push_back(waits() - before);
  }
  CHECK(waited[0] == 2);  // for the weights of the tiles, before the first tile
  CHECK(waited[1] == 2);

  const Maps maps = method.oracle(exec, make_synthetic({.size = 64, .seed = 1}, 0).labels);
  for (const kernels::NoiseRule rule : {kernels::NoiseRule::none, kernels::NoiseRule::majority}) {
    method.decoding().noise = rule;
    method.decoding().rescale = {5, 95};
    method.decode(exec, maps);
    const int before = waits();
    method.decode(exec, maps);
    CHECK(waits() == before + 1);  // for the labels
  }
}

TEST_CASE("emulate: an image too large to decode at once is decoded in two parts, or refused if these do not fit") {
  const Exec exec = device();
  const VectorFields method(VectorFieldOptions{});
  const Labels truth = make_synthetic({.size = 256, .seed = 1, .density = 0.2}, 0).labels;
  const Maps maps = method.oracle(exec, truth);
  const std::vector<int32_t> want = method.decode(exec, maps).labels.ids;
  Pool& pool = pool_of(exec.device);
  const Exec of_pool = for_images(exec);
  int at_once = 0, in_parts = 0, refused = 0;
  for (size_t room = 0; room < size_t(6) << 20; room += 256 << 10) {
    pool.trim();
    const size_t limit = emulate::set_memory(emulate::memory_in_use() + room);
    const int before = waits();
    try {
      const std::vector<int32_t> got = method.decode(of_pool, maps).labels.ids;
      CHECK(got == want);
      ++(waits() == before + 1 ? at_once : in_parts);
    } catch (const OutOfMemory&) {
      ++refused;
    }
    emulate::set_memory(limit);
  }
  CHECK(refused > 0);
  CHECK(in_parts > 0);
  CHECK(at_once > 0);
}

TEST_CASE("emulate: tuned sums equal plain sums for awkward sizes") {
  const Exec exec = device();
  Exec plain = exec;
  plain.variant = Variant::plain;
  for (const int n : {1, 31, 255, 8191, 8192, 8193, 100000}) {
    const Tensor x = Tensor::from(exec, {n}, uniform<float>(size_t(n), -1, 1, unsigned(n)));
    const Tensor total = Tensor::empty(exec, {2}, DType::f64), again = Tensor::empty(exec, {2}, DType::f64);
    kernels::sum<2>(exec, n, Moments{x.data<const float>()}, total.data<double>());
    kernels::sum<2>(plain, n, Moments{x.data<const float>()}, again.data<double>());
    check_close(total.to_host<double>(exec), again.to_host<double>(exec), 1e-12 * n, 1e-12);
    kernels::sum<2>(exec, n, Moments{x.data<const float>()}, again.data<double>());
    CHECK(total.to_host<double>(exec) == again.to_host<double>(exec));
  }
}

TEST_CASE("emulate: the sdf field is the same in many thread orders") {
  Exec plain;
  plain.variant = Variant::plain;
  for (unsigned seed = 0; seed < 30; ++seed) {
    emulate::set_seed(seed);
    const Grid g = ellipses(20 + int(seed * 7 % 30), 20 + int(seed * 13 % 50), 8, 14, seed);
    const kernels::SdfFieldOptions options = seed % 3 ? kernels::SdfFieldOptions{} : kernels::SdfFieldOptions{5, 9};
    const auto field = [&](const Exec& exec) {
      return run(exec, g, [&](const Exec& e, View<const int32_t, 2> labels, View<float, 3> to) {
        kernels::sdf_field(e, labels, options, to);
      });
    };
    CAPTURE(seed);
    REQUIRE(field(device()) == field(plain));
  }
}
