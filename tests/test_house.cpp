#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/paths.h"

namespace fs = std::filesystem;

namespace {

const std::vector<std::string> floors = {"kernels", "engine", "data", "models", "tools"};  // from the bottom

/// The rooms of each floor, from the bottom: a file may include files of its own room and of rooms before it. Rooms in
/// one string must not include each other. "" is the root of the floor. models/registry.cpp, which lists the methods,
/// is the only exception.
const std::map<std::string, std::vector<std::set<std::string>>> rooms = {
    {"kernels", {{"runtime"}, {"conv", "nn", "field", "flow", "cluster", "image", "embedding", "roi"}}},
    {"data", {{"arrays"}, {"files"}, {"dataset", "synth"}, {"metrics", "objects", "report", "checks"}, {"view"}}},
    {"models", {{"networks"}, {""}, {"methods"}, {"inference"}, {"training"}}},
    {"tools", {{"cli"}, {"results"}, {"training", "segmentation"}, {"commands", "bench"}, {"library"}, {""}}},
};
constexpr size_t max_files_per_folder = 30;

/// A vendor library: which files may include it, and how many may.
struct Fence {
  const char* library;
  const char* header;  // the text between < and >
  const char* file;
  size_t max_files;
};
const Fence fences[] = {
    {"the CUDA runtime", "cuda_runtime.*|cuda\\.h", "kernels/runtime/platform\\.h", 1},
    {"cuDNN", "cudnn.*", "kernels/conv/\\w*_cudnn\\.(h|cpp|cu)", 2},
    {"cuBLAS", "cublas.*", "kernels/conv/\\w*_cublas\\.(h|cpp|cu)", 2},
    {"CUB or Thrust", "(cub|thrust)/.*", "kernels/runtime/\\w*_cub\\.(h|cu)", 2},
    {"oneDNN", "dnnl.*|oneapi/dnnl.*", "kernels/conv/\\w*_onednn\\.(h|cpp)", 2},
    {"libtiff", "tiff.*", "data/files/\\w+\\.(h|cpp)", 1},
    {"libpng", "png\\.h", "data/files/\\w+\\.cpp", 1},
    {"libjpeg", "jpeglib\\.h|jerror\\.h|turbojpeg\\.h", "data/files/\\w+\\.cpp", 1},
    {"pugixml", "pugixml.*", "data/files/\\w+\\.cpp", 1},
    {"zlib, Zstandard or Blosc", "(zlib|zstd|blosc)\\.h", "data/arrays/\\w+\\.cpp|tests/data/test_zarr\\.cpp", 2},
    {"the JSON library", "nlohmann/.*", "engine/json(_fwd)?\\.h", 2},
    {"CLI11", "CLI/.*", "tools/cli/options\\.cpp", 1},
    {"MPI", "mpi\\.h", "tools/mpi\\.cpp", 1},
};

struct Source {
  std::string path, floor, text, code;  // code: text without comments and string literals
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Replaces comments, string and character literals by spaces; keeps line breaks and includes.
std::string code_of(const std::string& text) {
  std::string code = text;
  const auto blank = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < std::min(end, code.size()); ++i)
      if (code[i] != '\n') code[i] = ' ';
  };
  const auto past = [&](const std::string& mark, size_t from) {
    const size_t at = text.find(mark, from);
    return at == std::string::npos ? text.size() : at + mark.size();
  };
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (text.compare(i, 2, "//") == 0) {
      i = std::min(text.find('\n', i), text.size());
    } else if (text.compare(i, 2, "/*") == 0) {
      i = past("*/", i + 2);
    } else if (text.compare(i, 3, "R\"(") == 0) {
      i = past(")\"", i + 3);
    } else if (text[i] == '"' || (text[i] == '\'' && (i == 0 || !std::isalnum(text[i - 1])))) {
      const char quote = text[i++];
      while (i < text.size() && text[i] != quote && text[i] != '\n')
        i += text[i] == '\\' ? 2 : 1;
      ++i;
    } else {
      ++i;
      continue;
    }
    blank(begin, i);
  }
  return code;
}

