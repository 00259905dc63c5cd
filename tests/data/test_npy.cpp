#include "data/arrays/npy.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::string npy(const std::string& dictionary, const std::string& elements, int version = 1) {
  std::string header = dictionary + "\n", file = "\x93NUMPY";
  file += char(version);
  file += '\0';
  file += char(header.size() & 255);
  file += char(header.size() >> 8);
  if (version == 2) file += std::string(2, '\0');
  return file + header + elements;
}

}  // namespace

TEST_CASE("npy: every element type survives writing and reading") {
  const Folder folder;
  const auto round_trip = [&](auto zero) {
    using T = decltype(zero);
    const T values[6] = {T(0), T(1), T(1), T(0), T(1), T(100)};
    write_npy(folder / "a.npy", {2, 3}, values);
    CHECK(std::filesystem::file_size(folder / "a.npy") == 128 + sizeof values);
    const Array a = read_npy(folder / "a.npy");
    CHECK(a.type == element_type_of<T>);
    CHECK(a.shape == std::vector<int64_t>{2, 3});
    CHECK(a.values<double>() == std::vector<double>(values, values + 6));
  };
  round_trip(bool{}), round_trip(uint8_t{}), round_trip(int8_t{}), round_trip(uint16_t{}), round_trip(int16_t{});
  round_trip(uint32_t{}), round_trip(int32_t{}), round_trip(uint64_t{}), round_trip(int64_t{}), round_trip(float{});
  round_trip(double{});
}

TEST_CASE("npy: arrays of any rank, and files written by NumPy") {
  const Folder folder;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{}, {3}, {0, 2}, {1, 2, 1, 3}}) {
    int64_t n = 1;
    for (int64_t d : shape)
      n *= d;
    write_npy(folder / "a.npy", shape, std::vector<float>(size_t(n), 2.5f).data());
    const Array a = read_npy(folder / "a.npy");
    CHECK(a.shape == shape);
    CHECK(a.values<float>() == std::vector<float>(size_t(n), 2.5f));
  }
  write_npy(folder / "a.npy", {3}, std::vector<float>(3).data());
  CHECK(contains(read_bytes(folder / "a.npy"), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"));
  const std::string header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }";
  for (int version : {1, 2})
    CHECK(read_npy(write_bytes(folder / "b.npy", npy(header, {"\x01\x02\xff\xff", 4}, version))).values<int>() ==
          std::vector<int>{0x201, -1});
}

TEST_CASE("npy: unreadable files are refused in one sentence with the file's name") {
  const Folder folder;
  const auto why = [&](const std::string& bytes) {
    return refusal([&] { read_npy(write_bytes(folder / "a.npy", bytes)); });
  };
  const std::string four(4, '\0');
  const auto header = [](const std::string& descr, const std::string& order, const std::string& shape) {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  };
  CHECK(contains(refusal([&] { read_npy(folder / "none.npy"); }), "none.npy: cannot be opened"));
  CHECK(contains(refusal([&] { read_npy(folder.path()); }), "is a folder"));
  CHECK(contains(why(""), "a.npy: is empty"));
  CHECK(contains(why("hello world, this is text"), "is not a .npy file"));
  CHECK(contains(why(npy(header("<c8", "False", "(1,)"), four)), "'<c8'"));
  CHECK(contains(why(npy(header("|O", "False", "(1,)"), four)), "'|O'"));
  CHECK(contains(why(npy(header("<f4", "False", "(2,)"), four)), "truncated"));
  CHECK(contains(why(npy(header("<f4", "False", "(2147483648, 2147483648)"), four)), "truncated"));
  CHECK(contains(why(npy(header("<f4", "False", "(4294967296, 4294967296, 16)"), four)), "truncated"));
  CHECK(contains(why(npy(header("<f4", "False", "(1,)"), four + four)), "more bytes"));
  CHECK(contains(why(npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", four)),
                 "invalid .npy header"));
  CHECK(contains(why(npy(header("<f4", "False", "(-1,)"), four)), "invalid .npy header"));
  CHECK(contains(why(npy(header("<f4", "False", "(99999999999999999999,)"), four)), "invalid .npy header"));
  CHECK(contains(why(npy("{'descr': '<f4'}", four)), "invalid .npy header"));
  CHECK(contains(why(npy("", four, 4)), "version 4"));
}

TEST_CASE("npy: a file truncated at any length or changed in any byte is read or refused") {
  const Folder folder;
  const std::vector<float> values(6, 1.5f);
  write_npy(folder / "a.npy", {2, 3}, values.data());
  const std::string whole = read_bytes(folder / "a.npy");
  for (size_t n = 0; n < whole.size(); ++n)
    CHECK(contains(refusal([&] { read_npy(write_bytes(folder / "b.npy", whole.substr(0, n))); }), "b.npy: "));
  for (size_t i = 0; i < whole.size(); ++i) {
    for (char change : {char(0x01), char(0x80)}) {
      std::string bytes = whole;
      bytes[i] = char(bytes[i] ^ change);
      write_bytes(folder / "b.npy", bytes);
      std::string why;
      try {
        read_npy(folder / "b.npy");
      } catch (const Error& e) {
        why = e.what();
      }
      if (!why.empty()) CHECK(contains(why, "b.npy: "));
    }
  }
}
