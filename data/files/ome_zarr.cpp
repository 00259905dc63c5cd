// Images in OME-Zarr stores, 0.1 to 0.5: which array holds an image, and what its axes and its pixel size are.
#include <algorithm>
#include <set>

#include "data/arrays/zarr.h"
#include "data/files/decoders.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

constexpr size_t max_listed = 5;

/// What OME says about a group; null if nothing.
Json ome_of(const fs::path& group) {
  const Json all = zarr_attributes(group);
  const Json& ome = member(all, "ome");
  return ome.is_object() ? ome : all;
}

/// A folder inside the store that its metadata, or the user, names. Throws if the name points out of the store.
fs::path inside(const fs::path& group, const std::string& name) {
  const fs::path path = fs::path(name).lexically_normal();
  if (name.empty() || path.is_absolute() || *path.begin() == "..")
    refuse(group.string(), ": the path \"", name, "\" is not in this store");
  return group / without_slash(path);
}

/// The paths in a list of objects {"path": ...}.
std::vector<std::string> paths_of(const Json& list) {
  std::vector<std::string> paths;
  if (list.is_array())
    for (const Json& entry : list)
      if (const std::string path = text_of(member(entry, "path")); !path.empty()) paths.push_back(path);
  return paths;
}

/// The images of a plate, or of a store in the layout of bioformats2raw, as paths in the store. None if it is neither.
std::vector<std::string> series_in(const fs::path& store, const Json& ome) {
  std::vector<std::string> series;
  for (const std::string& well : paths_of(member(member(ome, "plate"), "wells")))
    for (const std::string& field : paths_of(member(member(ome_of(inside(store, well)), "well"), "images")))
      series.push_back(well + '/' + field);
  for (const std::string& field : paths_of(member(member(ome, "well"), "images")))
    series.push_back(field);
  if (!series.empty() || member(ome, "bioformats2raw.layout").is_null()) return series;
  const Json listed = ome_of(store / "OME");
  if (const Json& names = member(listed, "series"); names.is_array())
    for (const Json& name : names)
      if (name.is_string()) series.push_back(name.get<std::string>());
  while (series.empty() || !member(listed, "series").is_array()) {
    const std::string next = std::to_string(series.size());
    if (std::error_code none; !fs::is_directory(store / next, none)) break;
    series.push_back(next);
  }
  return series;
}

/// The group of the image that --series chooses, or of the only image.
fs::path image_group(const fs::path& store, const PlaneChoice& planes) {
  const std::string name = store.string(), choice = planes.series;
  const Json ome = ome_of(store);
  if (ome.is_null()) refuse(name, ": is not a complete Zarr store: it has neither zarr.json nor .zattrs");
  if (member(ome, "multiscales").is_array() && choice.empty()) return store;
  const std::vector<std::string> series = series_in(store, ome);
  if (!choice.empty()) {
    if (std::find(series.begin(), series.end(), choice) == series.end() &&
        std::all_of(choice.begin(), choice.end(), [](unsigned char c) { return c >= '0' && c <= '9'; }) &&
        choice.size() < 9 && size_t(std::stoi(choice)) < series.size())
      return inside(store, series[size_t(std::stoi(choice))]);
    const fs::path group = inside(store, choice);
    if (!member(ome_of(group), "multiscales").is_array())
      refuse(name, ": --series ", choice, " is not an image of this store",
             series.empty() ? "" : ", which contains " + std::to_string(series.size()) + ", such as " + series[0]);
    return group;
  }
  if (series.size() == 1) return inside(store, series[0]);
  if (series.empty())
    refuse(name, ": has no OME-Zarr image: its metadata have no multiscales, and name no plate and no series");
  std::string names;
  for (size_t k = 0; k < std::min(series.size(), max_listed); ++k)
    names += (k == 0 ? "" : ", ") + series[k];
  if (series.size() > max_listed) names += ", ...";
  refuse(name, ": contains ", series.size(), " images (", names, ")",
         planes.offered ? "; choose one with --series, such as --series " + series[0]
                        : ", but one image is expected here; save the one that you want as a separate store");
}

struct Axis {
  std::string name, type, unit;
};

