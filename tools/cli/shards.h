#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace basin::tools {

/// One of `count` runs that share the images of a batch: image k, counted from 0, belongs to shard k mod count + 1.
struct Shard {
  int index = 1, count = 1;
  bool is_whole = true;  // the whole batch is one run, which is not called a shard; 1/1 is a shard

  bool takes(size_t image) const { return image % size_t(count) + 1 == size_t(index); }
  bool operator==(const Shard&) const = default;
};

/// Parses "2/4"; an empty text is the whole batch.
Shard parse_shard(const std::string&);

/// The name of a file that each shard writes for itself: "run.shard-2-of-4.json"; for the whole batch "run.json".
std::string shard_file(const std::string& stem, const std::string& extension, const Shard&);

/// A file of one shard in a folder.
struct ShardFile {
  Shard shard;
  std::filesystem::path path;
};
/// The files run.shard-I-of-N.json in a folder, by N and then by I.
std::vector<ShardFile> find_shards(const std::filesystem::path& folder);

}  // namespace basin::tools
