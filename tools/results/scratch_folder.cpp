#include "tools/results/scratch_folder.h"

#include <sys/stat.h>

#include <algorithm>

#include "engine/files.h"
#include "engine/text.h"
#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr const char* state_name = "state.json";

/// The bytes that are free on the disk of a folder, which need not exist yet.
int64_t free_disk(fs::path folder) {
  while (!folder.empty() && !fs::exists(folder) && folder != folder.parent_path())
    folder = folder.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(folder.empty() ? "." : folder, error);
  return error ? INT64_MAX : int64_t(std::min<uintmax_t>(space.available, INT64_MAX));
}

/// Bytes on the disk that a folder holds, if there is one.
int64_t bytes_in(const fs::path& folder) {
  int64_t bytes = 0;
  if (!fs::exists(folder)) return bytes;
  for (const auto& entry : fs::directory_iterator(folder)) {
    struct stat found {};
    if (stat(entry.path().c_str(), &found) == 0) bytes += int64_t(found.st_blocks) * 512;
  }
  return bytes;
}

/// Removes the state first, so that no run continues from a folder that was emptied in part, and keeps the lock.
void empty_scratch(const fs::path& scratch) {
  fs::remove(scratch / state_name);
  for (const fs::directory_entry& entry : fs::directory_iterator(scratch))
    if (entry.path().filename() != FolderLock::lock_name) fs::remove_all(entry.path());
}

}  // namespace

fs::path scratch_folder(const fs::path& base) {
  return base.parent_path() / ('.' + base.filename().string() + ".blocks");
}

int64_t room_for(const fs::path& scratch) {
  const int64_t room = free_disk(scratch), held = bytes_in(scratch);
  return room < INT64_MAX - held ? room + held : INT64_MAX;
}

bool prepare_scratch(const fs::path& scratch, const Json& record, bool resume, const std::string& name) {
  const fs::path path = scratch / state_name;
  if (resume && fs::exists(path)) {
    const Json found = parse_json(read_text(path));
    if (found == record) return true;
    if (!found.is_object()) refuse(path.string(), ": is damaged; start again without --resume");
    std::string differing;
    for (const auto& [key, value] : record.items())
      if (found.value(key, Json()) != value) add_to_list(differing, key);
    refuse(name, ": ", scratch.string(), " was started with different settings (", differing,
           "); repeat these, or start again without --resume");
  }
  empty_scratch(scratch);
  write_atomically(path, to_text(record, 2) + '\n');
  return false;
}

void remove_scratch(const fs::path& scratch) {
  empty_scratch(scratch);
  fs::remove_all(scratch);
}

void remove_abandoned_scratch(const fs::path& scratch) {
  if (!fs::exists(scratch)) return;
  if (const FolderLock lock(scratch); lock.held()) remove_scratch(scratch);
}

}  // namespace basin::tools
