#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace basin {

/// Caches the weights of a network in the forms that convolutions on the CPU compute with, such as reordered or
/// transformed ones, so that these are not made again for every image. For inference, when weights no longer change;
/// see Exec::prepared. Thread-safe.
class PreparedWeights {
 public:
  /// For weights among these `count` values, which must neither move nor change as long as this object exists.
  PreparedWeights(const float* values, int64_t count) : begin_(values), end_(values + count) {}

  bool contain(const float* weight) const { return !std::less<>()(weight, begin_) && std::less<>()(weight, end_); }
  /// A form of the weight that begins at `weight`: `bytes` bytes, aligned to 64, which make(address) writes at the
  /// first call. `form` identifies the form: it contains all numbers that the form depends on.
  template <class Make>
  std::byte* get(const float* weight, const std::vector<int64_t>& form, size_t bytes, const Make& make) {
    const std::lock_guard lock(mutex_);
    Block& kept = forms_[{weight, form}];
    if (!kept) {
      Block block(static_cast<std::byte*>(::operator new(bytes, alignment)));
      make(block.get());
      kept = std::move(block);
    }
    return kept.get();
  }

 private:
  static constexpr std::align_val_t alignment{64};
  struct Free {
    void operator()(std::byte* block) const { ::operator delete(block, alignment); }
  };
  using Block = std::unique_ptr<std::byte, Free>;

  const float *begin_, *end_;
  std::mutex mutex_;
  std::map<std::pair<const float*, std::vector<int64_t>>, Block> forms_;
};

}  // namespace basin
