#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "data/files/labels.h"
#include "data/objects/measure.h"
#include "data/view/pictures.h"

namespace basin {

/// An image on the page, with what was found in it.
struct ViewImage {
  std::string name;
  std::vector<std::string> remarks;
  std::vector<ViewPicture> pictures;  // of the labels' size; may be empty
  Labels labels;
  ObjectTable table;  // a row for each object, its number in the first column; numbers that are not finite are left out
};

/// A folder with a page for looking through images and their objects. The page, index.html, is opened as a file and
/// needs no server and no network. The folder is written under a temporary name beside the final one, and
/// renamed by commit(); without commit() nothing changes.
class ViewFolder {
 public:
  explicit ViewFolder(std::filesystem::path);
  ~ViewFolder();
  ViewFolder(const ViewFolder&) = delete;
  ViewFolder& operator=(const ViewFolder&) = delete;

  /// Where the folder is being written.
  const std::filesystem::path& temporary() const { return temporary_; }

  /// Writes the file of an image. Throws if a picture has another size than the labels.
  void add(const ViewImage&);
  /// Adds an image without results to the list.
  void add_without_results(const std::string& name, const std::vector<std::string>& remarks);
  /// Writes the page and its list of images, and replaces what was in the folder.
  void commit(const std::string& title, const std::string& summary);

 private:
  struct Entry {
    std::string name, file;
    int objects;
    std::vector<std::string> remarks;
  };
  std::filesystem::path path_, temporary_;
  std::vector<Entry> entries_;
};

}  // namespace basin