/// The axes of an array with `rank` dimensions; before version 0.3 they are always t, c, z, y and x.
std::vector<Axis> axes_of(const Json& multiscale, size_t rank, const std::string& name) {
  std::vector<Axis> axes;
  const Json& list = member(multiscale, "axes");
  if (list.is_array())
    for (const Json& axis : list)
      axes.push_back(axis.is_string() ? Axis{axis.get<std::string>(), "", ""}
                                      : Axis{text_of(member(axis, "name")), text_of(member(axis, "type")),
                                             text_of(member(axis, "unit"))});
  else if (rank == 5)
    for (const char* letter : {"t", "c", "z", "y", "x"})
      axes.push_back({letter, "", ""});
  if (axes.size() != rank)
    refuse(name, ": is damaged: its metadata name ", axes.size(), " axes, but its array has ", rank);
  for (Axis& axis : axes)
    std::transform(axis.name.begin(), axis.name.end(), axis.name.begin(),
                   [](unsigned char c) { return char(std::tolower(c)); });
  if (axes[rank - 2].name != "y" || axes[rank - 1].name != "x")
    refuse(name, ": its last axes are ", axes[rank - 2].name, " and ", axes[rank - 1].name, "; expected y and x");
  return axes;
}

char letter_of(const Axis& axis) {
  if (axis.type == "time" || axis.name == "t") return 'T';
  if (axis.type == "channel" || axis.name == "c") return 'C';
  return axis.name == "z" ? 'Z' : 'I';
}

/// Multiplies `scale` by the scales in a list of transformations.
void apply_scales(const Json& transformations, std::vector<double>& scale, const std::string& name) {
  if (!transformations.is_array()) return;
  for (const Json& t : transformations) {
    if (member(t, "type") != "scale") continue;
    const Json& factors = member(t, "scale");
    if (!factors.is_array()) continue;  // the path of a file with the factors
    if (factors.size() != scale.size())
      refuse(name, ": is damaged: a scale has ", factors.size(), " factors for ", scale.size(), " axes");
    for (size_t d = 0; d < scale.size(); ++d) {
      if (!factors[d].is_number() || !(factors[d].get<double>() > 0))
        refuse(name, ": is damaged: a scale has the factor ", to_text(factors[d]));
      scale[d] *= factors[d].get<double>();
    }
  }
}

/// The scale of a dataset of an image along its axes.
std::vector<double> scale_of(const Json& multiscale, const Json& dataset, size_t rank, const std::string& name) {
  std::vector<double> scale(rank, 1);
  apply_scales(member(dataset, "coordinateTransformations"), scale, name);
  apply_scales(member(multiscale, "coordinateTransformations"), scale, name);
  return scale;
}

/// The index of the dataset with the full resolution: OME-Zarr asks for it to be the first, but not all writers obey.
/// The others may be missing in a copy, unless their scale says that they are finer.
size_t full_resolution(const fs::path& group, const Json& multiscale, const std::vector<std::string>& paths,
                       const std::string& name) {
  const Json& datasets = member(multiscale, "datasets");
  size_t best = 0;
  ZarrArray array(inside(group, paths[0]));
  const auto area = [](const ZarrArray& a) {
    const std::vector<int64_t>& shape = a.shape();
    return shape.size() < 2 ? 0. : double(shape[shape.size() - 2]) * double(shape.back());
  };
  double most = area(array);
  const auto pixel = [&](size_t k) {
    const size_t rank = array.shape().size();
    const std::vector<double> scale = scale_of(multiscale, datasets[k], rank, name);
    return scale.back() * scale[rank - 2];
  };
  for (size_t k = 1; k < paths.size(); ++k) {
    try {
      const ZarrArray other(inside(group, paths[k]));
      if (area(other) > most && other.shape().size() == array.shape().size()) best = k, most = area(other);
    } catch (const Error&) {
      if (pixel(k) < pixel(best)) throw;
    }
  }
  return best;
}

/// The full resolution of an image.
struct ZarrImage {
  ZarrArray array;
  Stack stack;
  std::vector<int64_t> sides;  // of the dimensions before height and width
};

