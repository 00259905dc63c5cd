#include "data/files/stack.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "data/files/stack_planes.h"
#include "engine/json.h"
#include "engine/text.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// Parses "key=value" lines.
std::map<std::string, std::string> lines_of(const std::string& text) {
  std::map<std::string, std::string> values;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size()), sign = text.find('=', begin);
    if (sign < end) values.emplace(text.substr(begin, sign - begin), text.substr(sign + 1, end - sign - 1));
    begin = end + 1;
  }
  return values;
}

bool is_axis(char c) { return c == 'T' || c == 'Z' || c == 'C' || c == 'I'; }

/// Parses axes as the user writes them: letters, each with or without =SIZE; one size may be left open.
std::vector<StackAxis> parse_axes(const std::string& text, int64_t images, const std::string& name) {
  const auto wrong = [&] {
    refuse(name, ": --axes ", text, " does not match its ", images,
           " images; expected the axes from slowest to fastest, such as ZYX, or with sizes: T=10,C=2");
  };
  std::vector<StackAxis> axes;
  int64_t product = 1;
  int open = -1;
  std::string in_image;  // those of Y and X so far
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = char(std::toupper(static_cast<unsigned char>(text[i])));
    if (c == 'Y' || c == 'X') in_image += c;
    const bool is_turned = !std::string_view("YX").starts_with(in_image);
    const bool follows_image = !in_image.empty() && is_axis(c) && c != 'C';
    if (is_turned || follows_image)
      refuse(name, ": --axes ", text, ": the axes within an image, Y and X, come last and in this order");
    if (c == ' ' || c == ',' || c == 'Y' || c == 'X' || c == 'S') continue;
    if (!is_axis(c)) wrong();
    int64_t size = 0;
    if (i + 1 < text.size() && text[i + 1] == '=') {
      size_t end = i + 2;
      while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])))
        ++end;
      size = whole_number(text.substr(i + 2, end - i - 2)).value_or(0);
      if (size < 1 || size > images) wrong();
      product *= size;
      if (product > images) wrong();
      i = end - 1;
    } else if (open >= 0) {
      wrong();
    } else {
      open = int(axes.size());
    }
    if (c != 'I' && std::any_of(axes.begin(), axes.end(), [&](const StackAxis& a) { return a.name == c; })) wrong();
    axes.push_back({c, size});
  }
  if (open >= 0) axes[size_t(open)].size = images / product, product *= images / product;
  if (product != images) wrong();
  std::erase_if(axes, [](const StackAxis& a) { return a.size == 1; });
  return axes;
}

/// The index along each axis that --plane names.
std::map<char, int64_t> parse_plane(const std::string& text, const std::vector<StackAxis>& axes,
                                    const std::string& name) {
  std::map<char, int64_t> at;
  const auto wrong = [&](const std::string& why) { refuse(name, ": --plane ", text, " ", why); };
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    begin = end + 1;
    char letter = 0;
    std::string number = part;
    if (part.size() > 2 && part[1] == '=') {
      letter = char(std::toupper(static_cast<unsigned char>(part[0])));
      number = part.substr(2);
    } else {
      for (const StackAxis& a : axes)
        if (a.name != 'C') {
          if (letter) wrong("does not name the axis; expected something like Z=3,T=0");
          letter = a.name;
        }
    }
    const auto axis = std::find_if(axes.begin(), axes.end(), [&](const StackAxis& a) { return a.name == letter; });
    const std::optional<int64_t> value = whole_number(number);
    if (!value) wrong("is not a number; expected something like Z=3,T=0");
    if (axis == axes.end()) wrong("names an axis that the file does not have");
    if (*value >= axis->size) wrong("is outside 0 to " + std::to_string(axis->size - 1));
    at[letter] = *value;
  }
  return at;
}

/// The indices of the chosen channels, out of `count`.
std::vector<int> parse_channels(const PlaneChoice& choice, int64_t count, const std::vector<std::string>& names,
                                const std::string& name) {
  std::vector<int> chosen;
  for (const std::string& channel : choice.channels) {
    const auto named = std::find(names.begin(), names.end(), channel);
    const std::optional<int64_t> number = whole_number(channel);
    if (named != names.end() && std::count(names.begin(), names.end(), channel) == 1) {
      chosen.push_back(int(named - names.begin()));
    } else if (number && *number < count) {
      chosen.push_back(int(*number));
    } else {
      refuse(name, ": has no channel ", channel, "; it has ", count, ", numbered from 0",
             names.empty() ? "" : ": " + joined(names));
    }
  }
  if (chosen.empty())
    for (int c = 0; c < count; ++c)
      chosen.push_back(c);
  return chosen;
}

