#include <algorithm>
#include <chrono>
#include <cmath>

#include "data/dataset/dataset.h"
#include "data/files/csv.h"
#include "data/metrics/metrics_files.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace fs = std::filesystem;

namespace {

void put_image(const fs::path& path, int height = 4, int width = 5, uint8_t value = 9, int channels = 1) {
  const Image image{height, width, channels, PixelType::u8,
                    std::vector<std::byte>(size_t(height * width * channels), std::byte{value})};
  write_png(path, image);
}
void put_labels(const fs::path& path, int height = 4, int width = 5, int64_t id = 1) {
  std::vector<int64_t> ids(size_t(height * width));
  ids[0] = id;
  write_labels(path, compact(height, width, ids));
}

std::vector<std::string> stems(const std::vector<Pair>& pairs) {
  std::vector<std::string> s;
  for (const Pair& p : pairs)
    s.push_back(p.stem);
  return s;
}
std::string pair_refusal(const fs::path& path) {
  return refusal([&] { find_pairs(path); });
}

using V = std::vector<std::pair<std::string, fs::path>>;
V images_of(const fs::path& folder) {
  V images;
  for (const ImageFile& image : find_images(folder))
    images.emplace_back(image.stem, image.path);
  return images;
}

}  // namespace

TEST_CASE("dataset: one folder with images with and without _img, and labels in any format") {
  const Folder f;
  put_image(f / "b_img.png"), put_labels(f / "b_masks.tif");
  put_image(f / "a.png"), put_labels(f / "a_masks.png");
  put_image(f / "c.PNG"), put_labels(f / "c_masks.npy");
  put_image(f / "a_overlay.png"), put_image(f / "c_flows.png"), put_image(f / ".hidden.png");
  write_bytes(f / "notes.txt", "x"), write_bytes(f / "a_vf_10_11.npy", "x");
  const std::vector<Pair> pairs = find_pairs(f.path());
  REQUIRE(stems(pairs) == std::vector<std::string>{"a", "b", "c"});
  CHECK(pairs[1].image == f.path() / "b_img.png");
  CHECK(pairs[1].masks == std::vector<fs::path>{f.path() / "b_masks.tif"});
  CHECK(pairs[2].masks == std::vector<fs::path>{f.path() / "c_masks.npy"});
  CHECK(describe_pairs(pairs) ==
        "3 images with labels:\n  a.png + a_masks.png\n  b_img.png + b_masks.tif\n  c.PNG + c_masks.npy\n");
  CHECK(describe_pairs(pairs, 1) == "3 images with labels:\n  a.png + a_masks.png\n  and 2 more\n");
  CHECK(describe_pairs(pairs, 2) == describe_pairs(pairs));
  CHECK(images_of(f.path()) == V{{"a", f.path() / "a.png"}, {"b", f.path() / "b_img.png"}, {"c", f.path() / "c.PNG"}});
  CHECK(images_of(f.path() / "b_img.png") == V{{"b", f.path() / "b_img.png"}});
}

TEST_CASE("dataset: files in images/ and masks/ are paired by name, also where their order differs") {
  const Folder f;
  for (const char* name : {"x", "y", "z"})
    put_image(f / (std::string("images/") + name + ".png"));
  put_labels(f / "masks/z.tif"), put_labels(f / "masks/x_masks.png"), put_labels(f / "masks/y.png");
  const std::vector<Pair> pairs = find_pairs(f.path());
  REQUIRE(stems(pairs) == std::vector<std::string>{"x", "y", "z"});
  CHECK(pairs[0].masks[0].filename() == "x_masks.png");
  CHECK(pairs[2].masks[0].filename() == "z.tif");
}

