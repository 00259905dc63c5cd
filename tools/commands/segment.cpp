#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>

#include "data/dataset/dataset.h"
#include "data/files/npy.h"
#include "data/report/overlay.h"
#include "engine/clock.h"
#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/json.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/cli/setting_options.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  Common common;
  std::vector<std::string> inputs, save{"labels", "overlay"};
  std::string model, out, tiling, norm;
  std::optional<int> tile, overlap;
  std::optional<double> scale, diameter;
  SettingOptions settings;
  PlaneChoice choice;
};

void save_map(const Exec& exec, const fs::path& path, const Tensor& map) {
  const Tensor here = map.to_host(exec);
  write_npy(path, {map.dim(0), map.dim(1), map.dim(2)}, here.data<const float>());
}

/// How images are cut: a size of tiles, given alone, means the published tiling.
TilingOptions tiling_of(const Options& o) {
  TilingOptions tiling;
  if (!o.tiling.empty())
    tiling.tiling = parse_tiling(o.tiling);
  else if (o.tile || o.overlap)
    tiling.tiling = Tiling::dynamic;
  if (o.tile) tiling.tile = *o.tile;
  if (o.overlap) tiling.overlap = *o.overlap;
  return tiling;
}

struct Seconds {
  double read = 0, network = 0, decode = 0, write = 0;
};

/// What of the inputs was done, and what was not: one bad image does not stop the others.
struct Outcome {
  std::vector<ImageFile> images;    // to be done
  std::vector<std::string> failed;  // images and inputs
  size_t done = 0, converted = 0;   // converted: between grey and RGB
  Seconds seconds;
  Json remarks = Json::array();
  NoteList notes;  // what reading images changed or left out

  void fail(const fs::path& path, const char* why) {
    std::fprintf(stderr, "basin: %s\n", why);
    failed.push_back(path.string());
  }
  /// Something that is no error but may surprise.
  void remark(const std::string& path, const std::string& what) {
    std::fprintf(stderr, "basin: %s: %s\n", path.c_str(), what.c_str());
    remarks.push_back({{"image", path}, {"remark", what}});
  }
  [[noreturn]] void refuse_failed() const {
    refuse(failed.size(), " of ", failed.size() + done, " inputs could not be segmented");
  }
};

/// Calls f; what it throws is reported, and `path` is noted as failed.
template <class F>
void attempt(Outcome& outcome, const fs::path& path, F f) {
  try {
    f();
  } catch (const std::bad_alloc&) {
    outcome.fail(path, (path.string() + ": there is not enough memory for it").c_str());
  } catch (const std::exception& e) {
    outcome.fail(path, e.what());
  }
}

/// The images of the inputs, and on stderr what is left out of them.
Outcome find_inputs(const std::vector<std::string>& inputs) {
  Outcome outcome;
  std::vector<InputImages> found;
  std::vector<std::string> left_out;
  for (const std::string& input : inputs)
    attempt(outcome, input, [&] { found.push_back({input, find_images(input, &left_out)}); });
  outcome.images = merge_images(found, left_out);
  report_notes(left_out);
  return outcome;
}

constexpr const char* image_suffixes[] = {".png",     ".tif",     ".tiff",     ".jpg",     ".jpeg",     ".bmp",
                                          "_img.png", "_img.tif", "_img.tiff", "_img.jpg", "_img.jpeg", "_img.bmp"};
constexpr const char* masks_suffixes[] = {"_masks.png", "_masks.tif", "_masks.tiff", "_masks.npy"};

/// Refuses to write over labels that may be the only true ones: such as lie beside an image of their name, or in a
/// folder that was not `filled_before` by this command.
void keep_masks(const ImageFile& image, const fs::path& out, bool filled_before) {
  const auto own = [&] {
    if (!filled_before) return false;
    const auto beside = [&](const char* extension) { return fs::exists(out / (image.stem + extension)); };
    return std::none_of(std::begin(image_suffixes), std::end(image_suffixes), beside);
  };
  for (const char* suffix : masks_suffixes)
    if (const fs::path masks = out / (image.stem + suffix); fs::exists(masks) && !own())
      refuse(masks.string(), ": is there already, and may hold true labels; give another --out");
}

