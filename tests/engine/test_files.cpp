#include "engine/files.h"
#include "tests/support/file_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

TEST_CASE("files: a new output folder loses what killed processes left, but nothing that is being written") {
  const Folder folder;
  const fs::path out = folder / "out";
  make_folder(out);
  write_bytes(out / ".basin-1-0.tmp", "left by a killed process");
  fs::create_directories(out / ".basin-1-1.tmp/a");
  write_bytes(out / ".basin-1-1.tmp/a/0", "so is this");
  for (const char* name : {".basin-1", "notes.tmp", "basin-1-0.tmp"})
    write_bytes(out / name, "of other origin");
  OutputFile file(out / "a.txt");
  file.write("whole");
  OutputFolder store(out / "b.zarr");
  store.write("0/0", "whole too");

  make_folder(out);
  CHECK(!fs::exists(out / ".basin-1-0.tmp"));
  CHECK(!fs::exists(out / ".basin-1-1.tmp"));
  for (const char* name : {".basin-1", "notes.tmp", "basin-1-0.tmp"})
    CHECK(fs::exists(out / name));
  file.commit(), store.commit();
  CHECK(read_bytes(out / "a.txt") == "whole");
  CHECK(read_bytes(out / "b.zarr/0/0") == "whole too");
  CHECK(std::distance(fs::directory_iterator(out), {}) == 5);
}

TEST_CASE("files: a folder is locked by one at a time") {
  const Folder folder;
  {
    const FolderLock first(folder / "scratch");
    CHECK(first.held());
    CHECK(!FolderLock(folder / "scratch").held());
    fs::remove(folder / "scratch");  // a new folder of this name is another one
    CHECK(FolderLock(folder / "scratch").held());
  }
  CHECK(FolderLock(folder / "scratch").held());
}
