#pragma once
#include "kernels/runtime/platform.h"

namespace basin {

/// What a random number is used for. The values are stored in no file, but changing one changes the results of every
/// run.
enum class Purpose : uint32_t {
  init = 1,
  order = 2,
  crop = 3,
  augment = 4,
  dropout = 5,
  synth = 6,
  noise = 7,
  test = 8
};

/// Philox4x32-10 (Salmon et al., SC'11): four random words that are a function of (key, counter) alone.
struct Philox {
  uint32_t word[4];

  BASIN_HD Philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
    uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
    word[0] = uint32_t(counter_low), word[1] = uint32_t(counter_low >> 32);
    word[2] = uint32_t(counter_high), word[3] = uint32_t(counter_high >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t a = uint64_t(0xD2511F53u) * word[0], b = uint64_t(0xCD9E8D57u) * word[2];
      word[0] = uint32_t(b >> 32) ^ word[1] ^ k0;
      word[1] = uint32_t(b);
      word[2] = uint32_t(a >> 32) ^ word[3] ^ k1;
      word[3] = uint32_t(a);
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
  }
};

/// A stream of random numbers identified by its use, not by the order of the draws: a value depends only on (seed,
/// purpose, epoch, sample, draw), so it is the same on any machine with any number of threads.
class Random {
 public:
  BASIN_HD Random(uint64_t seed, Purpose purpose, uint32_t epoch = 0, uint64_t sample = 0)
      : key_(seed), high_(uint64_t(purpose) << 56 ^ uint64_t(epoch) << 24 ^ sample >> 40), sample_(sample << 24) {}

  BASIN_HD uint32_t word() {
    const Philox four(key_, sample_ ^ (draw_ >> 2), high_);
    return four.word[draw_++ & 3];
  }
  /// Uniform in [0, 1): 24 random bits.
  BASIN_HD float uniform() { return float(word() >> 8) * 0x1p-24f; }
  BASIN_HD float uniform(float lo, float hi) { return lo + (hi - lo) * uniform(); }
  /// Uniform in [0, n), n > 0, with negligible modulo bias (n < 2^24).
  BASIN_HD int below(int n) { return int(uint64_t(word()) * uint64_t(n) >> 32); }

 private:
  uint64_t key_, high_, sample_;
  uint32_t draw_ = 0;  // fewer than 2^26 draws per sample
};

}  // namespace basin