ZarrImage open_image(const fs::path& path, const PlaneChoice& choice) {
  const std::string name = path.string();
  const fs::path group = image_group(without_slash(path), choice);
  const Json ome = ome_of(group);
  const Json& multiscales = member(ome, "multiscales");
  const Json& multiscale = multiscales.is_array() && !multiscales.empty() ? multiscales[0] : Json();
  const Json& datasets = member(multiscale, "datasets");
  const std::vector<std::string> paths = paths_of(datasets);
  if (paths.empty() || paths.size() != datasets.size())
    refuse(name, ": is damaged: its multiscales name no dataset, or one without a path");
  const size_t full = full_resolution(group, multiscale, paths, name);
  ZarrImage image{ZarrArray(inside(group, paths[full])), {}, {}};
  const std::vector<int64_t>& shape = image.array.shape();
  const size_t rank = shape.size();
  const std::vector<Axis> axes = axes_of(multiscale, rank, name);
  const std::vector<double> scale = scale_of(multiscale, datasets[full], rank, name);
  image.sides.assign(shape.begin(), shape.end() - 2);
  Stack& s = image.stack;
  __int128 images = 1;
  std::set<char> seen;
  int64_t channels = 1;
  for (size_t d = 0; d + 2 < rank; ++d) {
    const char letter = letter_of(axes[d]);
    if (letter != 'I' && !seen.insert(letter).second) refuse(name, ": is damaged: it has two axes ", letter);
    if (shape[d] == 0) refuse(name, ": has a size of zero along its axis ", axes[d].name);
    images *= shape[d];
    if (images > (1 << 30)) refuse(name, ": is damaged: its metadata announce too many planes");
    if (letter == 'C') channels = shape[d];
    if (letter == 'Z')
      if (const double depth = scale[d] * micrometres_per(axes[d].unit); depth > 0) s.spacing = depth;
    if (letter == 'T')
      if (const double interval = scale[d] * seconds_per(axes[d].unit); interval > 0) s.interval = interval;
    s.axes.push_back({letter, shape[d]});
  }
  complete(s);
  s.height = shape[rank - 2], s.width = shape[rank - 1];
  const double height = scale[rank - 2] * micrometres_per(axes[rank - 2].unit),
               width = scale[rank - 1] * micrometres_per(axes[rank - 1].unit);
  if (width > 0 && height > 0) set_pixel_size(s, width, height);
  if (const Json& named = member(member(ome, "omero"), "channels");
      named.is_array() && channels == int64_t(named.size()))
    for (const Json& channel : named)
      s.channel_names.push_back(text_of(member(channel, "label")));
  if (std::all_of(s.channel_names.begin(), s.channel_names.end(), [](const std::string& n) { return n.empty(); }))
    s.channel_names.clear();
  return image;
}

}  // namespace

Stack zarr_stack(const fs::path& path, const PlaneChoice& choice) { return open_image(path, choice).stack; }

bool zarr_holds_series(const fs::path& path) {
  const Json ome = ome_of(path);
  return !member(ome, "multiscales").is_array() && series_in(path, ome).size() > 1;
}

void read_zarr_planes(const fs::path& path, const PlaneChoice& choice, const std::vector<int64_t>& planes,
                      const PixelRect& part, const std::function<void(Decoded)>& f) {
  ZarrImage image = open_image(path, choice);
  const bool whole = part.height == 0;
  for (int64_t k : planes) {
    std::vector<int64_t> index(image.sides.size());
    for (size_t d = index.size(); d-- > 0; k /= image.sides[d])
      index[d] = k % image.sides[d];
    Decoded plane;
    plane.pixels = allocate(path, image.array.type(), whole ? image.stack.height : part.height,
                            whole ? image.stack.width : part.width, 1);
    plane.notes = image.stack.notes;
    plane.is_part = !whole;
    std::byte* to = plane.pixels.bytes.data();
    const bool stored = whole ? image.array.read_plane(index, to) : image.array.read_window(index, part, to);
    if (!stored && whole) plane.notes.push_back("no pixel of the plane is stored, so all have the array's fill value");
    f(std::move(plane));
  }
}

}  // namespace basin::raster