TEST_CASE("dataset: hidden files and folders are ignored in every layout") {
  const std::string junk = "what macOS leaves behind";
  const Folder flat, siblings, dsb;
  put_image(flat / "x.png"), put_labels(flat / "x_masks.png");
  for (const char* name : {"._x.png", "._x_masks.png", "._y_masks.png"})
    write_bytes(flat / name, junk);
  put_image(siblings / "images/x.png"), put_labels(siblings / "masks/x.png");
  write_bytes(siblings / "images/._x.png", junk), write_bytes(siblings / "masks/._x.png", junk);
  put_image(dsb / "x/images/x.png"), put_labels(dsb / "x/masks/1.png");
  write_bytes(dsb / "x/images/._x.png", junk), write_bytes(dsb / "x/masks/._1.png", junk);
  put_image(dsb / ".Trash/images/y.png");
  for (const Folder* f : {&flat, &siblings, &dsb}) {
    const std::vector<Pair> pairs = find_pairs(f->path());
    REQUIRE(stems(pairs) == std::vector<std::string>{"x"});
    CHECK(pairs[0].masks.size() == 1);
    CHECK(read_pair_labels(pairs[0], 4, 5).count == 1);
  }
  CHECK(images_of(flat.path()) == V{{"x", flat.path() / "x.png"}});
  CHECK(images_of(siblings.path()) == V{{"x", siblings.path() / "images/x.png"}});
  fs::rename(dsb / "x", dsb / "id");  // images are named after their folder
  CHECK(images_of(dsb.path()) == V{{"id", dsb.path() / "id/images/x.png"}});
  CHECK(stems(find_pairs(dsb.path())) == std::vector<std::string>{"id"});
}

TEST_CASE("dataset: mixed layouts are refused, and files left out are listed") {
  const auto why = [](const Folder& f) {
    const std::string pairs = pair_refusal(f.path());
    CHECK(pairs == refusal([&] { find_images(f.path()); }));
    return pairs;
  };
  const Folder dsb, siblings, mixed;
  put_image(dsb / "old/images/x.png"), put_image(dsb / "a0.png");
  CHECK(contains(why(dsb), "contains images, such as a0.png, and folders of images, such as "));
  CHECK(contains(why(dsb), "old/images"));
  put_image(siblings / "images/x.png"), put_labels(siblings / "masks/x.png"), put_image(siblings / "y.png");
  CHECK(contains(why(siblings), "beside it images such as y.png"));
  put_image(mixed / "a/images/a.png"), fs::create_directories(mixed / "a/masks"), put_image(mixed / "b/b.png");
  CHECK(contains(why(mixed),
                 "b: contains b.png directly, while the folders beside it, such as a, have a subfolder images"));
  // Folders that are not searched and files in unsupported formats are reported.
  const Folder flat;
  put_image(flat / "a.png"), put_labels(flat / "a_masks.png"), put_image(flat / "more/b.png");
  put_image(flat / "out/c.png"), write_bytes(flat / "out/run.json", "{}");
  write_bytes(flat / "a.czi", "x"), write_bytes(flat / "d.nd2", "x");
  std::vector<std::string> left_out;
  CHECK(find_pairs(flat.path(), &left_out).size() == 1);
  REQUIRE(left_out.size() == 2);
  CHECK(contains(left_out[0], "d.nd2, because its format"));
  CHECK(contains(left_out[1], "more: subfolders are not searched"));
  std::vector<std::string> again;
  find_images(flat.path(), &again);
  CHECK(again == left_out);
}

TEST_CASE("dataset: a folder that contains data sets is refused, and one of them is suggested") {
  const Folder f, flat, foreign;
  for (const char* part : {"test", "train"})
    for (const char* name : {"0.png", "1.png"})
      put_image(f / (part + std::string("/images/") + name)), put_labels(f / (part + std::string("/masks/") + name));
  CHECK(contains(pair_refusal(f.path()),
                 "is not a data set itself but contains 2; give its folder, such as " + (f.path() / "train").string()));
  put_image(flat / "train/a.png"), put_labels(flat / "train/a_masks.png");
  CHECK(contains(pair_refusal(flat.path()),
                 "its subfolders do; give one of them, such as " + (flat.path() / "train").string()));
  write_bytes(foreign / "a.czi", "x");
  CHECK(contains(pair_refusal(foreign.path()), "in a supported format (a.czi is not)"));
}