std::vector<Source> sources_of(const fs::path& root) {
  std::vector<Source> all;
  std::vector<std::string> folders = floors;
  folders.push_back("tests");
  for (const std::string& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
      const std::string text = read(entry.path());
      all.push_back({entry.path().lexically_relative(root).generic_string(), folder, text, code_of(text)});
    }
  }
  std::sort(all.begin(), all.end(), [](const Source& a, const Source& b) { return a.path < b.path; });
  return all;
}

/// 0 at the bottom; folders that are not floors, such as tests, are above all floors.
size_t rank_of(const std::string& floor) {
  return size_t(std::find(floors.begin(), floors.end(), floor) - floors.begin());
}

/// The folder of a path below its floor; empty for a file at the floor's root.
std::string room_of(const std::string& path) {
  const size_t begin = path.find('/') + 1, end = path.find('/', begin);
  return end == std::string::npos ? "" : path.substr(begin, end - begin);
}

/// Whether a file may include another one of the same floor.
bool room_allows(const std::string& floor, const std::string& from, const std::string& to) {
  const auto order = rooms.find(floor);
  if (order == rooms.end() || from == to) return true;
  const auto rank = [&](const std::string& room) {
    size_t r = 0;
    while (r < order->second.size() && !order->second[r].count(room))
      ++r;
    return r;
  };
  return rank(to) < rank(from);
}

size_t lines_of(const std::string& text) { return size_t(std::count(text.begin(), text.end(), '\n')); }

struct Include {
  std::string name;
  bool quoted;
};
std::vector<Include> includes_of(const std::string& text) {
  static const std::regex line("(?:^|\n)[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"\n]+)[>\"]");
  std::vector<Include> all;
  for (std::sregex_iterator i(text.begin(), text.end(), line), end; i != end; ++i)
    all.push_back({(*i)[2], (*i)[1] == "\""});
  return all;
}

/// The body of `void launch(`, up to its closing brace: the only place that may contain <<<.
std::string without_launch(std::string code) {
  const size_t name = code.find("void launch(");
  const size_t open = name == std::string::npos ? name : code.find('{', name);
  if (open == std::string::npos) return code;
  size_t end = open;
  for (int depth = 0; end < code.size(); ++end) {
    depth += code[end] == '{' ? 1 : code[end] == '}' ? -1 : 0;
    if (depth == 0) break;
  }
  return code.erase(open, end - open);
}

