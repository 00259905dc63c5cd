// The only file that includes pugixml. Parses the description in an OME-TIFF (OME-XML, schema 2008 to 2016).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <pugixml.hpp>

#include "data/files/library_versions.h"
#include "data/files/stack.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// A name without its namespace prefix.
const char* local(const char* name) {
  const char* colon = std::strchr(name, ':');
  return colon ? colon + 1 : name;
}
std::vector<pugi::xml_node> children(const pugi::xml_node& node, const char* name) {
  std::vector<pugi::xml_node> found;
  for (const pugi::xml_node& child : node.children())
    if (std::strcmp(local(child.name()), name) == 0) found.push_back(child);
  return found;
}

/// The index of the image at (T, Z, C) in the order of the axes.
struct Position {
  const std::vector<StackAxis>& axes;
  int64_t operator()(int64_t t, int64_t z, int64_t c) const {
    int64_t k = 0;
    for (const StackAxis& a : axes)
      k = k * a.size + (a.name == 'T' ? t : a.name == 'Z' ? z : c);
    return k;
  }
};

/// The root element of an OME-XML description; empty if the text is not one. The document must outlive it.
pugi::xml_node root_of(const std::string& description, pugi::xml_document& document) {
  if (description.find("<OME") == std::string::npos && description.find(":OME") == std::string::npos) return {};
  if (!document.load_buffer(description.data(), description.size())) return {};
  const pugi::xml_node root = document.document_element();
  return std::strcmp(local(root.name()), "OME") == 0 ? root : pugi::xml_node();
}

/// The index of the series that the choice names, by its index from 0, its name or its ID.
size_t chosen_series(const std::vector<pugi::xml_node>& series, const PlaneChoice& choice, const std::string& name) {
  const auto title = [&](size_t k) { return std::string(series[k].attribute("Name").as_string()); };
  const std::string& wanted = choice.series;
  for (size_t k = 0; k < series.size() && !wanted.empty(); ++k)
    if (wanted == std::to_string(k)) return k;
  size_t found = series.size(), matches = 0;
  for (size_t k = 0; k < series.size() && !wanted.empty(); ++k)
    if (wanted == title(k) || wanted == series[k].attribute("ID").as_string()) found = k, ++matches;
  if (matches == 1) return found;
  if (matches > 1) refuse(name, ": --series ", wanted, " is the name of ", matches, " images; give an index from 0");
  if (series.size() == 1 && wanted.empty()) return 0;
  constexpr size_t max_listed = 4;
  std::string titles;
  for (size_t k = 0; k < std::min(series.size(), max_listed); ++k) {
    if (k > 0) titles += ", ";
    titles += title(k).empty() ? fmt::format("{}", k) : fmt::format("{} \"{}\"", k, title(k));
  }
  if (series.size() > max_listed) titles += ", ...";
  const std::string several = series.size() == 1
                                  ? "contains a single image"
                                  : fmt::format("contains {} images of an OME data set ({})", series.size(), titles);
  if (!wanted.empty()) refuse(name, ": --series ", wanted, " is not one of its images; it ", several);
  refuse(name, ": ", several,
         choice.offered ? "; choose one with --series, such as --series 0"
                        : ", but one image is expected here; save the one that you want as a separate file");
}

/// Refuses a data set whose images lie in several files.
void refuse_several_files(const std::vector<pugi::xml_node>& series, const std::string& name) {
  std::string file;
  for (const pugi::xml_node& image : series)
    for (const pugi::xml_node& pixels : children(image, "Pixels"))
      for (const pugi::xml_node& data : children(pixels, "TiffData"))
        for (const pugi::xml_node& uuid : children(data, "UUID")) {
          const std::string other = uuid.attribute("FileName").as_string();
          if (!file.empty() && other != file)
            refuse(name, ": is one of several files of an OME data set; save its images as a separate file");
          file = other;
        }
}

/// For each position the index of the image in the file, if TiffData elements say so.
std::vector<int64_t> order_of(const pugi::xml_node& pixels, const std::vector<StackAxis>& axes, int64_t images,
                              const std::string& name) {
  const std::vector<pugi::xml_node> data = children(pixels, "TiffData");
  std::vector<int64_t> order(static_cast<size_t>(images), -1);
  for (const pugi::xml_node& d : data) {
    int64_t at[3];  // T, Z, C
    const char* const first[] = {"FirstT", "FirstZ", "FirstC"};
    for (int i = 0; i < 3; ++i)
      at[i] = std::max<int64_t>(0, d.attribute(first[i]).as_llong(0));
    const bool has_image = !d.attribute("IFD").empty();
    int64_t image = std::max<int64_t>(0, d.attribute("IFD").as_llong(0));
    const int64_t count = d.attribute("PlaneCount").as_llong(has_image ? 1 : images);
    for (int64_t n = 0; n < std::min(count, images); ++n, ++image) {
      const int64_t k = Position{axes}(at[0], at[1], at[2]);
      if (k < 0 || k >= images) break;
      order[size_t(k)] = image;
      for (auto a = axes.rbegin(); a != axes.rend(); ++a) {  // fastest axis first
        int64_t& here = at[a->name == 'T' ? 0 : a->name == 'Z' ? 1 : 2];
        if (++here < a->size) break;
        here = 0;
      }
    }
  }
  if (data.empty()) return {};
  if (std::find(order.begin(), order.end(), -1) != order.end())
    refuse(name, ": has fewer images than its OME description says");
  return order;
}

