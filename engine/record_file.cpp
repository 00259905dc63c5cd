#include "engine/record_file.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "engine/clock.h"
#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/ranks/ranks.h"
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

/// What a file contains.
struct FoundRecords {
  bool has_key = false;  // the first record
  std::vector<std::vector<std::byte>> records;
  size_t good = 0, size = 0;  // bytes of the records, and of the file
};

FoundRecords find_records(const fs::path& path, const std::string& key) {
  const std::vector<std::byte> all =
      fs::exists(path) && fs::file_size(path) > 0 ? read_file(path) : std::vector<std::byte>();
  FoundRecords found;
  found.size = all.size();
  for (RecordHead head{}; all.size() - found.good >= sizeof head;) {
    std::memcpy(&head, all.data() + found.good, sizeof head);
    if (head.bytes > all.size() - found.good - sizeof head) break;
    const std::span<const std::byte> record(all.data() + found.good + sizeof head, head.bytes);
    if (head_of(record).fingerprint != head.fingerprint) break;
    if (found.good == 0) {
      if (record.size() != key.size() || std::memcmp(record.data(), key.data(), key.size()) != 0) break;
      found.has_key = true;
    } else {
      found.records.emplace_back(record.begin(), record.end());
    }
    found.good += sizeof head + head.bytes;
  }
  return found;
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
  FoundRecords found = keep ? find_records(path_, key_) : FoundRecords();
  records_ = std::move(found.records), kept_ = found.has_key;
  if (!kept_)
    restart();
  else if (found.good < found.size)
    change_file(path_, [&](std::error_code& e) { fs::resize_file(path_, found.good, e); });
}

void RecordFile::restart() {
  kept_ = false;
  records_.clear();
  change_file(path_, [&](std::error_code& e) { fs::remove(path_, e); });
  const auto key = std::as_bytes(std::span(key_));
  append({std::vector<std::byte>(key.begin(), key.end())});
}

void RecordFile::append(const std::vector<std::vector<std::byte>>& records) {
  std::vector<std::byte> bytes;
  for (const std::vector<std::byte>& record : records) {
    const RecordHead head = head_of(record);
    const auto head_bytes = std::as_bytes(std::span(&head, 1));
    bytes.insert(bytes.end(), head_bytes.begin(), head_bytes.end());
    bytes.insert(bytes.end(), record.begin(), record.end());
  }
  append_to_file(path_, bytes.data(), bytes.size());
}

SharedRecords::SharedRecords(fs::path stem, std::string key, bool keep, Ranks* ranks, std::function<void()> flush)
    : stem_(std::move(stem)), key_(std::move(key)), ranks_(ranks), flush_(std::move(flush)), settled_(clock_seconds()) {
  // Rank 0 reads all files, before a rank changes its own, so that all ranks continue from the same records.
  std::string all;
  do_on_all(ranks_, [&] {
    if (!keep || !is_first(ranks_)) return;
    for (const fs::path& path : found())
      for (std::vector<std::byte>& record : find_records(path, key_).records)
        records_.push_back(std::move(record));
    for (const std::vector<std::byte>& record : records_) {
      const uint64_t size = record.size();
      all.append(reinterpret_cast<const char*>(&size), sizeof size);
      all.append(reinterpret_cast<const char*>(record.data()), size);
    }
  });
  if (ranks_) {
    all = ranks_->gather_texts(all)[0];
    records_.clear();
    for (const char *at = all.data(), *const end = at + all.size(); at != end;) {
      uint64_t size = 0;
      std::memcpy(&size, at, sizeof size);
      const auto* bytes = reinterpret_cast<const std::byte*>(at + sizeof size);
      records_.emplace_back(bytes, bytes + size);
      at += sizeof size + size;
    }
  }
  if (records_.empty())
    restart();
  else
    do_on_all(ranks_, [&] { open_own(true); });
}

SharedRecords::~SharedRecords() {
  try {
    settle();
  } catch (const std::exception&) {
    // The tasks are repeated.
  }
}

void SharedRecords::append(std::vector<std::byte> record) {
  constexpr double seconds = 3;  // of work that a crash may lose
  waiting_.push_back(std::move(record));
  if (clock_seconds() - settled_ > seconds) settle();
}

void SharedRecords::settle() {
  if (waiting_.empty()) return;
  flush_();
  own_->append(waiting_);
  waiting_.clear();
  settled_ = clock_seconds();
}

void SharedRecords::restart() {
  records_.clear();
  do_first_on_one(ranks_, [&] {
    if (is_first(ranks_))
      for (const fs::path& path : found())
        change_file(path, [&](std::error_code& e) { fs::remove(path, e); });
    open_own(false);
  });
}

void SharedRecords::open_own(bool keep) {
  own_.emplace(stem_.string() + '.' + std::to_string(ranks_ ? ranks_->rank() : 0), key_, keep);
}

std::vector<fs::path> SharedRecords::found() const {
  std::vector<std::pair<int, fs::path>> numbered;
  const std::string begin = stem_.filename().string() + '.';
  for (const fs::directory_entry& entry : fs::directory_iterator(stem_.parent_path())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(begin)) continue;
    int number = 0;
    const char* const last = name.data() + name.size();
    const auto [end, error] = std::from_chars(name.data() + begin.size(), last, number);
    if (error == std::errc() && end == last) numbered.emplace_back(number, entry.path());
  }
  std::sort(numbered.begin(), numbered.end());
  std::vector<fs::path> paths;
  for (auto& [number, path] : numbered)
    paths.push_back(std::move(path));
  return paths;
}

}  // namespace basin