bool channels_along_stack(const std::vector<StackAxis>& axes) {
  return std::any_of(axes.begin(), axes.end(), [](const StackAxis& a) { return a.name == 'C'; });
}

}  // namespace

double micrometres_per(const std::string& unit) {
  static const std::map<std::string, double> known = {
      {"micron", 1},       {"microns", 1},      {"um", 1},         {"\xc2\xb5m", 1},    {"\xce\xbcm", 1},
      {"\\u00B5m", 1},     {"\xb5m", 1},        {"micrometer", 1}, {"micrometre", 1},   {"nm", 1e-3},
      {"nanometer", 1e-3}, {"nanometre", 1e-3}, {"mm", 1e3},       {"millimeter", 1e3}, {"millimetre", 1e3},
      {"cm", 1e4},         {"centimeter", 1e4}, {"m", 1e6},        {"meter", 1e6},      {"metre", 1e6},
      {"angstrom", 1e-4},  {"\xc3\x85", 1e-4},  {"pm", 1e-6},      {"picometer", 1e-6}};
  const auto found = known.find(unit);
  return found == known.end() ? 0 : found->second;
}

double seconds_per(const std::string& unit) {
  static const std::map<std::string, double> known = [] {
    std::map<std::string, double> all;
    const auto add = [&](double seconds, std::initializer_list<const char*> names) {
      for (const char* name : names)
        all[name] = seconds;
    };
    add(1e-9, {"ns", "nanosecond", "nanoseconds"});
    add(1e-6, {"us", "\xc2\xb5s", "\xce\xbcs", "\\u00B5s", "\xb5s", "microsecond", "microseconds"});
    add(1e-3, {"ms", "msec", "millisecond", "milliseconds"});
    add(1, {"s", "sec", "secs", "second", "seconds"});
    add(60, {"min", "mins", "minute", "minutes"});
    add(3600, {"h", "hr", "hrs", "hour", "hours"});
    add(86400, {"d", "day", "days"});
    return all;
  }();
  const auto found = known.find(unit);
  return found == known.end() ? 0 : found->second;
}

void complete(Stack& s) {
  s.images = 1;
  for (const StackAxis& a : s.axes)
    s.images *= a.size;
  std::erase_if(s.axes, [](const StackAxis& a) { return a.size == 1; });
}

bool is_print(double um) { return um >= 20; }  // 1200 pixels per inch are 21 um

void set_pixel_size(Stack& s, double width, double height) {
  if (height == 0 || std::abs(height - width) <= 1e-3 * width) height = width;
  s.pixel = {width, height};
  if (height != width)
    s.notes.push_back(
        fmt::format("its pixels are not square ({:.4g} x {:.4g} um), so all sizes are in pixels", width, height));
}

std::optional<double> Stack::pixel_size() const {
  if (!pixel || pixel->width != pixel->height) return std::nullopt;
  return pixel->width;
}

std::string to_text(const Stack& s) {
  std::string text;
  for (const StackAxis& a : s.axes)
    text += (a.name == 'I' ? "unnamed" : std::string(1, a.name)) + '=' + std::to_string(a.size) + ' ';
  text += "Y X";
  if (s.samples > 1) text += channels_along_stack(s.axes) ? " S=" : " C=";
  if (s.samples > 1) text += std::to_string(s.samples);
  const std::optional<double> size = s.pixel_size();
  return size ? text + fmt::format(", {:.4g} um/px", *size) : text;
}

std::string describe_choice(const PlaneChoice& choice) {
  std::string text;
  if (!choice.series.empty()) text += "; series " + choice.series;
  if (!choice.channels.empty())
    text += (choice.channels.size() > 1 ? "; channels " : "; channel ") + joined(choice.channels);
  if (!choice.plane.empty()) text += "; plane " + choice.plane;
  return text;
}

