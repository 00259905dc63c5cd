#include <sys/stat.h>
#include <unistd.h>

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
  char host[256] = "";
  REQUIRE(gethostname(host, sizeof host - 1) == 0);
  const std::string own = std::string(".basin-") + host + "-1-";
  write_bytes(out / (own + "0.tmp"), "left by a killed process");
  fs::create_directories(out / (own + "1.tmp/a"));
  write_bytes(out / (own + "1.tmp/a/0"), "so is this");
  REQUIRE(mkfifo((out / (own + "2.tmp")).c_str(), 0600) == 0);  // opening it would wait
  const std::vector<std::string> others{".basin-1", "notes.tmp", "basin-1-0.tmp", ".basin-another_machine-1-0.tmp"};
  for (const std::string& name : others)
    write_bytes(out / name, "of other origin");
  OutputFile file(out / "a.txt");
  file.write("whole");
  OutputFolder store(out / "b.zarr");
  store.write("0/0", "whole too");

  make_folder(out);
  CHECK(!fs::exists(out / (own + "0.tmp")));
  CHECK(!fs::exists(out / (own + "1.tmp")));
  for (const std::string& name : others)
    CHECK(fs::exists(out / name));
  file.commit(), store.commit();
  CHECK(read_bytes(out / "a.txt") == "whole");
  CHECK(read_bytes(out / "b.zarr/0/0") == "whole too");
  CHECK(std::distance(fs::directory_iterator(out), {}) == 7);

  // A store whose temporary folder is removed by someone is not written in part.
  OutputFolder lost(out / "c.zarr");
  for (const fs::directory_entry& entry : fs::directory_iterator(out))
    if (entry.is_directory() && entry.path().extension() == ".tmp") fs::remove_all(entry.path());
  CHECK(contains(refusal([&] { lost.write("0/0", "x"); }), "c.zarr: cannot be written (its folder was removed)"));
}

TEST_CASE("files: a folder is locked by one at a time") {
  const Folder folder;
  {
    const FolderLock first(folder / "scratch");
    CHECK(first.held());
    CHECK(!FolderLock(folder / "scratch").held());
    fs::remove_all(folder / "scratch");  // a new folder of this name is another one
    CHECK(FolderLock(folder / "scratch").held());
  }
  CHECK(FolderLock(folder / "scratch").held());
}