/// Every violation of the rules under `root`, as "file: what".
std::vector<std::string> violations(const fs::path& root) {
  std::vector<std::string> found;
  const auto report = [&](const std::string& where, const std::string& what) { found.push_back(where + ": " + what); };
  const std::vector<Source> sources = sources_of(root);

  std::set<std::string> listed;
  {
    static const std::regex name("(?:kernels|engine|data|models|tools|tests)/[\\w./]+\\.(?:cpp|cu)");
    const std::string cmake = read(root / "CMakeLists.txt");
    for (std::sregex_iterator i(cmake.begin(), cmake.end(), name), end; i != end; ++i)
      listed.insert(i->str());
  }
  std::map<std::string, std::set<std::string>> users;  // of each vendor library

  for (const Source& s : sources) {
    const bool built_by_script = s.path.starts_with("tests/fuzz/");  // with another compiler
    if (!s.path.ends_with(".h") && !built_by_script && !listed.count(s.path))
      report(s.path, "is not listed in CMakeLists.txt");
    if (s.path.ends_with(".h") && s.text.find("#pragma once") == std::string::npos)
      report(s.path, "has no #pragma once");
    const size_t limit = s.floor == "kernels" ? 300 : 500;
    if (lines_of(s.text) > limit) report(s.path, "has more than " + std::to_string(limit) + " lines");
    for (const std::string& word : {std::string("TO") + "DO", std::string("FIX") + "ME"})
      if (s.text.find(word) != std::string::npos) report(s.path, "says " + word);
    if ((s.path == "kernels/runtime/launch.h" ? without_launch(s.code) : s.code).find("<<<") != std::string::npos)
      report(s.path, "launches a kernel outside launch() of kernels/runtime/launch.h");

    for (const Include& include : includes_of(s.text)) {
      if (include.quoted) {
        const std::string floor = include.name.substr(0, include.name.find('/'));
        if (!fs::exists(root / include.name))
          report(s.path, "includes \"" + include.name + "\", which is not a path from the root");
        else if (s.floor != "tests" && rank_of(floor) > rank_of(s.floor))
          report(s.path, "includes \"" + include.name + "\", which lies on a higher floor");
        else if (floor == s.floor && s.path != "models/registry.cpp" &&
                 !room_allows(floor, room_of(s.path), room_of(include.name)))
          report(s.path, "includes \"" + include.name + "\", which lies in a room that it may not know");
        continue;
      }
      for (const Fence& fence : fences) {
        if (!std::regex_match(include.name, std::regex(fence.header))) continue;
        users[fence.library].insert(s.path);
        if (!std::regex_match(s.path, std::regex(fence.file)))
          report(s.path, "includes <" + include.name + ">: " + fence.library + " is fenced into " + fence.file);
      }
    }
  }
  for (const Fence& fence : fences)
    if (users[fence.library].size() > fence.max_files)
      report(*users[fence.library].rbegin(), "is one file too many that includes " + std::string(fence.library));

  std::map<std::string, size_t> files_of;
  for (const Source& s : sources)
    ++files_of[fs::path(s.path).parent_path().generic_string()];
  for (const auto& [folder, files] : files_of)
    if (files > max_files_per_folder) report(folder, "holds " + std::to_string(files) + " source files");

  for (const std::string& name : listed)
    if (!fs::exists(root / name)) report("CMakeLists.txt", "lists " + name + ", which does not exist");

  // Files that git ignores may exist; everything else in the root folder belongs to the tree.
  static const std::regex top(
      "\\..*|build.*|quickstart|CMakeLists\\.txt|CMakePresets\\.json|README\\.md|LICENSE|CHANGELOG\\.md|compile_"
      "commands\\.json|"
      "docs|CONTRIBUTING\\.md|kernels|engine|data|models|tools|tests");
  for (const auto& entry : fs::directory_iterator(root))
    if (!std::regex_match(entry.path().filename().string(), top))
      report(entry.path().filename().string(), "does not belong at the top");
  return found;
}

/// A small tree that satisfies every rule, in which tests plant one fault at a time.
class Planted {
 public:
  Planted() : root_(fs::temp_directory_path() / ("basin-house-" + std::to_string(std::random_device{}()))) {
    write("CMakeLists.txt", "kernels/image/a.cu kernels/conv/conv_onednn.cpp data/files/b.cpp tests/test_a.cpp\n");
    write("kernels/runtime/launch.h",
          "#pragma once\ntemplate <class F>\nvoid launch(F f) {\n  { f<<<1, 2>>>(); }\n}\n");
    write("kernels/image/a.cu",
          "// a comment may say <<<\n#include \"kernels/runtime/launch.h\"\nconst char* s = \"<<<\";\n");
    write("kernels/conv/conv_onednn.cpp", "#include <dnnl.hpp>\n");
    write("data/files/b.cpp", "#include <tiffio.h>\n\n#include \"kernels/runtime/launch.h\"\n");
    write("tests/test_a.cpp", "#include \"data/files/b.h\"\n");
    write("data/files/b.h", "#pragma once\n");
  }
  ~Planted() { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void append(const std::string& path, const std::string& text) { write(path, read(root_ / path) + text); }
  std::vector<std::string> found() const { return violations(root_); }

 private:
  fs::path root_;
};

void check_only(const Planted& tree, const std::string& want) {
  const std::vector<std::string> found = tree.found();
  CHECK_MESSAGE(found.size() == 1, "wanted ", want);
  for (const std::string& f : found)
    CHECK_MESSAGE(f.find(want) != std::string::npos, f, " instead of ", want);
}

}  // namespace