TEST_CASE("dataset: unreadable images and labels are errors, not silently skipped") {
  const Folder f;
  put_image(f / "a.png"), put_labels(f / "a_masks.png");
  fs::create_symlink("/nonexistent/b.png", f / "b.png");
  CHECK(images_of(f.path()).size() == 2);
  CHECK(contains(pair_refusal(f.path()), "b.png (no labels)"));
  fs::remove(f / "b.png");
  write_bytes(f / "c_masks.gif", "GIF89a"), write_bytes(f / "d_masks.jpg", "x");
  CHECK(contains(pair_refusal(f.path()), "c_masks.gif: labels in this format are not supported"));
  fs::remove(f / "c_masks.gif");
  CHECK(contains(pair_refusal(f.path()), "d_masks.jpg: labels in this format are not supported"));
  const Folder dsb;
  put_image(dsb / "a/images/a.png"), put_labels(dsb / "a/masks/1.png"), write_bytes(dsb / "a/masks/2.gif", "x");
  CHECK(contains(pair_refusal(dsb.path()), "2.gif: labels in this format are not supported"));
  fs::remove(dsb / "a/masks/2.gif");
  put_labels(dsb / "a/masks/2.png", 4, 5, 1);
  std::vector<int64_t> two(20);
  two[0] = 1, two[1] = 2;
  write_labels(dsb / "a/masks/3.png", compact(4, 5, two));
  CHECK(contains(refusal([&] { read_pair_labels(find_pairs(dsb.path())[0]); }), "3.png: contains several numbers"));
}

TEST_CASE("dataset: files listed on the command line are treated like those of a folder") {
  const Folder f;
  put_image(f / "x.png"), put_labels(f / "x_masks.png"), put_image(f / "more/x.png"), put_image(f / "more/y.png");
  const auto merged = [&](const std::vector<fs::path>& inputs, std::vector<std::string>& left_out) {
    std::vector<InputImages> found;
    for (const fs::path& input : inputs)
      found.push_back({input, find_images(input)});
    V images;
    for (const ImageFile& image : merge_images(found, left_out))
      images.emplace_back(image.stem, image.path);
    return images;
  };
  std::vector<std::string> left_out;
  CHECK(merged({f / "x.png", f / "x_masks.png"}, left_out) == V{{"x", f / "x.png"}});
  REQUIRE(left_out.size() == 1);
  CHECK(contains(left_out[0], "x_masks.png, taken for a label image because of its name"));
  // Given alone, it is not taken for an image either.
  CHECK(contains(refusal([&] { merged({f / "x_masks.png"}, left_out); }),
                 "x_masks.png: is taken for a label image because of its name; if it is an image, rename it"));
  put_image(f / "x_overlay.png");
  CHECK(contains(refusal([&] { merged({f / "x_overlay.png"}, left_out); }), "is taken for a result because"));
  // The same names in two folders: results keep the folder structure of the images.
  CHECK(merged({f / "x.png", f / "more"}, left_out) ==
        V{{"x", f / "x.png"}, {"more/x", f / "more/x.png"}, {"more/y", f / "more/y.png"}});
  CHECK(merged({f / "more", f / "more/x.png"}, left_out) == V{{"x", f / "more/x.png"}, {"y", f / "more/y.png"}});
  write_bytes(f / "x.tif", "x");
  const std::string same = refusal([&] { merged({f / "x.png", f / "x.tif"}, left_out); });
  CHECK_MESSAGE(contains(same, "x.tif: its results would have the same names as those of "), same);
  CHECK_MESSAGE(contains(same, "/x.png, which has the same stem"), same);
}

