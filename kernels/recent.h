#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <utility>

namespace basin::kernels {

/// Values by their keys, each made when it is first asked for; of more than `most` the one that was longest not asked
/// for goes. Not for several threads at once.
template <class Key, class Value>
class Recent {
 public:
  explicit Recent(size_t most) : most_(most) {}

  /// Valid until the next call. `make()` gives the value; where it throws, nothing changes.
  template <class Make>
  Value& get(const Key& key, const Make& make) {
    if (const auto at = places_.find(key); at != places_.end()) {
      kept_.splice(kept_.begin(), kept_, at->second);
      return kept_.front().second;
    }
    kept_.emplace_front(key, make());
    places_[key] = kept_.begin();
    if (kept_.size() > most_) {
      places_.erase(kept_.back().first);
      kept_.pop_back();
    }
    return kept_.front().second;
  }
  size_t size() const { return kept_.size(); }

 private:
  using Kept = std::list<std::pair<Key, Value>>;  // the last used first
  size_t most_;
  Kept kept_;
  std::map<Key, typename Kept::iterator> places_;
};

}  // namespace basin::kernels