/// The files of one image. Those that were written are removed again unless all are, so that a failed image leaves
/// nothing behind.
class ImageFiles {
 public:
  explicit ImageFiles(fs::path base) : base_(std::move(base)) {}
  ~ImageFiles() {
    std::error_code none;
    for (const fs::path& file : written_)
      fs::remove(file, none);
  }
  ImageFiles(const ImageFiles&) = delete;
  ImageFiles& operator=(const ImageFiles&) = delete;

  template <class F>
  void write(const std::string& suffix, F f) {
    const fs::path file = base_.string() + suffix;
    f(file);
    written_.push_back(file);
  }
  void keep() { written_.clear(); }
  /// Of what an earlier run wrote under several suffixes one stays.
  template <size_t N>
  void remove_others(const char* const (&suffixes)[N], const std::string& kept) {
    std::error_code none;
    for (const char* suffix : suffixes)
      if (suffix != kept) fs::remove(base_.string() + suffix, none);
  }

 private:
  fs::path base_;
  std::vector<fs::path> written_;
};

/// What segmentation of every image needs.
struct Work {
  Exec exec;
  Model model;
  Normalisation norm;
  SegmentOptions options;
  std::optional<Appearance> trained;
  std::set<std::string> save;
  PlaneChoice choice;
};

/// At which scale the network sees images: as asked for, or so that objects of a diameter look like those of the
/// training.
double scale_of(const Options& o, const std::optional<Appearance>& trained) {
  if (o.scale) return *o.scale;
  if (!o.diameter) return 1;
  if (!trained || trained->diameter <= 0)
    refuse("--diameter: ", o.model, " does not say how large the objects of its training were; give --scale");
  return trained->diameter / *o.diameter;
}

/// Throws one sentence for something to be saved that the method does not have.
void check_kinds(const std::set<std::string>& save, const Method& method) {
  std::string kinds = "labels, overlay";
  std::set<std::string> known{"labels", "overlay"};
  for (const MapSpec& map : method.maps())
    known.insert(map.name), kinds += ", " + map.name;
  for (const std::string& kind : save)
    if (!known.contains(kind)) refuse("--save ", kind, ": a model of ", method.name(), " gives ", kinds);
}

/// Segments an image, writes its files and returns the number of objects.
int segment_image(const Work& work, const fs::path& path, ImageFiles& files, Outcome& outcome) {
  Seconds& seconds = outcome.seconds;
  const double start = clock_seconds();
  const Source source(read_image(path, work.choice), work.model.method->sample_spec().channels, work.norm,
                      path.string());
  outcome.notes.add(path.string(), source.image().notes);
  outcome.converted += source.image().channels != source.channels();
  seconds.read += clock_seconds() - start;
  const auto save = [&](const std::string& what, const std::string& suffix, auto write) {
    const double begin = clock_seconds();
    if (work.save.count(what)) files.write(suffix, write);
    seconds.write += clock_seconds() - begin;
  };
  const auto save_maps = [&](const Maps& maps) {
    for (const auto& [name, map] : maps.tensors)
      save(name, "_" + name + ".npy", [&](const fs::path& file) { save_map(work.exec, file, map); });
  };
  const Model& model = work.model;
  const Segmentation s = with_name(path.string(), [&] {
    return segment_source(work.exec, *model.method, *model.predictor, source, work.options, save_maps);
  });
  seconds.network += s.network_seconds, seconds.decode += s.decode_seconds;
  const Labels& labels = s.instances.labels;
  save("labels", masks_suffix(labels), [&](const fs::path& file) { write_labels(file, labels); });
  save("overlay", "_overlay.png", [&](const fs::path& file) { write_png(file, overlay(source.image(), labels)); });
  files.keep();
  if (work.save.count("labels")) files.remove_others(masks_suffixes, masks_suffix(labels));
  for (const std::string& remark : remarks_on(source, labels, work.trained, work.options.scale, work.norm))
    outcome.remark(path.string(), remark);
  return labels.count;
}

