#include "data/checks/training_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "data/dataset/order_statistics.h"
#include "engine/text.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr int64_t stray_area = 4;      // objects of fewer pixels are most likely stray
constexpr double few_pixels = 5;       // a diameter below which a network hardly sees a shape, px
constexpr double usual_diameter = 30;  // px: what the methods were made for
constexpr double wide_diameter = 50;   // px: from here on a smaller scale is quicker and usually better
constexpr double dark = 0.05;          // of the range of a type
constexpr double same_size = 1.01;     // ratio up to which two pixel sizes are taken for the same
constexpr double many = 0.01;          // share of the objects from which on a note becomes a warning

// The files of a pair as messages name them.
std::string image_file(const CheckedPair& p) { return p.pair.image.string() + plane_suffix(p.pair); }
std::string label_file(const CheckedPair& p) { return labels_path(p.pair).string() + plane_suffix(p.pair); }

constexpr size_t max_notes = 3;  // files that are named of each kind of note

/// "3 of 52 objects (5.8 %)"
std::string share_text(int64_t n, int64_t of) {
  return fmt::format("{} of {} object{} ({:.1f} %)", n, of, of == 1 ? "" : "s", 100 * double(n) / double(of));
}

/// A positive number rounded to one significant digit, never with an exponent: "0.3", "10".
std::string one_digit(double value) {
  const double unit = std::pow(10, std::floor(std::log10(value)));
  return fmt::format("{:g}", std::round(value / unit) * unit);
}

class Checker {
 public:
  Checker(const std::vector<CheckedPair>& pairs, const CheckOptions& options) : pairs_(pairs), o_(options) {}

  std::vector<Finding> run() {
    for (const CheckedPair& p : pairs_) {
      if (p.image) check_image(p, *p.image);
      if (p.labels) check_labels(p, *p.labels);
    }
    check_channels_of_all();
    check_types();
    check_pixel_sizes();
    check_duplicates();
    check_objects();
    if (o_.limits.in_crop > 0) check_crowded_images();
    if (o_.resized_to > 0) check_resized_objects();
    return std::move(found_);
  }

 private:
  void add(Severity severity, const char* kind, std::string file, std::string text, std::string advice) {
    found_.push_back({severity, kind, std::move(file), std::move(text), std::move(advice)});
  }

  void check_image(const CheckedPair& p, const ImageFacts& image) {
    const std::string file = image_file(p);
    if (image.low == image.high)
      return add(Severity::warning, "constant images", file, fmt::format("all pixels have the value {}", image.low),
                 "remove the pair, or save the image again");
    const int bits = int(8 * size_of(image.type));
    if (image.type == PixelType::f32) return;
    if (image.type == PixelType::u16 && image.bits_used > 8 && image.bits_used + 2 < bits)
      add(Severity::note, "bit depth", file, fmt::format("uses {} of {} bits", image.bits_used, bits), too_dark());
    else if (image.type != PixelType::u8 && image.bits_used <= 8)
      add(Severity::note, "bit depth", file, fmt::format("uses {} of {} bits", image.bits_used, bits),
          "fine with --norm percentile:1,99.8; --norm divide is refused");
    const double range = std::exp2(bits) - 1;
    if (image.bright < dark * range)
      add(Severity::note, "nearly black images", file,
          fmt::format("99.8 % of the values are at most {} of {}", image.bright, range), too_dark());
  }

  void check_labels(const CheckedPair& p, const LabelFacts& labels) {
    const std::string file = label_file(p);
    const int64_t n = int64_t(labels.objects.size());
    if (n == 0)
      return add(Severity::warning, "labels without objects", file, "contains no object",
                 "fine if the image shows none; otherwise label it, or remove the pair");
    if (looks_binary(labels))
      return add(Severity::warning, "binary masks", file,
                 fmt::format("a single object in {} pieces", labels.objects[0].pieces),
                 "if each piece is an object, number them with `basin components MASK --out LABELS`");
    if (looks_smoothed(labels))
      add(Severity::warning, "smoothed label borders", file,
          fmt::format("{} of {} border pixels lie between the numbers beside them, as after smoothing",
                      labels.evidence.between, labels.evidence.borders),
          "save labels without anti-aliasing, and resize them by nearest neighbours");
    int64_t split = 0, stray = 0;
    const Piece* smallest = nullptr;
    for (const ObjectFacts& object : labels.objects) {
      stray += object.area < stray_area;
      if (object.pieces < 2) continue;
      ++split;
      if (!smallest || object.smallest.area < smallest->area) smallest = &object.smallest;
    }
    if (split > 0)
      add(Severity::warning, "objects in several pieces", file,
          fmt::format("{} in several pieces; the smallest piece has {} px, at x {}, y {}", share_text(split, n),
                      smallest->area, smallest->x, smallest->y),
          "erase stray pixels, and give pieces that are objects their own numbers; parts of one object may stay");
    if (stray > 0)
      add(Severity::warning, "stray pixels", file,
          fmt::format("{} of fewer than {} px", share_text(stray, n), stray_area),
          "erase them if they are not objects");
  }

