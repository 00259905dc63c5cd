#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <utility>

namespace basin::kernels {

/// Values by their keys, each made when it is first asked for; of more than `capacity` the one that was longest not
/// asked for goes. Not for several threads at once.
template <class Key, class Value>
class LruCache {
 public:
  explicit LruCache(size_t capacity) : capacity_(capacity) {}

  /// Valid until the next call. `make()` gives the value; where it throws, nothing changes.
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
  using Kept = std::list<std::pair<Key, Value>>;  // the last used first
  size_t capacity_;
  Kept kept_;
  std::map<Key, typename Kept::iterator> slots_;
};

}  // namespace basin::kernels