TEST_CASE("dataset: links are images of their own, and folders of labels beside images are left out") {
  const auto merged = [](const std::vector<fs::path>& inputs, bool below, std::vector<std::string>& left_out) {
    std::vector<InputImages> found;
    for (const fs::path& input : inputs)
      found.push_back({input, below ? find_images_below(input, &left_out) : find_images(input, &left_out)});
    std::string stems;
    for (const ImageFile& image : merge_images(found, left_out))
      stems += image.stem + ' ';
    return stems;
  };
  const Folder f, dsb;
  put_image(f / "in/x.png"), put_image(f / "in/sub/z.png"), put_image(f / "other/z.png");
  fs::create_symlink("x.png", f / "in/a.png"), fs::create_symlink("x.png", f / "in/y.png");
  std::vector<std::string> left_out;
  CHECK(merged({f / "in"}, false, left_out) == "a x y ");
  left_out.clear();
  CHECK(merged({f / "in", f / "in/x.png", f / "in/../in/y.png"}, false, left_out) == "a x y ");
  left_out.clear();
  // A linked folder is searched unless the folder itself is, wherever their names are in the order.
  fs::create_directory_symlink("sub", f / "in/a_link"), fs::create_directory_symlink("..", f / "in/sub/up");
  fs::create_directory_symlink(f / "other", f / "in/far"), fs::create_directory_symlink(f / "other", f / "in/twice");
  CHECK(merged({f / "in"}, true, left_out) == "a sub/z x y far/z ");
  const auto has_note = [&](const std::string& name, const std::string& same) {
    const std::string note = "left out " + (f / name).string() + ", because it is the same folder as " + same;
    return std::count(left_out.begin(), left_out.end(), note) == 1;
  };
  CHECK(has_note("in/a_link", (f / "in/sub").string()));
  CHECK(has_note("in/sub/up", (f / "in").string()));
  CHECK(has_note("in/twice", (f / "in/far").string()));
  CHECK(left_out.size() == 3);
  put_image(dsb / "1/images/i.png"), fs::create_directory_symlink("1", dsb / "2");
  left_out.clear();
  CHECK(merged({dsb.path()}, false, left_out) == "1 2 ");
  fs::create_directory_symlink(f / "other", f / "same");  // the same images, with the same names of their results
  CHECK(merged({f / "other", f / "same"}, false, left_out) == "z ");

  for (const std::string labels : {"masks", "labels", "Labels", "gt"}) {
    CAPTURE(labels);
    const Folder set;
    put_image(set / "images/x.png"), put_labels(set / (labels + "/x.png")), put_labels(set / (labels + "/y.png"));
    const fs::path x = set / (labels + "/x.png"), y = set / (labels + "/y.png");
    left_out.clear();
    CHECK(merged({set / "images/x.png", x, y}, false, left_out) == "x ");
    REQUIRE(left_out.size() == 1);
    CHECK(left_out[0] ==
          "left out " + x.string() + " and 1 more, taken for labels because of a folder images beside them");
    left_out.clear();
    CHECK(merged({set / "images", set / labels}, false, left_out) == "x ");
    const std::string folder = "left out " + (set / labels).string();
    CHECK(left_out.at(0) == folder + ", taken for labels because of a folder images beside it");
    left_out.clear();
    CHECK(merged({set.path()}, true, left_out) == "images/x ");
    CHECK(contains(left_out.at(0), folder + ", taken for labels because of a folder images beside it"));
    for (const fs::path& alone : {x, set / labels})
      CHECK(contains(
          refusal([&] { merged({alone}, false, left_out); }),
          alone.string() + ": is taken for labels because of a folder images beside it; if it has images, rename"));
    fs::remove_all(set / "images");
    CHECK(merged({set / labels}, false, left_out) == "x y ");  // without a folder images beside it
  }
}

TEST_CASE("dataset: notes about conversions are reported once, with the number of files they apply to") {
  NoteList notes;
  notes.add("a.png", {"alpha", "turned"}), notes.add("b.png", {"alpha"}), notes.add("c.png", {});
  CHECK(notes.lines() == std::vector<std::string>{"a.png and 1 more: alpha", "a.png: turned"});
}