  void check_channels_of_all() {
    int wanted = o_.channels;
    if (wanted == 0)
      for (const CheckedPair& p : pairs_)
        if (p.image && !p.validation) wanted = std::max(wanted, p.image->channels);
    if (wanted == 0) return;
    for (const CheckedPair& p : pairs_) {
      if (!p.image || p.image->channels == wanted) continue;
      const std::string file = image_file(p);
      try {
        check_channels({p.image->channels, p.pair.choice.offers_channels, p.image->separate_channels}, wanted, file);
        add(Severity::note, "converted channels", file,
            fmt::format("is {}, but the network will take {} channel{}", p.image->channels == 1 ? "grey" : "RGB",
                        wanted, wanted == 1 ? "" : "s"),
            wanted == 1 ? "it will be converted to grey" : "it will be converted; --channels 1 trains on grey images");
      } catch (const Error& e) {
        add(Severity::error, "channels", "", e.what(), "");
      }
    }
  }

  void check_types() {
    std::set<PixelType> types;
    std::string names;
    for (const CheckedPair& p : pairs_)
      if (p.image && types.insert(p.image->type).second) add_to_list(names, name_of(p.image->type));
    if (types.size() > 1)
      add(Severity::note, "types of pixels", "", "the images have different types of pixels: " + names,
          divides() ? "each is divided by the largest value of its type; --norm percentile:1,99.8 suits any type"
                    : "fine with --norm percentile:1,99.8");
  }

  void check_pixel_sizes() {
    const CheckedPair *finest = nullptr, *coarsest = nullptr;
    int64_t images = 0, known = 0;
    for (const CheckedPair& p : pairs_) {
      if (!p.image || p.validation) continue;
      ++images;
      if (p.image->pixel_size <= 0) continue;
      ++known;
      if (!finest || p.image->pixel_size < finest->image->pixel_size) finest = &p;
      if (!coarsest || p.image->pixel_size > coarsest->image->pixel_size) coarsest = &p;
    }
    if (known == 0) return;
    const double least = finest->image->pixel_size, most = coarsest->image->pixel_size;
    const bool agree = most <= same_size * least;
    const std::string sizes = agree ? fmt::format("the files give {:.4g} um per pixel", least)
                                    : fmt::format("the files give from {:.4g} ({}) to {:.4g} um ({}) per pixel", least,
                                                  image_file(*finest), most, image_file(*coarsest));
    if (o_.pixel_size > 0) {
      if (most > same_size * o_.pixel_size || same_size * least < o_.pixel_size)
        add(Severity::warning, "pixel sizes", "", sizes,
            fmt::format("the model records {:.4g} um, as --pixel-size says", o_.pixel_size));
    } else if (!agree) {
      add(Severity::warning, "pixel sizes", "", sizes,
          "the model records none, so that `segment --pixel-size` cannot be used with it; resize the images to one "
          "pixel size first");
    } else if (known < images) {
      add(Severity::note, "pixel sizes", "",
          fmt::format("{} for {} of {} images, and none for the others", sizes, known, images),
          "the model records none unless `train --pixel-size` gives it");
    }
  }

