#pragma once
#include <string_view>
#include <vector>

namespace basin {

/// A file of data/view/page.
struct PageFile {
  std::string_view name, text;
};

/// The files of the page, which the build embeds in the program.
const std::vector<PageFile>& page_files();

}  // namespace basin
