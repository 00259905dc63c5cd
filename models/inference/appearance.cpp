#include "models/inference/appearance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "data/dataset/order_statistics.h"
#include "engine/json.h"

namespace basin {
namespace {

/// The few pixels far above the rest, if there are any: those more than half-way from the middle to the 99.8th
/// percentile. The rest must contain something bright too; otherwise they are the objects of a nearly empty image.
void find_specks(std::vector<double>& values, Brightness& b) {
  const double top = at_share(values, 0.998), half = (b.middle + top) / 2;
  std::vector<double> rest;
  std::copy_if(values.begin(), values.end(), std::back_inserter(rest), [&](double v) { return v <= half; });
  const double share = 1 - double(rest.size()) / double(values.size());
  if (share > 0.02 || rest.empty()) return;
  const double above = at_share(rest, 0.99) - b.middle, below = b.middle - at_share(rest, 0.01);
  if (!(above > 0) || above < 3 * below) return;
  // From about 12 times on, nuclei are missed. Blurred edges are more often those of objects than of dust.
  const auto in_between = std::count_if(rest.begin(), rest.end(), [&](double v) { return v > b.middle + 2 * above; });
  const bool is_sharp = double(in_between) / double(values.size()) < share / 3;
  if (top - b.middle < (is_sharp ? 12 : 20) * above) return;
  b.speck_share = share, b.speck_distance = (top - b.middle) / above;
}

}  // namespace

std::vector<double> diameters_of(const std::vector<int64_t>& areas) {
  std::vector<double> all;
  for (const int64_t area : areas)
    if (area > 0) all.push_back(equivalent_diameter(double(area)));
  return all;
}

bool has_object_sizes(const Json& info) {
  const std::optional<Appearance> appearance = appearance_in(info);
  return appearance && appearance->diameter > 0;
}

bool searches_scale(const Json& info) {
  return has_object_sizes(info) && info.contains("scale") && info["scale"] == "auto";
}

double stored_scale(const Json& info) {
  if (!info.contains("scale") || !info["scale"].is_number()) return 1;
  const double scale = info["scale"].get<double>();
  if (!(scale >= min_scale && scale <= max_scale))
    refuse("the model's description gives the scale ", scale, ", expected ", min_scale, " to ", max_scale);
  return scale;
}

Brightness brightness_of(const Source& source) {
  std::vector<double> values;
  std::vector<float> row(size_t(source.width()));
  const int rows = std::min(source.height(), examined_rows), columns = std::min(source.width(), examined_columns);
  for (int c = 0; c < source.channels(); ++c)
    for (int r = 0; r < rows; ++r) {
      source.row(c, int(int64_t(r) * source.height() / rows), 0, source.width(), row.data());
      for (int k = 0; k < columns; ++k)
        values.push_back(double(row[size_t(int64_t(k) * source.width() / columns)]));
    }
  const double low = at_share(values, 0.01), high = at_share(values, 0.998);
  Brightness b{at_share(values, 0.5), high - low};
  find_specks(values, b);
  b.grey_span = source.grey_span();
  return b;
}

Appearance appearance_of(const std::vector<Example>& examples) {
  std::vector<double> middles, contrasts, sizes;
  for (const Example& e : examples) {
    const Brightness b = brightness_of(e.source);
    middles.push_back(b.middle), contrasts.push_back(b.contrast);
    for (const double d : diameters_of(areas_of(true_labels(e))))
      sizes.push_back(d);
  }
  return {at_share(middles, 0.05), at_share(middles, 0.95), at_share(contrasts, 0.05), at_share(contrasts, 0.95),
          at_share(sizes, 0.05),   at_share(sizes, 0.5),    at_share(sizes, 0.95)};
}

double common_pixel_size(const std::vector<Example>& examples) {
  double smallest = 0, largest = 0;
  for (const Example& e : examples) {
    const double size = e.source.image().stack.pixel_size().value_or(0);
    if (size <= 0) return 0;
    smallest = smallest > 0 ? std::min(smallest, size) : size, largest = std::max(largest, size);
  }
  return largest <= 1.01 * smallest ? smallest : 0;
}

Json to_json(const Appearance& a) {
  Json json{{"middle", {a.low_middle, a.high_middle}},
            {"contrast", {a.low_contrast, a.high_contrast}},
            {"diameter", {a.small_diameter, a.diameter, a.large_diameter}}};
  if (a.pixel_size > 0) json["pixel_size"] = a.pixel_size;
  return json;
}

std::optional<Appearance> appearance_in(const Json& info) {
  if (!info.is_object() || !info.contains("appearance")) return {};
  const Json& j = info["appearance"];
  const auto numbers = [&](const char* key, size_t count) -> std::optional<std::vector<double>> {
    if (!j.is_object() || !j.contains(key) || !j[key].is_array() || j[key].size() != count) return {};
    std::vector<double> all;
    for (const Json& n : j[key]) {
      if (!n.is_number()) return {};
      all.push_back(n.get<double>());
    }
    return all;
  };
  const auto middle = numbers("middle", 2), contrast = numbers("contrast", 2), diameter = numbers("diameter", 3);
  if (!middle || !contrast || !diameter) return {};
  Appearance a{(*middle)[0],   (*middle)[1],   (*contrast)[0], (*contrast)[1],
               (*diameter)[0], (*diameter)[1], (*diameter)[2]};
  if (j.contains("pixel_size") && j["pixel_size"].is_number())
    a.pixel_size = std::max(0., j["pixel_size"].get<double>());
  return a;
}

std::vector<std::string> remarks_on(const Source& source, const Labels& labels,
                                    const std::optional<Appearance>& trained, double scale,
                                    const Normalisation& normalisation, bool advises_diameter) {
  return remarks_on(brightness_of(source), areas_of(labels), trained, scale, normalisation, advises_diameter);
}

std::vector<std::string> remarks_on(const Brightness& b, const std::vector<int64_t>& areas,
                                    const std::optional<Appearance>& trained, double scale,
                                    const Normalisation& normalisation, bool advises_diameter) {
  std::vector<std::string> remarks;
  const bool by_percentiles = normalisation.kind == Normalisation::Kind::percentile;
  const std::string advice = by_percentiles ? "" : "; --norm percentile:1,99.8 may help";
  if (b.contrast == 0) {
    remarks.push_back("all examined pixels have the same value");
  } else if (trained && trained->low_contrast > 0) {
    if (b.contrast < 0.25 * trained->low_contrast)
      remarks.push_back(fmt::format(
          "after normalisation the image is nearly {}: its values span {:.3g}, in training images {:.3g} to {:.3g}{}",
          b.middle < trained->low_middle + 0.25 * trained->low_contrast ? "black" : "flat", b.contrast,
          trained->low_contrast, trained->high_contrast, advice));
    else if (b.contrast > 4 * trained->high_contrast)
      remarks.push_back(fmt::format(
          "after normalisation the image has far more contrast than training images: its values span {:.3g}, theirs "
          "{:.3g} to {:.3g}{}",
          b.contrast, trained->low_contrast, trained->high_contrast, advice));
    // The middle value is that of the background, where objects cover less than half of the image.
    const double tolerance = 0.35 * trained->low_contrast;
    const bool brighter = b.middle > trained->high_middle + tolerance;
    if (brighter || b.middle < trained->low_middle - tolerance)
      remarks.push_back(fmt::format(
          "after normalisation the background is {} than in training images: the middle value is {:.3g}, in training "
          "images {:.3g} to {:.3g}; a model for such images, or the image inverted, may be needed",
          brighter ? "far brighter" : "far darker", b.middle, trained->low_middle, trained->high_middle));
  }
  constexpr double few_levels = 8;
  if (b.grey_span > 0 && b.grey_span < few_levels)
    remarks.push_back(fmt::format(
        "between the percentiles {:g} and {:g} its values differ by only {:.3g}, which normalisation spreads over the "
        "whole range: what was found may be noise",
        normalisation.low, normalisation.high, b.grey_span));
  if (by_percentiles && b.speck_share > 0)
    remarks.push_back(fmt::format(
        "{:.2g} % of the pixels are {:.0f} times as far above the middle value as the brightest others, which look "
        "dark "
        "beside them; unless they are the objects, --norm percentile:{:g},{:.1f} may help",
        100 * b.speck_share, b.speck_distance, normalisation.low, std::floor(10 * (100 - 120 * b.speck_share)) / 10));
  if (std::all_of(areas.begin(), areas.end(), [](int64_t area) { return area == 0; })) {
    remarks.push_back("no object was found");
    return remarks;
  }
  if (!trained || trained->diameter <= 0) return remarks;
  std::vector<double> sizes = diameters_of(areas);
  const double seen = at_share(sizes, 0.5) * scale;
  if (seen < 0.6 * trained->small_diameter || seen > 1.7 * trained->large_diameter)
    remarks.push_back(fmt::format(
        "at this scale the objects found have a median diameter of {:.1f} px, those in training had {:.1f} "
        "({:.1f} to {:.1f}){}",
        seen, trained->diameter, trained->small_diameter, trained->large_diameter,
        advises_diameter ? "; setting --diameter to the diameter of the objects in this image may help" : ""));
  return remarks;
}

}  // namespace basin