Stack with_axes(Stack s, const PlaneChoice& choice, const std::string& name) {
  if (!choice.axes.empty()) s.axes = parse_axes(choice.axes, s.images, name);
  return s;
}

std::vector<int64_t> chosen_images(const Stack& s, const PlaneChoice& choice, const std::string& name) {
  std::vector<StackAxis> axes = s.axes;
  if (!choice.axes.empty()) axes = parse_axes(choice.axes, s.images, name);
  const std::map<char, int64_t> at = parse_plane(choice.plane, axes, name);
  int64_t channels = 1;
  std::string open;  // "T=N,Z=N"
  bool named = true;
  for (const StackAxis& a : axes) {
    if (a.name == 'C') {
      channels = a.size;
    } else if (!at.contains(a.name)) {
      open += fmt::format("{}{}=N", open.empty() ? "" : ",", a.name);
      named = named && a.name != 'I';
    }
  }
  if (!open.empty()) {
    Stack shown = s;
    shown.axes = axes;
    const std::string what = named ? fmt::format("(a stack of {})", to_text(shown)) : "(a stack) without named axes";
    if (!choice.offered)
      refuse(name, ": contains ", s.images, " images ", what,
             ", but one image is expected here; save the one that you want as a separate file");
    if (!named)
      refuse(name, ": contains ", s.images, " images ", what, "; choose one with --plane N, or name the axes with ",
             "--axes, such as CYX for channels");
    refuse(name, ": contains ", s.images, " images ", what, "; choose one with --plane ", open);
  }
  std::vector<int> wanted{0};
  if (channels > 1 && !at.contains('C')) wanted = parse_channels(choice, channels, s.channel_names, name);
  std::vector<int64_t> images;
  for (const int c : wanted) {
    int64_t k = 0;
    for (const StackAxis& a : axes)
      k = k * a.size + (a.name == 'C' && !at.contains('C') ? c : at.at(a.name));
    images.push_back(s.order.empty() ? k : s.order[size_t(k)]);
  }
  return images;
}

std::string StackPlanes::name_of(int64_t plane) const {
  std::string text;
  if (frames > 1) text = "T=" + std::to_string(frame_of(plane));
  if (slices > 1) text += (text.empty() ? "Z=" : ",Z=") + std::to_string(slice_of(plane));
  return text;
}

StackPlanes planes_of(const Stack& s, const PlaneChoice& choice, const std::string& name) {
  StackPlanes planes{with_axes(s, choice, name)};
  const std::vector<StackAxis>& axes = planes.stack.axes;
  const std::map<char, int64_t> at = parse_plane(choice.plane, axes, name);
  for (const StackAxis& a : axes) {
    planes.has_channels = planes.has_channels || a.name == 'C';
    if (a.name == 'C' || at.contains(a.name)) continue;
    int64_t& size = a.name == 'T' ? planes.frames : planes.slices;
    if (a.name == 'I' || size > 1)
      refuse(name, ": contains ", s.images, " images (a stack) without named axes",
             choice.offered ? "; name them with --axes, such as ZYX for slices, TYX for times or CYX for channels, or "
                              "choose one image with --plane N"
                            : "");
    size = a.size;
  }
  return planes;
}

std::optional<int64_t> index_of_plane(const StackPlanes& planes, const PlaneChoice& choice, const std::string& name) {
  const std::map<char, int64_t> at = parse_plane(choice.plane, planes.stack.axes, name);
  if ((planes.frames > 1 && !at.contains('T')) || (planes.slices > 1 && !at.contains('Z'))) return {};
  const auto index = [&](char axis, int64_t size) { return size > 1 ? at.at(axis) : 0; };
  return index('T', planes.frames) * planes.slices + index('Z', planes.slices);
}

PlaneChoice choice_of_plane(const StackPlanes& planes, int64_t plane, const PlaneChoice& choice) {
  PlaneChoice one = choice;
  if (const std::string name = planes.name_of(plane); !name.empty())
    one.plane = choice.plane.empty() ? name : choice.plane + ',' + name;
  return one;
}

std::vector<int64_t> images_of_plane(const StackPlanes& planes, int64_t plane, const PlaneChoice& choice,
                                     const std::string& name) {
  Stack stack = planes.stack;
  PlaneChoice one = choice_of_plane(planes, plane, choice);
  one.axes.clear();  // the stack has them
  return chosen_images(stack, one, name);
}

