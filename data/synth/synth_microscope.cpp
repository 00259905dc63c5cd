#include "data/synth/synth_microscope.h"

#include <algorithm>
#include <cmath>

namespace basin::synth {
namespace {

/// Squared distance from the cell's spine, from the thickness of a round cell.
double from_spine(const Scene& scene, size_t p) {
  const double half = scene.thickness[p] / 2, radius = scene.radius[p];
  return std::max(0.0, radius * radius - half * half);
}

/// A blur of this sigma leaves so little detail that one sample per step x step px holds it.
int coarse_step(double sigma) { return std::max(1, int(sigma / 3)); }

/// [height][width] by bilinear interpolation of samples that are each the mean of step x step px.
Plane enlarge(const Plane& coarse, int height, int width, int step) {
  const int h = coarse.height, w = coarse.width;
  Plane out{height, width, std::vector<float>(size_t(height) * size_t(width))};
  for (int y = 0; y < height; ++y) {
    const double v = std::clamp((y + 0.5) / step - 0.5, 0.0, double(h - 1));
    const int v0 = std::min(int(v), std::max(0, h - 2)), v1 = std::min(v0 + 1, h - 1);
    const float* const top = &coarse.at[size_t(v0) * size_t(w)];
    const float* const bottom = &coarse.at[size_t(v1) * size_t(w)];
    const float fy = float(v - v0);
    for (int x = 0; x < width; ++x) {
      const double u = std::clamp((x + 0.5) / step - 0.5, 0.0, double(w - 1));
      const int u0 = std::min(int(u), std::max(0, w - 2)), u1 = std::min(u0 + 1, w - 1);
      const float fx = float(u - u0);
      out.at[size_t(y) * size_t(width) + size_t(x)] =
          (1 - fy) * ((1 - fx) * top[u0] + fx * top[u1]) + fy * ((1 - fx) * bottom[u0] + fx * bottom[u1]);
    }
  }
  return out;
}

/// Like smooth_noise, but on a coarser grid if sigma is large.
Plane cloud(const Scene& scene, double sigma, Random& random) {
  const int step = coarse_step(sigma), h = (scene.height + step - 1) / step, w = (scene.width + step - 1) / step;
  Plane coarse = smooth_noise(h, w, sigma / step, random);
  return step == 1 ? coarse : enlarge(coarse, scene.height, scene.width, step);
}

/// 1 + amount times noise with structure at a third of a cell's radius and at the whole radius.
Plane grain(const Specimen& specimen, double amount, Random& random) {
  const Scene& scene = specimen.scene;
  Plane out = cloud(scene, std::max(0.7, 0.3 * specimen.radius), random);
  const Plane coarse = cloud(scene, std::max(1.0, 0.9 * specimen.radius), random);
  for (size_t p = 0; p < out.at.size(); ++p)
    out.at[p] = float(std::max(0.1, 1 + amount * (out.at[p] + 0.7 * coarse.at[p])));
  return out;
}

/// The phase of everything; 1 in the middle of a typical cell.
Plane phase_of(const Specimen& specimen, const Plane& body, double spread, double nucleoid, double texture,
               Random& random) {
  const Scene& scene = specimen.scene;
  const std::vector<float> factor = factors(scene.count, spread, random);
  const Plane structure = grain(specimen, texture, random);
  Plane out{scene.height, scene.width, std::vector<float>(body.at.size())};
  const float nuclear = float(nucleoid / (2 * specimen.radius));
  for (size_t p = 0; p < out.at.size(); ++p) {
    const float inside = body.at[p] * structure.at[p] + nuclear * specimen.nucleoid.at[p];
    out.at[p] = std::max(0.f, inside) * factor[size_t(scene.ids[p])] + specimen.backdrop.at[p];
  }
  return out;
}

/// Unevenness of agarose or plastic: fine and coarse, standard deviation about 1.
Plane agar(const Scene& scene, double radius, Random& random) {
  Plane out = cloud(scene, 1.5, random);
  const Plane coarse = cloud(scene, 2 * radius, random);
  for (size_t p = 0; p < out.at.size(); ++p)
    out.at[p] = 0.6f * out.at[p] + 0.8f * coarse.at[p];
  return out;
}

}  // namespace

Plane cytosol(const Scene& scene, double radius, double envelope, double flatness) {
  Plane out{scene.height, scene.width, std::vector<float>(scene.thickness.size())};
  for (size_t p = 0; p < out.at.size(); ++p) {
    if (scene.ids[p] == 0) continue;
    const double r = scene.radius[p], inner = r - std::min(envelope, 0.5 * r);
    const double relative = 1 - from_spine(scene, p) / (inner * inner);
    if (relative > 0) out.at[p] = float(inner / radius * std::pow(relative, flatness / 2));
  }
  return out;
}

Plane wide_blur(const Plane& in, double sigma) {
  const int step = coarse_step(sigma);
  if (step < 2) return blur(in, sigma);
  const int h = (in.height + step - 1) / step, w = (in.width + step - 1) / step;
  Plane coarse{h, w, std::vector<float>(size_t(h) * size_t(w))};
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const int y1 = std::min(in.height, (y + 1) * step), x1 = std::min(in.width, (x + 1) * step);
      double sum = 0;
      for (int v = y * step; v < y1; ++v)
        for (int u = x * step; u < x1; ++u)
          sum += double(in.at[size_t(v) * size_t(in.width) + size_t(u)]);
      coarse.at[size_t(y) * size_t(w) + size_t(x)] = float(sum / ((y1 - y * step) * (x1 - x * step)));
    }
  return enlarge(blur(coarse, sigma / step), in.height, in.width, step);
}

