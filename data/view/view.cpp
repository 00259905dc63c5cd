#include "data/view/view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <cmath>
#include <system_error>

#include "data/objects/numbers.h"
#include "data/report/html.h"
#include "data/report/overlay.h"
#include "data/view/page_files.h"
#include "engine/files.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// JSON as part of a script, without "<", so that no text in it can end a script in a page.
std::string script_text(const Json& json) {
  std::string out;
  for (const char c : to_text(json))
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  return out;
}

std::string quoted_png(const Image& image) { return '"' + base64(encode_png(image)) + '"'; }

/// The columns of a table as arrays: [[1,2],[10.5,null]].
std::string columns_text(const ObjectTable& table) {
  const size_t columns = table.names.size(), rows = columns == 0 ? 0 : table.numbers.size() / columns;
  std::string text = "[";
  for (size_t c = 0; c < columns; ++c) {
    text += c == 0 ? "[" : ",\n[";
    for (size_t k = 0; k < rows; ++k) {
      if (k > 0) text += ',';
      if (const double value = table.row(k)[c]; std::isfinite(value))
        append_number(text, value);
      else
        text += "null";
    }
    text += ']';
  }
  return text + ']';
}

/// Puts the folder `from` in place of `to`, and removes what was there.
void replace_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (!fs::exists(to)) {
    fs::rename(from, to, error);
  } else if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(from, error);
  } else {  // file systems that cannot exchange names
    const fs::path old = from.string() + ".old";
    fs::rename(to, old, error);
    if (!error) fs::rename(from, to, error);
    if (!error) fs::remove_all(old, error);
  }
  if (error) refuse(to.string(), ": cannot be replaced (", error.message(), ")");
}

}  // namespace

ViewFolder::ViewFolder(fs::path path) : path_(std::move(path)) {
  path_ = fs::absolute(path_).lexically_normal();
  if (!path_.has_filename()) path_ = path_.parent_path();
  make_folder(path_.parent_path());
  temporary_ = path_.parent_path() / fmt::format(".{}.part-{}", path_.filename().string(), getpid());
  make_folder(temporary_);
}

ViewFolder::~ViewFolder() {
  std::error_code none;
  fs::remove_all(temporary_, none);
}

void ViewFolder::add(const ViewImage& image) {
  const Labels& labels = image.labels;
  const Entry entry{image.name, fmt::format("image-{}.js", entries_.size() + 1), labels.count, image.remarks};
  std::string colours;
  const std::vector<uint8_t> colour = object_colours(labels);
  for (size_t k = 1; k < colour.size(); ++k)
    colours += char('0' + colour[k]);
  OutputFile file(temporary_ / entry.file);
  file.write(fmt::format("basinView.image({{\"file\":\"{}\",\n\"columns\":{},\n\"numbers\":", entry.file,
                         script_text(image.table.names)));
  file.write(columns_text(image.table));
  file.write(",\n\"colours\":\"" + colours + "\",\n\"labels\":");
  file.write(quoted_png(label_picture(labels)));
  file.write(",\n\"pictures\":[");
  for (size_t k = 0; k < image.pictures.size(); ++k) {
    const ViewPicture& p = image.pictures[k];
    BASIN_CHECK(p.image.height == labels.height && p.image.width == labels.width, p.name, " ", p.image.width, " x ",
                p.image.height, ", labels ", labels.width, " x ", labels.height);
    file.write(fmt::format("{}\n{{\"name\":{},\"low\":{},\"high\":{},\"stretch\":{},\"png\":", k > 0 ? "," : "",
                           script_text(p.name), p.low, p.high, p.stretch));
    file.write(quoted_png(p.image));
    file.write("}");
  }
  file.write("]});\n");
  file.commit();
  entries_.push_back(entry);
}

void ViewFolder::add_without_results(const std::string& name, const std::vector<std::string>& remarks) {
  entries_.push_back({name, "", 0, remarks});
}

void ViewFolder::commit(const std::string& title, const std::string& summary) {
  Json images = Json::array();
  for (const Entry& e : entries_)
    images.push_back({{"name", e.name}, {"file", e.file}, {"objects", e.objects}, {"remarks", e.remarks}});
  const Json list{{"title", title}, {"summary", summary}, {"palette", object_palette}, {"images", std::move(images)}};
  write_atomically(temporary_ / "images.js", "basinView.list(" + script_text(list) + ");\n");
  for (const PageFile& file : page_files()) {
    std::string text(file.text);
    if (file.name == "view.css") text.insert(0, page_colours);
    write_atomically(temporary_ / file.name, text);
  }
  replace_folder(temporary_, path_);
}

}  // namespace basin