TEST_CASE("dataset: DSB folders with one mask per object") {
  const Folder f;
  for (const char* id : {"n2", "n1"}) {
    put_image(f / (std::string(id) + "/images/" + id + ".png"));
    fs::create_directories(f.path() / id / "masks");
  }
  const auto put_mask = [&](const std::string& name, std::vector<uint8_t> values) {
    Image mask{4, 5, 1, PixelType::u8, std::vector<std::byte>(20)};
    for (uint8_t at : values)
      mask.pixels[at] = std::byte{255};
    write_png(f / name, mask);
  };
  put_mask("n1/masks/b.png", {0, 1, 5});
  put_mask("n1/masks/a.png", {1, 2, 3});
  put_mask("n1/masks/empty.png", {});
  const std::vector<Pair> pairs = find_pairs(f.path());
  REQUIRE(stems(pairs) == std::vector<std::string>{"n1", "n2"});
  CHECK(pairs[0].masks.size() == 3);
  const Labels labels = read_pair_labels(pairs[0], 4, 5);
  CHECK(labels.count == 2);
  CHECK(labels.ids == std::vector<int32_t>{2, 1, 1, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(read_pair_labels(pairs[1], 4, 5).count == 0);
  CHECK(contains(refusal([&] { read_pair_labels(pairs[0], 5, 4); }),
                 "a.png: is 5 x 4 pixels, but its image n1.png is 4 x 5"));
  put_image(f / "n2/images/second.png");
  CHECK(contains(pair_refusal(f.path()), "second.png: only one image is expected here"));
  fs::remove(f.path() / "n2/images/second.png"), fs::remove(f.path() / "n2/masks");
  CHECK(contains(pair_refusal(f.path()), "n2.png: there is no masks folder"));
}

TEST_CASE("dataset: pairs listed in a CSV file") {
  const Folder f;
  put_image(f / "raw/b_img.png"), put_image(f / "raw/a, b.png"), put_labels(f / "gt/1.png"), put_labels(f / "gt/2.png");
  write_bytes(f / "list.csv", "\xef\xbb\xbfimage,mask\r\nraw/b_img.png,gt/1.png\r\n\r\n\"raw/a, b.png\",gt/2.png");
  const std::vector<Pair> pairs = find_pairs(f.path() / "list.csv");
  REQUIRE(stems(pairs) == std::vector<std::string>{"a, b", "b"});
  CHECK(pairs[1].masks[0] == f.path() / "gt/1.png");
  const auto why = [&](const std::string& text) { return pair_refusal(write_bytes(f / "bad.csv", text)); };
  for (const char* heading : {"\"image\",\"mask\"", "Image, Mask", "filename,label", "img,masks"}) {
    write_bytes(f / "list.csv", std::string(heading) + "\nraw/b_img.png,gt/1.png\n");
    CHECK(find_pairs(f.path() / "list.csv").size() == 1);
  }
  CHECK(contains(why("raw/b_img.png,gt/3.png\n"), "bad.csv: line 1: there is no file"));
  CHECK(contains(why("picture,mask\nraw/b_img.png,gt/1.png\n"), "(a heading must be image,mask)"));
  CHECK(contains(why("image,mask\nraw/b_img.png\n"), "bad.csv: line 2: expected two fields, image,mask"));
  CHECK(contains(why("raw/b_img.png,gt/1.png,0.5\n"), "line 1: expected two fields, image,mask"));
  CHECK(contains(why("raw/b_img.png,gt/1.png\nraw/b_img.png,gt/2.png\n"), "line 2: "));
  CHECK(contains(why("\"raw/b_img.png,gt/1.png\n"), "quotation mark"));
  CHECK(contains(why("image,mask\n"), "contains no images"));
  CHECK(contains(why(""), "bad.csv: is empty"));
}

TEST_CASE("dataset: lists and scores in the encodings and line ends of spreadsheets") {
  const Folder f;
  const auto utf16 = [](const std::u16string& text, bool big_endian) {
    std::string bytes = big_endian ? "\xfe\xff" : "\xff\xfe";
    for (const char16_t c : text)
      bytes += big_endian ? std::string{char(c >> 8), char(c & 255)} : std::string{char(c & 255), char(c >> 8)};
    return bytes;
  };
  const std::vector<std::string> want{"a", "", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xac", "b"};  // ä, €, a microscope
  const auto lines_of = [&](const std::string& bytes) { return csv_lines(write_bytes(f / "l.csv", bytes)); };
  for (const std::string end : {"\n", "\r\n", "\r"})
    for (const std::string mark : {"", "\xef\xbb\xbf"}) {
      const std::string all = mark + want[0] + end + want[1] + end + want[2] + end + want[3];
      CHECK(lines_of(all) == want);
      CHECK(lines_of(all + end) == want);
    }
  for (const bool big_endian : {false, true})
    CHECK(lines_of(utf16(u"a\r\n\r\n\u00e4\u20ac\U0001f52c\r\nb\r\n", big_endian)) == want);
  const auto why = [&](const std::string& bytes) { return refusal([&] { lines_of(bytes); }); };
  CHECK(contains(why(std::string("\xff\xfe\x61\0\x62", 5)),
                 "l.csv: is not a text file in UTF-8; save it as CSV in UTF-8"));
  CHECK(contains(why(utf16(u"\xd83d", false)), "is not a text file"));   // half of a character
  CHECK(contains(why(std::string("a\0b\0", 4)), "is not a text file"));  // without the mark
  // The readers of lists and of scores.
  put_image(f / "a.png"), put_labels(f / "1.png");
  for (const bool big_endian : {false, true}) {
    write_bytes(f / "list.csv", utf16(u"image,mask\r\na.png,1.png\r\n", big_endian));
    CHECK(stems(find_pairs(f.path() / "list.csv")) == std::vector<std::string>{"a"});
    write_bytes(f / "s.csv", utf16(u"label,score\r\n2,0.5\r\n1,0.25\r\n", big_endian));
    CHECK(read_confidence(f / "s.csv", 2) == std::vector<double>{0.25, 0.5});
  }
  for (const std::string mark : {"", "\xef\xbb\xbf"})
    for (const std::string end : {"\n", "\r\n", "\r"}) {
      write_bytes(f / "s.csv", mark + "label, score" + end + "2,0.5" + end + end + "1,0.25" + end);
      CHECK(read_confidence(f / "s.csv", 2) == std::vector<double>{0.25, 0.5});
    }
  write_bytes(f / "s.csv", "label,score\n1,0.5\n\n2,x\n");
  CHECK(contains(refusal([&] { read_confidence(f / "s.csv", 2); }), "s.csv, line 4: score is 'x'"));
}

TEST_CASE("dataset: images and labels without a partner are refused by name") {
  const Folder f;
  CHECK(contains(pair_refusal(f.path() / "none"), "none: no such file or folder"));
  CHECK(contains(pair_refusal(f.path()), "contains no images"));
  CHECK(contains(refusal([&] { find_images(f.path()); }), "contains no images"));
  CHECK(contains(refusal([&] { find_images(f.path() / "none"); }), "no such file or folder"));
  CHECK(contains(pair_refusal(write_bytes(f / "a.txt", "x")), "a.txt: is neither"));
  put_image(f / "a.png"), put_labels(f / "b_masks.png");
  CHECK(contains(pair_refusal(f.path()), "a.png (no labels), "));
  CHECK(contains(pair_refusal(f.path()), "b_masks.png (no image)"));
  put_labels(f / "a_masks.png"), put_image(f / "b.png");
  CHECK(find_pairs(f.path()).size() == 2);
  put_image(f / "a_img.png");
  CHECK(contains(pair_refusal(f.path()), "has the same stem as a"));
  fs::remove(f.path() / "a_img.png");
  put_labels(f / "a_masks.tif");
  CHECK(contains(pair_refusal(f.path()), "has the same stem as a_masks.png"));
  fs::create_directories(f.path() / "images");
  CHECK(contains(pair_refusal(f.path()), "no folder masks"));
  const Folder many;
  for (char c = 'a'; c < 'j'; ++c)
    put_image(many / (std::string(1, c) + ".png"));
  CHECK(contains(pair_refusal(many.path()), "and 4 more"));
}

TEST_CASE("dataset: labels that differ from their image in size are refused") {
  const Folder f;
  put_image(f / "a.png"), put_labels(f / "a_masks.png", 5, 4);
  const std::vector<Pair> pairs = find_pairs(f.path());
  CHECK(contains(refusal([&] { read_examples(pairs, 1, {}); }),
                 "a_masks.png: is 4 x 5 pixels, but its image a.png is 5 x 4"));
}

TEST_CASE("dataset: of several errors the first one in name order is thrown") {
  const Folder f;
  for (const char* stem : {"a", "b", "c", "d"}) {
    put_image(f / (std::string(stem) + ".png"));
    put_labels(f / (std::string(stem) + "_masks.png"));
  }
  write_bytes(f / "b.png", "broken"), write_bytes(f / "d_masks.png", "broken");
  const std::vector<Pair> pairs = find_pairs(f.path());
  for (int k = 0; k < 5; ++k)
    CHECK(contains(refusal([&] { read_examples(pairs, 1, {}); }), "b.png: "));
}

TEST_CASE("dataset: labels are stored in the smallest integer type that holds them") {
  for (const int objects : {0, 255, 256, 65535, 65536}) {
    CAPTURE(objects);
    std::vector<int64_t> ids(270 * 260);
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = int64_t(i * 7919 % ids.size()) % (objects + 1);
    const Labels labels = compact(270, 260, ids);
    REQUIRE(labels.count == objects);
    const StoredLabels stored(labels);
    CHECK(stored.bytes().size() == ids.size() * (objects < 256 ? 1u : objects < 65536 ? 2u : 4u));
    CHECK(stored(269, 259) == labels(269, 259));
    std::vector<int32_t> row(100);
    stored.row(133, 60, 100, row.data());
    CHECK(std::equal(row.begin(), row.end(), labels.ids.begin() + 133 * 260 + 60));
  }
}

TEST_CASE("dataset: the fingerprint depends on names, sizes, pixels and labels only") {
  const Folder f;
  const auto print = [&](const std::string& folder) {
    std::vector<Pair> pairs = find_pairs(f.path() / folder);
    std::string forward = fingerprint(read_examples(pairs, 1, {}));
    std::reverse(pairs.begin(), pairs.end());
    CHECK(fingerprint(read_examples(pairs, 1, {})) == forward);
    return forward;
  };
  const auto put = [&](const std::string& folder, const std::string& second, int width, uint8_t value, int64_t where,
                       const char* ending) {
    put_image(f / (folder + "/a.png")), put_labels(f / (folder + "/a_masks.png"));
    put_image(f / (folder + "/" + second + ".png"), 4, width, value);
    std::vector<int64_t> ids(size_t(4 * width));
    ids[size_t(where)] = 1;
    write_labels(f / (folder + "/" + second + "_masks" + ending), compact(4, width, ids));
  };
  put("same", "b", 6, 9, 3, ".png"), put("format", "b", 6, 9, 3, ".tif"), put("name", "c", 6, 9, 3, ".png");
  put("size", "b", 7, 9, 3, ".png"), put("pixel", "b", 6, 8, 3, ".png"), put("label", "b", 6, 9, 4, ".png");
  const std::string same = print("same");
  CHECK(same == "5bc2d3946a0da163");
  CHECK(print("format") == same);
  for (const char* other : {"name", "size", "pixel", "label"})
    CHECK(print(other) != same);
}

TEST_CASE("dataset: all images get the number of channels of the image with most channels, unless one is given") {
  const Folder f;
  put_image(f / "a.png"), put_image(f / "b.png", 4, 5, 9, 3);
  put_labels(f / "m.png");
  const Pair grey{"a", f.path() / "a.png", {f.path() / "m.png"}}, colour{"b", f.path() / "b.png", {f.path() / "m.png"}};
  const auto channels = [](const std::vector<Pair>& pairs, int asked) {
    std::vector<int> all;
    for (const Example& e : read_examples(pairs, asked, {}))
      all.push_back(e.source.channels());
    return all;
  };
  CHECK(channels({grey}, 0) == std::vector{1});
  CHECK(channels({grey, colour}, 0) == std::vector{3, 3});
  CHECK(channels({colour, grey}, 1) == std::vector{1, 1});
}

TEST_CASE("dataset: 447 real images are paired and read, and their labels are stored compactly") {
  const fs::path root = datasets();
  if (root.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Pair> pairs = find_pairs(root / "dsb2018-fluo/train");
  REQUIRE(pairs.size() == 447);
  const std::vector<Example> examples = read_examples(pairs, 1, parse_normalisation("percentile:1,99.8"));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  MESSAGE("447 images read in ", took.count(), " s");
  size_t pixels = 0, bytes = 0;
  for (const Example& e : examples) {
    pixels += e.source.image().pixels.size();
    bytes += e.source.image().pixels.size() + e.labels.bytes().size();
  }
  CHECK(bytes < 2.3 * double(pixels));
}