Plane ring_phase_contrast(const Specimen& specimen, const RingOptics& optics, Random& random) {
  const Scene& scene = specimen.scene;
  const Plane body = cytosol(scene, specimen.radius, optics.envelope, optics.flatness);
  const Plane phase = phase_of(specimen, body, optics.spread, optics.nucleoid, optics.texture, random);
  const Plane uneven = agar(scene, specimen.radius, random);
  // The field is 1 + re + i im.
  Plane re{scene.height, scene.width, std::vector<float>(phase.at.size())}, im = re;
  for (size_t p = 0; p < phase.at.size(); ++p) {
    const double delay = optics.phase * phase.at[p] + optics.agar * uneven.at[p];
    re.at[p] = float(std::cos(delay) - 1), im.at[p] = float(std::sin(delay));
  }
  re = blur(re, optics.psf), im = blur(im, optics.psf);
  const Plane re_narrow = wide_blur(re, optics.narrow), re_wide = wide_blur(re, optics.wide);
  const Plane im_narrow = wide_blur(im, optics.narrow), im_wide = wide_blur(im, optics.wide);
  const double c = optics.ring * std::cos(optics.shift), s = optics.ring * std::sin(optics.shift);
  Plane out = re;
  for (size_t p = 0; p < out.at.size(); ++p) {
    const double low_re = 1 + optics.passed * ((1 - optics.share) * re_narrow.at[p] + optics.share * re_wide.at[p]);
    const double low_im = optics.passed * ((1 - optics.share) * im_narrow.at[p] + optics.share * im_wide.at[p]);
    const double a = 1 + re.at[p] - low_re + c * low_re - s * low_im;
    const double b = im.at[p] - low_im + s * low_re + c * low_im;
    out.at[p] = float((a * a + b * b) / (optics.ring * optics.ring));
  }
  return out;
}

Plane bright_field(const Specimen& specimen, const BrightFieldOptics& optics, Random& random) {
  const Scene& scene = specimen.scene;
  const Plane body = cytosol(scene, specimen.radius, optics.envelope, 1);
  const Plane phase = phase_of(specimen, body, optics.spread, 0, optics.texture, random);
  const Plane uneven = agar(scene, specimen.radius, random);
  const double sigma = std::sqrt(optics.psf * optics.psf + optics.scale * optics.scale);
  const Plane sharp = blur(phase, optics.psf), middle = blur(phase, sigma), wide = wide_blur(phase, 2.2 * sigma);
  Plane out = sharp;
  for (size_t p = 0; p < out.at.size(); ++p) {
    const double curvature = (sharp.at[p] - middle.at[p]) - 0.35 * (middle.at[p] - wide.at[p]);
    out.at[p] = float(
        std::max(0.02, 1 + optics.defocus * curvature - optics.absorption * sharp.at[p] + optics.agar * uneven.at[p]));
  }
  return out;
}

Plane stained(const Specimen& specimen, const StainOptics& optics, Random& random) {
  const Scene& scene = specimen.scene;
  const Plane body = cytosol(scene, specimen.radius, optics.envelope, optics.flatness);
  const Plane structure = grain(specimen, optics.texture, random);
  const std::vector<float> factor = factors(scene.count, optics.spread, random);
  const Plane uneven = agar(scene, 2 * specimen.radius, random);
  Plane dye{scene.height, scene.width, std::vector<float>(body.at.size())};
  for (size_t p = 0; p < dye.at.size(); ++p) {
    double amount = optics.cytosol * body.at[p] + optics.nucleoid * specimen.nucleoid.at[p] / (2 * specimen.radius);
    if (optics.membrane > 0 && scene.ids[p] != 0) {
      const double r = scene.radius[p], outer = r - std::min(optics.envelope, 0.5 * r);
      const double inner = std::max(0.0, outer - optics.shell), d2 = from_spine(scene, p);
      const double shell = std::sqrt(std::max(0.0, outer * outer - d2)) - std::sqrt(std::max(0.0, inner * inner - d2));
      // A shell of this thickness is at most sqrt(outer^2 - inner^2) deep, which is scaled to 1.
      amount += optics.membrane * shell / std::sqrt(std::max(1e-6, outer * outer - inner * inner));
    }
    dye.at[p] = float(amount * structure.at[p] * factor[size_t(scene.ids[p])]) + specimen.backdrop.at[p];
  }
  const Plane sharp = blur(dye, optics.psf), wide = wide_blur(dye, optics.haze_sigma);
  Plane out = sharp;
  for (size_t p = 0; p < out.at.size(); ++p) {
    const double light = (1 - optics.haze) * sharp.at[p] + optics.haze * wide.at[p];
    out.at[p] = float(std::max(0.0, light + optics.background * std::max(0.1, 1 + 0.12 * uneven.at[p])));
  }
  return out;
}

}  // namespace basin::synth