/// The stack of a series; none if it has no pixels.
std::optional<Stack> stack_of_series(const pugi::xml_node& series, const std::string& name) {
  const std::vector<pugi::xml_node> found = children(series, "Pixels");
  if (found.empty()) return std::nullopt;
  const pugi::xml_node& pixels = found[0];
  const auto size = [&](const char* key) {
    const int64_t n = pixels.attribute(key).as_llong(1);
    if (n < 1 || n > (1 << 30)) refuse(name, ": is damaged: its OME description gives a ", key, " of ", n);
    return n;
  };
  Stack s;
  int64_t channels = size("SizeC");
  for (const pugi::xml_node& channel : children(pixels, "Channel")) {
    const int64_t samples = channel.attribute("SamplesPerPixel").as_llong(1);
    if (samples > 1 && channels % samples == 0) channels /= samples;
    s.channel_names.push_back(channel.attribute("Name").as_string());
    if (samples > 1) break;
  }
  if (std::all_of(s.channel_names.begin(), s.channel_names.end(), [](const std::string& n) { return n.empty(); }))
    s.channel_names.clear();
  const std::string order = pixels.attribute("DimensionOrder").as_string("XYCZT");
  for (auto letter = order.rbegin(); letter != order.rend(); ++letter) {
    if (*letter == 'T') s.axes.push_back({'T', size("SizeT")});
    if (*letter == 'Z') s.axes.push_back({'Z', size("SizeZ")});
    if (*letter == 'C') s.axes.push_back({'C', channels});
  }
  if (s.axes.size() != 3) refuse(name, ": is damaged: its OME description has the axes ", order);
  const __int128 images = __int128(s.axes[0].size) * s.axes[1].size * s.axes[2].size;
  if (images > (1 << 30)) refuse(name, ": is damaged: its OME description announces too many images");
  complete(s);
  s.order = order_of(pixels, s.axes, s.images, name);
  const auto length = [&](const std::string& attribute) {
    return std::max(0., pixels.attribute(attribute.c_str()).as_double(0)) *
           micrometres_per(pixels.attribute((attribute + "Unit").c_str()).as_string("um"));
  };
  const double width = length("PhysicalSizeX"), height = length("PhysicalSizeY");
  if (const double depth = length("PhysicalSizeZ"); depth > 0) s.spacing = depth;
  const double interval = pixels.attribute("TimeIncrement").as_double(0) *
                          seconds_per(pixels.attribute("TimeIncrementUnit").as_string("s"));
  if (interval > 0 && std::isfinite(interval)) s.interval = interval;
  const bool has_unknown_unit = height == 0 && pixels.attribute("PhysicalSizeY").as_double(0) > 0;
  if (width > 0 && !has_unknown_unit) set_pixel_size(s, width, height);
  return s;
}

}  // namespace

int64_t count_ome_series(const std::string& description) {
  pugi::xml_document document;
  return int64_t(children(root_of(description, document), "Image").size());
}

std::optional<Stack> stack_of_ome(const std::string& description, const std::string& name, const PlaneChoice& choice) {
  pugi::xml_document document;
  const std::vector<pugi::xml_node> series = children(root_of(description, document), "Image");
  if (series.empty()) return std::nullopt;
  refuse_several_files(series, name);
  const size_t chosen = chosen_series(series, choice, name);
  std::optional<Stack> stack = stack_of_series(series[chosen], name);
  if (!stack || series.size() == 1 || !stack->order.empty()) return stack;
  int64_t first = 0;  // the images of the series follow each other
  for (size_t k = 0; k < chosen; ++k)
    if (const std::optional<Stack> other = stack_of_series(series[k], name)) first += other->images;
  stack->order.resize(size_t(stack->images));
  std::iota(stack->order.begin(), stack->order.end(), first);
  return stack;
}

}  // namespace basin

std::string basin::raster::xml_version() {
  return "pugixml " + std::to_string(PUGIXML_VERSION / 1000) + '.' + std::to_string(PUGIXML_VERSION / 10 % 100);
}
