#include "tools/results/shards.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <tuple>

#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr int max_shards = 1000000;

/// Parses "2SEPARATOR4"; none if it is anything else or outside 1/1 to max_shards.
std::optional<Shard> shard_in(std::string_view text, std::string_view separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits, int& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  Shard shard{.is_whole = false};
  if (!number(text.substr(0, at), shard.index) || !number(text.substr(at + separator.size()), shard.count))
    return std::nullopt;
  if (shard.count < 1 || shard.count > max_shards || shard.index < 1 || shard.index > shard.count) return std::nullopt;
  return shard;
}

}  // namespace

Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  const std::optional<Shard> shard = shard_in(text, "/");
  if (!shard) refuse("--shard ", text, ": expected I/N, such as 2/4 for the second of four shards");
  return *shard;
}

std::string shard_file(const std::string& stem, const std::string& extension, const Shard& shard) {
  if (shard.is_whole) return stem + extension;
  return stem + ".shard-" + std::to_string(shard.index) + "-of-" + std::to_string(shard.count) + extension;
}

std::vector<ShardFile> find_shards(const fs::path& folder) {
  constexpr std::string_view begin = "run.shard-", end = ".json";
  std::vector<ShardFile> found;
  std::error_code none;
  for (fs::directory_iterator it(folder, none), last; !none && it != last; it.increment(none)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(begin) || !name.ends_with(end) || name.size() < begin.size() + end.size()) continue;
    const std::string_view numbers(name.data() + begin.size(), name.size() - begin.size() - end.size());
    if (const std::optional<Shard> shard = shard_in(numbers, "-of-")) found.push_back({*shard, it->path()});
  }
  std::sort(found.begin(), found.end(), [](const ShardFile& a, const ShardFile& b) {
    return std::tie(a.shard.count, a.shard.index) < std::tie(b.shard.count, b.shard.index);
  });
  return found;
}

}  // namespace basin::tools