std::vector<int> chosen_samples(const Stack& s, const PlaneChoice& choice, const std::string& name) {
  PlaneChoice own = choice;
  const std::vector<StackAxis> axes = choice.axes.empty() ? s.axes : parse_axes(choice.axes, s.images, name);
  if (channels_along_stack(axes)) own.channels.clear();
  return parse_channels(own, s.samples, s.channel_names, name);
}

std::optional<Stack> stack_of_imagej(const std::string& description, double columns_per_unit, double rows_per_unit) {
  if (!description.starts_with("ImageJ=")) return std::nullopt;
  const std::map<std::string, std::string> values = lines_of(description);
  const auto size_of = [&](const char* key) {
    const auto found = values.find(key);
    return found == values.end() ? int64_t(1) : std::max(int64_t(1), whole_number(found->second).value_or(1));
  };
  Stack s;
  const int64_t images = size_of("images"), channels = size_of("channels"), slices = size_of("slices"),
                frames = size_of("frames");
  if (__int128(channels) * slices * frames == images)
    s.axes = {{'T', frames}, {'Z', slices}, {'C', channels}};
  else
    s.axes = {{'I', images}};
  complete(s);
  const auto unit = values.find("unit");
  const double um = unit == values.end() ? 0 : micrometres_per(unit->second);
  const bool may_be_print = um == micrometres_per("cm");  // ImageJ takes it from the tags for printing
  if (um > 0 && columns_per_unit > 0 && !(may_be_print && is_print(um / columns_per_unit)))
    set_pixel_size(s, um / columns_per_unit, rows_per_unit > 0 ? um / rows_per_unit : 0);
  if (const auto spacing = values.find("spacing"); um > 0 && spacing != values.end())
    if (const double z = std::abs(std::strtod(spacing->second.c_str(), nullptr)); z > 0 && std::isfinite(z))
      s.spacing = um * z;
  const auto unit_of_time = values.find("tunit");
  const double seconds = unit_of_time == values.end() ? 1 : seconds_per(unit_of_time->second);
  if (const auto interval = values.find("finterval"); interval != values.end())
    if (const double t = std::strtod(interval->second.c_str(), nullptr) * seconds; t > 0 && std::isfinite(t))
      s.interval = t;
  return s;
}

std::optional<Stack> stack_of_tifffile(const std::string& description, const PageShape& page) {
  if (!description.starts_with("{\"shape\":")) return std::nullopt;
  const Json json = parse_json(description);
  if (!json.is_object() || !json.contains("shape") || !json["shape"].is_array()) return std::nullopt;
  std::vector<int64_t> shape;
  for (const Json& d : json["shape"]) {
    if (!d.is_number_integer() || d.get<int64_t>() < 1 || d.get<int64_t>() > (int64_t(1) << 40)) return std::nullopt;
    shape.push_back(d.get<int64_t>());
  }
  std::string axes;
  if (json.contains("axes") && json["axes"].is_string()) axes = json["axes"].get<std::string>();
  if (axes.size() != shape.size()) axes.assign(shape.size(), 'I');
  // Height and width are the last two dimensions, apart from samples before or after them.
  const size_t rank = shape.size();
  const auto is_page = [&](size_t i) { return i + 1 < rank && shape[i] == page.height && shape[i + 1] == page.width; };
  size_t images = rank;  // the number of dimensions that are those of the stack
  if (page.samples > 1 && page.planar && rank >= 3 && is_page(rank - 2) && shape[rank - 3] == page.samples)
    images = rank - 3;
  else if (page.samples > 1 && !page.planar && rank >= 3 && is_page(rank - 3) && shape[rank - 1] == page.samples)
    images = rank - 3;
  else
    for (size_t i = 0; i + 1 < rank; ++i)
      if (is_page(i)) images = i;
  if (images == rank) return std::nullopt;
  Stack s;
  __int128 product = 1;
  for (size_t i = 0; i < images; ++i) {
    if (axes[i] == 'S') continue;
    product *= shape[i];
    if (product > (int64_t(1) << 40)) return std::nullopt;
    s.axes.push_back({is_axis(axes[i]) ? axes[i] : 'I', shape[i]});
  }
  complete(s);
  return s;
}

}  // namespace basin
