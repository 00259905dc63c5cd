#include "tools/cli/segmentation_options.h"

#include <charconv>

#include "engine/json.h"
#include "tools/cli/command.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

double parse_scale(const std::string& text) {
  double scale = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), scale);
  if (error != std::errc() || end != text.data() + text.size() || !(scale >= min_scale && scale <= max_scale))
    refuse("--scale ", text, ": expected auto or a number from ", min_scale, " to ", max_scale);
  return scale;
}

/// Whether maps contain lengths that are wrong once the maps are resized.
bool has_lengths(const Method& method) {
  for (const MapSpec& map : method.maps())
    for (int c = 0; c < map.channels; ++c)
      if (map.kind_of(c) == MapSpec::Kind::offset || map.kind_of(c) == MapSpec::Kind::extent) return true;
  return false;
}

}  // namespace

void add_filter_options(Command& command, ObjectFilter& filter) {
  command.add("--min-size", filter.min_size, "drop objects with fewer pixels").not_negative();
  command.add("--max-size", filter.max_size, "drop objects with more pixels; 0: none").not_negative();
  command.flag("--exclude-edges", filter.exclude_edges, "drop objects that touch the edge of the image");
  command.flag("--fill-holes", filter.fill_holes,
               "fill the holes of objects, before their sizes are compared and after others are dropped");
}

void SegmentationOptions::add_to(Command& command) {
  command.add(
      "--tiling", tiling_,
      "how images are tiled for the network. fit: the whole image, or if it is large the exact tiles that cost least; "
      "exact: tiles of --tile that give the same result; dynamic, pad, resize: averages of overlapping tiles, as "
      "published. Default: fit, or dynamic if --tile or --overlap is given");
  command.add("--tile", tile_, "side of a tile, px; default: 256").positive();
  command.add("--overlap", overlap_, "dynamic, pad, resize: overlap of neighbouring tiles, px; default: 50")
      .not_negative();
  const Option scale =
      command.add("--scale", scale_,
                  "scale images by this factor before segmentation: 0.5 halves width and height; auto finds for each "
                  "image the scale at which its objects are as large as in training; default: the model's");
  const Option diameter = command
                              .add("--diameter", diameter_,
                                   "typical object diameter, px: images are scaled so that objects are as large as "
                                   "those the model was trained "
                                   "on")
                              .within(0.5, 100000.)
                              .excludes(scale);
  command
      .add("--pixel-size", pixel_size_,
           "size of a pixel of the images, um: images are scaled so that pixels are as large as those the model was "
           "trained on")
      .positive()
      .excludes(scale)
      .excludes(diameter);
  command.add("--norm", norm_, "normalisation: divide, percentile:LOW,HIGH or none; default: the model's");
  add_tta_option(command, tta_);
  add_filter_options(command, filter_);
  settings_.add_to(command, {Setting::Use::decoding}, "the model's");
}

/// --tile or --overlap without --tiling selects the published (dynamic) tiling.
TilingOptions SegmentationOptions::chosen_tiling() const {
  TilingOptions tiling;
  if (!tiling_.empty())
    tiling.tiling = parse_tiling(tiling_);
  else if (tile_ || overlap_)
    tiling.tiling = Tiling::dynamic;
  if (tile_) tiling.tile = *tile_;
  if (overlap_) tiling.overlap = *overlap_;
  return tiling;
}

std::vector<std::string> SegmentationOptions::unused_options(const Method& method) const {
  std::vector<std::string> unused;
  const auto add = [&](bool given, const std::string& option, const std::string& why) {
    if (given) unused.push_back(option + " is not used: " + why);
  };
  if (method.sees_one_size()) {
    const std::string why =
        "the network of " + method.name() + " sees every image at one size; give --set resize=false";
    add(!scale_.empty(), "--scale", why), add(diameter_.has_value(), "--diameter", why);
    add(pixel_size_.has_value(), "--pixel-size", why);
  }
  const Tiling tiling = chosen_tiling().tiling;
  if (method.sees_whole_images()) {
    const std::string why = "the network of " + method.name() + " sees whole images";
    add(!tiling_.empty(), "--tiling", why), add(tile_.has_value(), "--tile", why);
    add(overlap_.has_value(), "--overlap", why);
    return unused;
  }
  add(tile_ && tiling == Tiling::fit, "--tile", "--tiling fit chooses the tiles by itself");
  add(overlap_ && (tiling == Tiling::fit || tiling == Tiling::exact), "--overlap",
      "the tiles of --tiling " + to_string(tiling) + " overlap as far as the network sees");
  return unused;
}

/// Changes the default scale to the one that is given, or to that at which objects of the given diameter, or pixels of
/// the given size, look as large as those the model was trained on.
void SegmentationOptions::choose_scale(SegmentationPlan& plan, const Json& info, const std::string& name) const {
  const auto need_sizes = [&](const char* option) {
    if (!has_object_sizes(info))
      refuse(option, ": ", name,
             " does not record the size of the objects that it was trained on; give a number as --scale instead");
  };
  plan.scale_from_size = diameter_ || pixel_size_;
  plan.pixel_size = pixel_size_.value_or(0);
  if (!diameter_ && !pixel_size_ && scale_.empty()) return;
  plan.finds_scale = false;
  if (diameter_) {
    need_sizes("--diameter");
    plan.options.scale = plan.trained->diameter / *diameter_;
  } else if (pixel_size_) {
    if (!plan.trained || plan.trained->pixel_size <= 0)
      refuse("--pixel-size: ", name,
             " does not record the pixel size of the images that it was trained on, because their files give none or "
             "different ones; give --diameter or --scale instead");
    plan.options.scale = *pixel_size_ / plan.trained->pixel_size;
    if (!(plan.options.scale >= min_scale && plan.options.scale <= max_scale))
      refuse("--pixel-size ", *pixel_size_, ": the model was trained on pixels of ", plan.trained->pixel_size,
             " um; images would be scaled by ", plan.options.scale, ", expected ", min_scale, " to ", max_scale);
  } else if (scale_ == "auto") {
    need_sizes("--scale auto");
    plan.finds_scale = true;
  } else {
    plan.options.scale = parse_scale(scale_);
  }
}

SegmentationPlan SegmentationOptions::plan(Method& method, const Json& info, const std::string& name) const {
  settings_.apply_to(method);
  SegmentationPlan plan = with_name(name, [&] { return default_plan(method, info); });
  if (!norm_.empty()) plan.norm = parse_normalisation(norm_);
  plan.options.tiling = chosen_tiling();
  check(plan.options.tiling, method.sample_spec().multiple);
  if (plan.options.tiling.tiling == Tiling::resize && !method.sees_whole_images() && has_lengths(method))
    refuse("--tiling resize: the maps of ", method.name(),
           " contain lengths, which it would change; use another tiling, such as dynamic");
  resolve_setting("tiling", to_string(plan.options.tiling.tiling));
  if (!method.sees_one_size()) choose_scale(plan, info, name);
  resolve_setting("scale", plan.finds_scale ? Json("auto") : Json(plan.options.scale));
  check_tta(tta_, method);
  plan.options.tta = tta_;
  check(filter_);
  plan.filter = filter_;
  return plan;
}

}  // namespace basin::tools
