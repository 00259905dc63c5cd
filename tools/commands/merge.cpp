#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/text.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/results/object_tables.h"
#include "tools/results/result_files.h"
#include "tools/results/run_record.h"
#include "tools/results/shards.h"
#include "tools/segmentation/segment_batch.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

/// The run.json of a shard.
struct ReadShard {
  std::string name;
  Json run;
  ShardRecord record;
};

ReadShard read_shard(const ShardFile& file) {
  const std::string name = file.path.string();
  try {
    Json run = read_record(file.path);
    ShardRecord record = shard_record_of(run, name);
    return {name, std::move(run), std::move(record)};
  } catch (const Error& error) {
    refuse(error.what(), "; run this shard again with --skip-existing");
  }
}

/// The records of all shards of one batch, in their order. Refuses shards that are missing, unfinished or of different
/// batches.
std::vector<ReadShard> read_shards(const fs::path& out) {
  const std::vector<ShardFile> files = find_shards(out);
  if (files.empty()) refuse(out.string(), ": contains no run.shard-I-of-N.json, which `segment --shard I/N` writes");
  const int count = files[0].shard.count;
  if (files.back().shard.count != count)
    refuse(out.string(), ": contains shards of several runs, one of ", count, " and one of ", files.back().shard.count,
           "; remove the run.shard-*.json of the one that does not count");
  std::vector<std::string> missing;
  size_t next = 0;
  for (int index = 1; index <= count; ++index)
    if (next < files.size() && files[next].shard.index == index)
      ++next;
    else
      missing.push_back(std::to_string(index));
  if (!missing.empty()) refuse(out.string(), ": of its ", count, " shards these are missing: ", joined(missing));
  std::vector<ReadShard> shards;
  for (const ShardFile& file : files) {
    ReadShard shard = read_shard(file);
    if (!shards.empty()) {
      const std::string& name = shard.name;
      const ReadShard& first = shards[0];
      if (shard.record.fingerprint != first.record.fingerprint)
        refuse(name, ": this shard was run with different inputs than shard 1; give all shards the same inputs");
      for (const char* setting : result_settings)
        if (shard.run.value(setting, Json()) != first.run.value(setting, Json()))
          refuse(name, ": this shard was run with a different ", name_of_setting(setting), " than shard 1");
      if (shard.run["save"] != first.run["save"])
        refuse(name, ": this shard was run with a different --save than shard 1");
    }
    shards.push_back(std::move(shard));
  }
  return shards;
}

/// Removes the option --shard from a recorded command line.
std::string without_shard(std::string command, const std::string& shard) {
  for (const char* sign : {" ", "="}) {
    const std::string option = " --shard" + (sign + shard);
    if (const size_t at = command.find(option); at != std::string::npos) return command.erase(at, option.size());
  }
  return command;
}

/// An image of the batch.
struct Member {
  std::string stem, path;
};

/// Throws one sentence that names the files of results, by their stems, that are damaged or contradict each other.
void check_results(const fs::path& out, const std::vector<std::string>& stems, const std::set<std::string>& save) {
  constexpr size_t max_names = 5;
  std::string faults;
  size_t count = 0;
  for (const std::string& stem : stems) {
    const ResultFault fault = fault_of_results(out / stem, result_endings(save));
    const std::string& what = fault.damage.empty() ? fault.contradiction : fault.damage;
    if (!what.empty() && ++count <= max_names) faults += (count > 1 ? "; " : "") + what;
  }
  if (count > max_names) faults += "; and " + std::to_string(count - max_names) + " more";
  if (count > 0) refuse(faults, "; remove these files and run their shards again with --skip-existing");
}

void run(const fs::path& out) {
  const std::vector<ReadShard> shards = read_shards(out);
  const ShardRecord& first = shards[0].record;
  int64_t all = 0;
  for (const ReadShard& shard : shards)
    all += int64_t(shard.record.images.size());
  std::vector<Member> members(static_cast<size_t>(all));
  std::map<std::string, size_t> position;  // of an image in the batch, by its path
  for (size_t i = 0; i < shards.size(); ++i) {
    const ShardRecord& shard = shards[i].record;
    const int64_t share = (all - int64_t(i) + int64_t(shards.size()) - 1) / int64_t(shards.size());
    if (shard.images_of_all_shards != all || int64_t(shard.images.size()) != share)
      refuse(shards[i].name, ": is damaged: it says that it has ", shard.images.size(), " of ",
             shard.images_of_all_shards, " images, but all shards together have ", all);
    for (size_t n = 0, k = i; n < shard.images.size(); ++n, k += shards.size()) {
      members[k] = {shard.images[n].first, shard.images[n].second};
      position[members[k].path] = k;
    }
  }
  // Entries about one image, of all shards, in the order of the images.
  const auto joined = [&](const char* key) {
    std::multimap<size_t, Json> entries;
    for (const ReadShard& shard : shards)
      for (const Json& entry : shard.run[key]) {
        const auto at = position.find((entry.is_object() ? entry["image"] : entry).get<std::string>());
        if (at != position.end()) entries.emplace(at->second, entry);
      }
    Json list = Json::array();
    for (auto& [at, entry] : entries)
      list.push_back(std::move(entry));
    return list;
  };
  Json merged = shards[0].run;
  Json failed = first.failed_inputs;
  for (Json& image : joined("failed"))
    failed.push_back(std::move(image));
  for (const char* key : {"remarks", "scales", "dropped"})
    merged[key] = joined(key);
  merged["failed"] = failed;
  for (const char* key : {"images", "converted", "skipped"}) {
    size_t sum = 0;
    for (const ReadShard& shard : shards)
      sum += shard.run.value(key, size_t(0));
    if (merged.contains(key)) merged[key] = sum;
  }
  for (auto& [stage, time] : merged["seconds"].items()) {
    double sum = 0;
    for (const ReadShard& shard : shards)
      sum += shard.run["seconds"].value(stage, 0.);
    time = sum;
  }
  for (const ReadShard& shard : shards)
    merged[since_key] = std::min(merged[since_key].get<int64_t>(), shard.run[since_key].get<int64_t>());
  merged["command"] = without_shard(merged["command"].get<std::string>(), merged["shard"].get<std::string>());
  merged["shard"] = nullptr;
  merged.erase("shard_of");
  const std::vector<std::string> failures = failed.get<std::vector<std::string>>();
  const Json& save = merged["save"];
  const bool has_table = std::find(save.begin(), save.end(), "table") != save.end();
  const std::set<std::string> left_out(failures.begin(), failures.end());
  std::vector<std::string> stems;
  for (const Member& member : members)
    if (!left_out.contains(member.path)) stems.push_back(member.stem);
  check_results(out, stems, save.get<std::set<std::string>>());
  if (has_table) join_object_tables(out, stems, out / "objects.csv");
  write_atomically(out / "run.json", to_text(merged, 2) + '\n');
  std::printf("%s of %s: wrote %s%s\n", counted(int64_t(shards.size()), "shard").c_str(), counted(all, "image").c_str(),
              (out / "run.json").c_str(), has_table ? " and objects.csv" : "");
  if (!failures.empty()) refuse_failed(failures, size_t(all) + first.failed_inputs.size());
}

}  // namespace

void add_merge(Command& program) {
  Command command =
      program.subcommand("merge", "join the records and the tables of objects that `segment --shard` has written");
  auto out = std::make_shared<std::string>();
  command.add("OUT", *out, "the output folder of all shards").required();
  command.runs([out] { run(*out); });
}

}  // namespace basin::tools