void run(const Options& o) {
  Work work;
  work.exec = make_exec(o.common);
  work.model = load_model(o.model, work.exec);
  const Method& method = *work.model.method;
  o.settings.apply_to(*work.model.method);
  work.model.predictor = method.predictor(work.exec);  // the maps may depend on the settings
  work.norm = o.norm.empty() ? method.sample_spec().normalisation : parse_normalisation(o.norm);
  work.options.tiling = tiling_of(o);
  check(work.options.tiling, method.sample_spec().multiple);
  resolve_setting("tiling", to_string(work.options.tiling.tiling));
  work.save = {o.save.begin(), o.save.end()};
  check_kinds(work.save, method);
  work.trained = appearance_in(work.model.info);
  work.options.scale = scale_of(o, work.trained);
  work.choice = o.choice;
  if (work.model.info.contains("source"))  // a checkpoint without Basin's description
    std::fprintf(stderr, "basin: %s: holds no settings; normalisation (%s) and decoding are the method's defaults\n",
                 o.model.c_str(), to_string(method.sample_spec().normalisation).c_str());

  Outcome outcome = find_inputs(o.inputs);
  if (outcome.images.empty()) outcome.refuse_failed();
  if (work.save.count("labels")) {
    const bool filled_before = made_by("segment", fs::path(o.out) / "run.json");
    for (const ImageFile& image : outcome.images)
      keep_masks(image, o.out, filled_before);
  }
  make_folder(o.out);
  for (const ImageFile& image : outcome.images)
    attempt(outcome, image.path, [&] {
      if (image.stem.find('/') != std::string::npos)
        fs::create_directories((fs::path(o.out) / image.stem).parent_path());
      ImageFiles files(fs::path(o.out) / image.stem);
      const int objects = segment_image(work, image.path, files, outcome);
      std::printf("%s: %s\n", image.path.string().c_str(), counted(objects, "object").c_str());
      std::fflush(stdout);
      ++outcome.done;
    });
  report_notes(outcome.notes.lines());
  report_converted(outcome.converted, method.sample_spec().channels);
  const Seconds& s = outcome.seconds;
  std::printf("%s: read %.3f s, network %.3f s, decode %.3f s, write %.3f s\n",
              counted(int64_t(outcome.done), "image").c_str(), s.read, s.network, s.decode, s.write);
  write_run_json(fs::path(o.out) / "run.json",
                 {{"images", outcome.done},
                  {"converted", outcome.converted},
                  {"failed", outcome.failed},
                  {"remarks", outcome.remarks},
                  {"scale", work.options.scale},
                  {"model_fingerprint", fingerprint_of_file(o.model)},
                  {"config", method.config()},
                  {"norm", to_string(work.norm)},
                  {"seconds", {{"read", s.read}, {"network", s.network}, {"decode", s.decode}, {"write", s.write}}}});
  if (!outcome.failed.empty()) outcome.refuse_failed();
}

}  // namespace

void add_segment(Command& program) {
  Command command = program.subcommand("segment", "segment images with a trained model");
  auto o = std::make_shared<Options>();
  command.add("INPUT", o->inputs, "images, or folders of images").required();
  command.add("--model", o->model, "a .safetensors file").required();
  command.add("--out", o->out, "folder for what is written").required();
  command.add("--save", o->save, "labels, overlay, or a map of the network, such as field and logit").list().shown();
  command.add(
      "--tiling", o->tiling,
      "how images are cut for the network: fit takes the whole image, or as few pixels as give the same result; "
      "exact gives the same result by tiles of --tile; dynamic, pad and resize average overlapping tiles, as "
      "published; default: fit, or dynamic with --tile or --overlap");
  command.add("--tile", o->tile, "side of a tile; default: 256").positive();
  command.add("--overlap", o->overlap, "pixels that neighbouring tiles share in dynamic, pad and resize; default: 50")
      .not_negative();
  const Option scale =
      command.add("--scale", o->scale, "at which the network sees images: 0.5 shows them half as wide and high")
          .within(0.01, 100.);
  command
      .add("--diameter", o->diameter,
           "typical diameter of the objects in pixels: images are scaled so that they look like those of the training")
      .within(0.5, 100000.)
      .excludes(scale);
  command.add("--norm", o->norm, "divide, percentile:LOW,HIGH or none; default: the model's");
  o->settings.add_to(command, {Setting::Use::decoding}, "the model's");
  add_plane_options(command, o->choice);
  add_precision_option(command, o->common);
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools
