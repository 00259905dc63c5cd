#include "engine/record_file.h"

#include <cstdint>
#include <cstring>

#include "engine/files.h"
#include "engine/fingerprint.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

struct RecordHead {
  uint64_t bytes, fingerprint;
};

RecordHead head_of(std::span<const std::byte> record) {
  Fingerprint content;
  content.add(record.size());
  content.add(record);
  return {record.size(), content.value()};
}

/// Throws one sentence if the change of a file fails.
template <class F>
void change_file(const fs::path& path, const F& change) {
  std::error_code error;
  change(error);
  if (error) refuse(path.string(), ": cannot be written (", error.message(), ")");
}

}  // namespace

RecordFile::RecordFile(fs::path path, std::string key, bool keep) : path_(std::move(path)), key_(std::move(key)) {
  const std::vector<std::byte> all =
      keep && fs::exists(path_) && fs::file_size(path_) > 0 ? read_file(path_) : std::vector<std::byte>();
  size_t good = 0;
  for (RecordHead head{}; all.size() - good >= sizeof head;) {
    std::memcpy(&head, all.data() + good, sizeof head);
    if (head.bytes > all.size() - good - sizeof head) break;
    const std::span<const std::byte> record(all.data() + good + sizeof head, head.bytes);
    if (head_of(record).fingerprint != head.fingerprint) break;
    if (good == 0) {
      if (record.size() != key_.size() || std::memcmp(record.data(), key_.data(), key_.size()) != 0) break;
      kept_ = true;
    } else {
      records_.emplace_back(record.begin(), record.end());
    }
    good += sizeof head + head.bytes;
  }
  if (!kept_)
    restart();
  else if (good < all.size())
    change_file(path_, [&](std::error_code& e) { fs::resize_file(path_, good, e); });
}

void RecordFile::restart() {
  kept_ = false;
  records_.clear();
  change_file(path_, [&](std::error_code& e) { fs::remove(path_, e); });
  append(std::as_bytes(std::span(key_)));
}

void RecordFile::append(std::span<const std::byte> record) {
  const RecordHead head = head_of(record);
  std::vector<std::byte> bytes(sizeof head + record.size());
  std::memcpy(bytes.data(), &head, sizeof head);
  if (!record.empty()) std::memcpy(bytes.data() + sizeof head, record.data(), record.size());
  append_to_file(path_, bytes.data(), bytes.size());
}

}  // namespace basin
