#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <utility>

namespace basin::kernels {

/// A cache of values by key that keeps the `capacity` most recently used ones. Not thread-safe.
template <class Key, class Value>
class LruCache {
 public:
  explicit LruCache(size_t capacity) : capacity_(capacity) {}

  /// The value for `key`, computed by make() if it is not cached. The reference is valid until the next call. If make()
  /// throws, the cache is unchanged.
  template <class Make>
  Value& get(const Key& key, const Make& make) {
    if (const auto at = slots_.find(key); at != slots_.end()) {
      kept_.splice(kept_.begin(), kept_, at->second);
      return kept_.front().second;
    }
    kept_.emplace_front(key, make());
    slots_[key] = kept_.begin();
    if (kept_.size() > capacity_) {
      slots_.erase(kept_.back().first);
      kept_.pop_back();
    }
    return kept_.front().second;
  }
  size_t size() const { return kept_.size(); }

 private:
  using Kept = std::list<std::pair<Key, Value>>;  // most recently used first
  size_t capacity_;
  Kept kept_;
  std::map<Key, typename Kept::iterator> slots_;
};

}  // namespace basin::kernels
