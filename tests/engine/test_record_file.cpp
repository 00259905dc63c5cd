#include <fstream>

#include "engine/record_file.h"
#include "tests/support/file_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> texts_of(const RecordFile& file) {
  std::vector<std::string> texts;
  for (const std::vector<std::byte>& record : file.records())
    texts.emplace_back(reinterpret_cast<const char*>(record.data()), record.size());
  return texts;
}

void append(RecordFile& file, const std::string& text) { file.append(std::as_bytes(std::span(text))); }

}  // namespace

TEST_CASE("record file: complete records are kept, wherever a crash cut the file short") {
  const Folder folder;
  const fs::path path = folder / "records";
  using Texts = std::vector<std::string>;
  std::vector<size_t> sizes;
  {
    RecordFile file(path, "key", true);
    CHECK(!file.kept());
    for (const char* text : {"one", "", "three three"})
      sizes.push_back(fs::file_size(path)), append(file, text);
  }
  const std::string all = read_bytes(path);
  sizes.push_back(all.size());
  for (size_t length = 0; length <= all.size(); ++length) {
    CAPTURE(length);
    write_bytes(path, all.substr(0, length));
    Texts want{"one", "", "three three"};
    while (!want.empty() && sizes[want.size()] > length)
      want.pop_back();
    {
      RecordFile file(path, "key", true);
      CHECK(file.kept() == (length >= sizes[0]));
      CHECK(texts_of(file) == want);
      append(file, "next");
    }
    want.push_back("next");
    CHECK(texts_of(RecordFile(path, "key", true)) == want);
  }
}

TEST_CASE("record file: another key, a changed byte and a new beginning leave no records behind") {
  const Folder folder;
  const fs::path path = folder / "records";
  const auto fill = [&] {
    RecordFile file(path, "key", false);
    append(file, "one"), append(file, "two");
  };
  fill();
  CHECK(texts_of(RecordFile(path, "other", true)).empty());
  CHECK(!RecordFile(path, "key", true).kept());
  fill();
  std::string bytes = read_bytes(path);
  bytes[bytes.find("two")] = 'T';
  write_bytes(path, bytes);
  CHECK(texts_of(RecordFile(path, "key", true)) == std::vector<std::string>{"one"});
  fill();
  {
    RecordFile file(path, "key", true);
    REQUIRE(file.records().size() == 2);
    file.restart();
    CHECK(!file.kept());
    append(file, "new");
  }
  CHECK(texts_of(RecordFile(path, "key", true)) == std::vector<std::string>{"new"});
  CHECK(contains(refusal([&] { RecordFile(folder / "none" / "x", "key", false); }), "cannot be written"));
}