  void check_duplicates() {
    std::map<std::string, const CheckedPair*> first[2];  // of training and of validation
    for (const CheckedPair& p : pairs_)
      if (p.image) first[p.validation].emplace(p.image->fingerprint, &p);
    for (const CheckedPair& p : pairs_) {
      if (!p.image) continue;
      const CheckedPair* same = first[p.validation].at(p.image->fingerprint);
      if (same != &p) {
        const bool other_labels = p.labels && same->labels && p.labels->fingerprint != same->labels->fingerprint;
        add(Severity::warning, "duplicate images", image_file(p),
            "has the same pixels as " + image_file(*same) + (other_labels ? ", but other labels" : ""),
            "keep one of them");
      }
      if (const auto seen = first[0].find(p.image->fingerprint); p.validation && seen != first[0].end())
        add(Severity::warning, "validation images in the training set", image_file(p),
            "has the same pixels as the training image " + image_file(*seen->second),
            "scores on it will be too high: remove one of them");
    }
  }

  void check_objects() {
    const ObjectSizes sizes = sizes_of(pairs_);
    const int64_t n = int64_t(sizes.diameters.size());
    if (n == 0) {
      const bool any =
          std::any_of(pairs_.begin(), pairs_.end(), [](const CheckedPair& p) { return p.labels && !p.validation; });
      if (any)
        add(o_.needs_objects ? Severity::error : Severity::warning, "no objects", "",
            "no training image contains an object", "label some; otherwise a model learns nothing but background");
      return;
    }
    const auto share = [&](int64_t count) { return count >= many * double(n) ? Severity::warning : Severity::note; };
    const auto above = [](const auto& sorted, double limit) {
      return int64_t(sorted.end() - std::upper_bound(sorted.begin(), sorted.end(), limit));
    };
    const double median = sizes.diameter(0.5) * o_.scale;
    const std::string fitting = one_digit(usual_diameter / sizes.diameter(0.5));
    const int64_t cut = o_.crop > 0 ? above(sizes.lengths, o_.crop / o_.scale) : 0;
    if (cut > 0) {
      const double longest = sizes.lengths[size_t(0.99 * double(n - 1))] * o_.scale;
      const int unit = std::max(32, o_.multiple);
      const int roomy = (int(std::max(longest, o_.crop + 1.0)) + unit - 1) / unit * unit;
      add(share(cut), "large objects", "",
          fmt::format("{} longer than the crop of {} px{}", share_text(cut, n), o_.crop, at_scale()),
          fmt::format("the network never sees them whole: choose a smaller --scale, or --crop {}", roomy));
    }
    const auto small = int64_t(std::lower_bound(sizes.diameters.begin(), sizes.diameters.end(), few_pixels / o_.scale) -
                               sizes.diameters.begin());
    if (small > 0 && o_.resized_to == 0)
      add(share(small), "small objects", "",
          fmt::format("{} less than {} px wide{}", share_text(small, n), few_pixels, at_scale()),
          "they are easily missed: a larger --scale helps if they matter");
    const int reach = o_.limits.reach;
    const int64_t hollow = reach > 0 ? above(sizes.diameters, 2 * reach / o_.scale) : 0;
    if (hollow > 0)
      add(median > wide_diameter ? Severity::warning : Severity::note, "field of vectors", "",
          fmt::format("{} more than {} px wide{}: the field of vectors is 0 farther than {} px from their border",
                      share_text(hollow, n), 2 * reach, at_scale(), reach),
          "if most objects are that large, choose a smaller --scale, or a larger --set " + o_.limits.reach_setting);
    if (o_.resized_to > 0) return;  // such methods have no --scale
    if (median > wide_diameter)
      add(Severity::note, "scale", "",
          fmt::format("half of the objects are wider than {:.0f} px{}", median, at_scale()),
          "--scale " + fitting + " makes training quicker and usually better");
    if (median < usual_diameter / 3)
      add(Severity::note, "scale", "",
          fmt::format("half of the objects are narrower than {:.0f} px{}", median, at_scale()),
          "--scale " + fitting + " may find them better");
  }

  /// The objects of an image with the copies in the mirror images that fill a crop: an estimate, or their exact number
  /// if the image is as large as a crop.
  int64_t with_mirrored(const CheckedPair& p) const {
    const auto n = int64_t(p.labels->objects.size());
    if (!o_.limits.counts_mirrored || !p.image || o_.crop == 0) return n;
    // Mirror images share their outermost pixels with what they mirror; those of one pixel are nothing new.
    const auto times = [&](int side) {
      const double period = std::round(side * o_.scale) - 1;
      return period > 0 ? std::max(1., (o_.crop - 1) / period) : 1;
    };
    return std::llround(double(n) * times(p.image->height) * times(p.image->width));
  }