TEST_CASE("house: the source tree satisfies the rules") {
  const std::vector<std::string> found = violations(basin::source_dir());
  for (const std::string& f : found)
    FAIL_CHECK(f);
  CHECK(sources_of(basin::source_dir()).size() > 20);
}

TEST_CASE("house: comments and literals are not treated as code") {
  CHECK(code_of("a // <<<\nb") == "a       \nb");
  CHECK(code_of("a /* \" */ b") == "a         b");
  CHECK(code_of("f(\"\\\"<<<\") < 1'000") == "f(       ) < 1'000");
  CHECK(code_of("'\"' << x") == "    << x");
}

TEST_CASE("house: each planted fault is found, and nothing else is reported") {
  Planted tree;
  CHECK(tree.found().empty());

  SUBCASE("an include that points upwards") {
    tree.append("kernels/image/a.cu", "#include \"data/files/b.h\"\n");
    check_only(tree, "higher floor");
  }
  SUBCASE("an include of a room above") {
    tree.write("kernels/cluster/c.h", "#pragma once\n");
    tree.append("kernels/runtime/launch.h", "#include \"kernels/cluster/c.h\"\n");
    check_only(tree, "may not know");
  }
  SUBCASE("an include of a room beside") {
    tree.write("kernels/cluster/c.h", "#pragma once\n");
    tree.write("kernels/image/d.h", "#pragma once\n#include \"kernels/cluster/c.h\"\n");
    check_only(tree, "may not know");
  }
  SUBCASE("a crowded folder") {
    for (int i = 0; i < 29; ++i)
      tree.write("data/files/h" + std::to_string(i) + ".h", "#pragma once\n");
    check_only(tree, "holds 31 source files");
  }
  SUBCASE("an include of tests from a floor") {
    tree.write("tests/support/support.h", "#pragma once\n");
    tree.append("data/files/b.cpp", "  #  include \"tests/support/support.h\"\n");
    check_only(tree, "higher floor");
  }
  SUBCASE("an include not written from the root") {
    tree.append("kernels/image/a.cu", "#include \"parallel.h\"\n");
    check_only(tree, "not a path from the root");
  }
  SUBCASE("a launch in another file") {
    tree.append("kernels/image/a.cu", "k<<<1, 1>>>();\n");
    check_only(tree, "outside launch()");
  }
  SUBCASE("another launch()") {
    tree.append("kernels/image/a.cu", "void launch(int) { k<<<1, 1>>>(); }\n");
    check_only(tree, "outside launch()");
  }
  SUBCASE("a launch beside launch()") {
    tree.append("kernels/runtime/launch.h", "void other() { k<<<1, 1>>>(); }\n");
    check_only(tree, "outside launch()");
  }
  SUBCASE("a library outside its fence") {
    tree.append("data/files/b.cpp", "#include <dnnl.hpp>\n");
    check_only(tree, "fenced");
  }
  SUBCASE("a library in too many files") {
    tree.append("CMakeLists.txt", "data/files/c.cpp\n");
    tree.write("data/files/c.cpp", "#include <tiff.h>\n");
    check_only(tree, "one file too many");
  }
  SUBCASE("a source that is not built") {
    tree.write("data/files/lost.cpp", "int x;\n");
    check_only(tree, "not listed");
  }
  SUBCASE("a listed source that does not exist") {
    tree.append("CMakeLists.txt", "engine/gone.cpp\n");
    check_only(tree, "does not exist");
  }
  SUBCASE("a long kernel file") {
    std::string lines;
    for (int i = 0; i < 300; ++i)
      lines += "//\n";
    tree.append("kernels/image/a.cu", lines);
    check_only(tree, "more than 300 lines");
  }
  SUBCASE("a header without a guard") {
    tree.write("data/files/b.h", "int f();\n");
    check_only(tree, "#pragma once");
  }
  SUBCASE("a note to self") {
    tree.append("data/files/b.cpp", std::string("// TO") + "DO: later\n");
    check_only(tree, "says");
  }
  SUBCASE("a stray file at the top") {
    tree.write("notes.txt", "x\n");
    check_only(tree, "does not belong");
  }
}