  /// Finds images of which a crop may have more objects than the loss has room for.
  void check_crowded_images() {
    int64_t most = 0;
    const auto is_crowded = [&](const CheckedPair& p) {
      return p.labels && !p.validation && with_mirrored(p) > o_.limits.in_crop;
    };
    for (const CheckedPair& p : pairs_)
      if (is_crowded(p)) most = std::max(most, with_mirrored(p));
    for (const CheckedPair& p : pairs_) {
      if (!is_crowded(p)) continue;
      const auto n = int64_t(p.labels->objects.size());
      const std::string copies =
          with_mirrored(p) == n
              ? ""
              : fmt::format(", about {} with their mirrored copies in a crop of {} px", with_mirrored(p), o_.crop);
      add(Severity::warning, "crowded images", label_file(p),
          fmt::format("has {} object{}{}, and a crop may have at most {}", n, n == 1 ? "" : "s", copies,
                      o_.limits.in_crop),
          "training stops at a crop with more: " + capacity_advice(most));
    }
  }

  /// Finds objects that a method with boxes leaves out because they are too small in resized images, and images with
  /// too many objects.
  void check_resized_objects() {
    int64_t all = 0, lost = 0;
    for (const CheckedPair& p : pairs_) {
      if (!p.labels || !p.image || p.validation) continue;
      const double factor = double(o_.resized_to) / std::max(p.image->height, p.image->width);
      for (const ObjectFacts& object : p.labels->objects) {
        ++all;
        lost += factor * std::min(object.height, object.width) <= o_.limits.narrow;
      }
      const int limit = o_.limits.in_image;
      if (const size_t n = p.labels->objects.size(); limit > 0 && n > size_t(limit))
        add(Severity::warning, "too many objects", label_file(p),
            fmt::format("has {} objects, of which the method finds at most {}", n, limit),
            "cut the image into smaller ones");
    }
    if (lost > 0)
      add(lost >= many * double(all) ? Severity::warning : Severity::note, "small objects", "",
          fmt::format("{} at most {} px wide or high where images are resized to {} px", share_text(lost, all),
                      o_.limits.narrow, o_.resized_to),
          "most training samples leave them out: give a larger --crop, or cut the images into smaller ones");
  }

  bool divides() const { return o_.normalisation.kind == Normalisation::Kind::divide; }
  std::string too_dark() const {
    return divides() ? "too dark for --norm divide, which training would use; give --norm percentile:1,99.8"
                     : "fine with --norm percentile:1,99.8, but too dark for --norm divide";
  }
  std::string at_scale() const { return o_.scale == 1 ? "" : fmt::format(" at --scale {}", o_.scale); }

  const std::vector<CheckedPair>& pairs_;
  const CheckOptions& o_;
  std::vector<Finding> found_;
};

}  // namespace

const char* name_of(Severity severity) {
  return severity == Severity::note ? "note" : severity == Severity::warning ? "warning" : "error";
}

std::vector<std::string> lines_of(const std::vector<Finding>& findings, size_t max_files) {
  std::vector<std::string> lines;
  for (const Severity severity : {Severity::error, Severity::warning, Severity::note}) {
    std::vector<std::string> kinds;  // in the order of their first finding
    std::map<std::string, std::vector<const Finding*>> of_kind;
    for (const Finding& f : findings) {
      if (f.severity != severity) continue;
      std::vector<const Finding*>& group = of_kind[f.kind + '\n' + f.advice];
      if (group.empty()) kinds.push_back(f.kind + '\n' + f.advice);
      group.push_back(&f);
    }
    for (const std::string& kind : kinds) {
      const std::vector<const Finding*>& group = of_kind[kind];
      const std::string start = name_of(severity) + std::string(": ");
      const auto text = [](const Finding& f) { return (f.file.empty() ? "" : f.file + ": ") + f.text; };
      const std::string advice = group[0]->advice.empty() ? "" : "; " + group[0]->advice;
      if (group.size() == 1) {
        lines.push_back(start + text(*group[0]) + advice);
        continue;
      }
      lines.push_back(start + fmt::format("{}, in {} files{}", group[0]->kind, group.size(), advice));
      const size_t named = severity == Severity::note ? std::min(max_files, max_notes) : max_files;
      for (size_t i = 0; i < std::min(group.size(), named); ++i)
        lines.push_back("  " + text(*group[i]));
      if (group.size() > named) lines.push_back(fmt::format("  and {} more", group.size() - named));
    }
  }
  return lines;
}

std::vector<CheckedPair> read_checked(const std::vector<Pair>& train, const std::vector<Pair>& validation,
                                      const Normalisation& normalisation, std::vector<Finding>& findings,
                                      std::optional<int64_t> ignore) {
  std::vector<CheckedPair> all;
  for (const Pair& pair : train)
    all.push_back({pair, false, {}, {}});
  for (const Pair& pair : validation)
    all.push_back({pair, true, {}, {}});
  std::vector<std::vector<Finding>> errors(all.size());
  std::vector<int> layers_needed(all.size(), 1);
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < all.size(); ++i) {
    CheckedPair& p = all[i];
    try {
      LabelledImage read = read_pair(p.pair, ignore, max_label_layers);
      p.image = facts_of(read.image);
      p.labels = facts_of(read.layers ? *read.layers : read.labels);  // whole objects, where they share pixels
      p.ignored = std::count(read.ignored.ids.begin(), read.ignored.ids.end(), 1);
      for (const std::string& note : read.image.notes)
        errors[i].push_back({Severity::note, note, image_file(p), note, ""});
      for (const std::string& note : read.labels.notes)
        errors[i].push_back({Severity::note, note, label_file(p), note, ""});
      layers_needed[i] = read.layers_needed;
      const int channels = read.image.channels;
      Source(std::move(read.image), channels, normalisation, image_file(p));
    } catch (const std::exception& e) {
      errors[i].push_back({Severity::error, "files that cannot be used", "", e.what(), ""});
    }
  }
  const std::string overlaps = overlap_note(1, layers_needed);
  for (size_t i = 0; i < all.size(); ++i)
    if (layers_needed[i] > 1) errors[i].push_back({Severity::note, overlaps, label_file(all[i]), overlaps, ""});
  for (const std::vector<Finding>& of_pair : errors)
    findings.insert(findings.end(), of_pair.begin(), of_pair.end());
  return all;
}

std::vector<Finding> check(const std::vector<CheckedPair>& pairs, const CheckOptions& options) {
  return Checker(pairs, options).run();
}

std::vector<std::string> training_warnings(const std::vector<Example>& examples, const CheckOptions& options) {
  std::vector<CheckedPair> pairs(examples.size());
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < examples.size(); ++i) {
    const Example& e = examples[i];
    LabelFacts labels = facts_of(e.layered().labels());
    for (ObjectFacts& object : labels.objects)
      object.smallest.y %= e.source.height();  // in its layer
    pairs[i] = {{e.stem, e.stem, {e.stem}, false}, false, facts_of(e.source.image()), std::move(labels)};
  }
  std::vector<Finding> findings = check(pairs, options);
  std::erase_if(findings, [](const Finding& f) { return f.severity != Severity::warning; });
  constexpr size_t named = 3;  // of each kind; `basin check-data` names more
  return lines_of(findings, named);
}

double ObjectSizes::diameter(double share) const {
  std::vector<double> values = diameters;
  return at_share(values, share);
}

ObjectSizes sizes_of(const std::vector<CheckedPair>& pairs) {
  ObjectSizes sizes;
  for (const CheckedPair& p : pairs) {
    if (!p.labels || p.validation) continue;
    for (const ObjectFacts& object : p.labels->objects) {
      sizes.diameters.push_back(equivalent_diameter(double(object.area)));
      sizes.lengths.push_back(std::max(object.height, object.width));
    }
  }
  std::sort(sizes.diameters.begin(), sizes.diameters.end());
  std::sort(sizes.lengths.begin(), sizes.lengths.end());
  return sizes;
}

std::vector<SizeClass> histogram_of(const ObjectSizes& sizes) {
  std::vector<SizeClass> classes;
  for (const double d : sizes.diameters) {
    while (classes.empty() || d >= classes.back().to) {
      const double from = classes.empty() ? std::exp2(std::floor(std::log2(d))) : classes.back().to;
      classes.push_back({from, 2 * from, 0});
    }
    ++classes.back().count;
  }
  return classes;
}

}  // namespace basin
