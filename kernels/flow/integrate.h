#pragma once
#include <string>

#include "kernels/runtime/enum_names.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

enum class Solver { euler, midpoint, rk4, dopri5 };
enum class Interpolation { bilinear, nearest };
/// Damps the flow so that points gather (Euler only). paper (Cutler et al. 2022): step n, at t = n * step, is divided
/// by 1 + t. omnipose, as in Omnipose's code: the velocity is first averaged with that of the previous step.
enum class Suppression { none, paper, omnipose };

/// The names of the values in options and files.
inline constexpr std::pair<Solver, const char*> solvers[] = {
    {Solver::euler, "euler"}, {Solver::midpoint, "midpoint"}, {Solver::rk4, "rk4"}, {Solver::dopri5, "dopri5"}};
inline constexpr std::pair<Interpolation, const char*> interpolations[] = {{Interpolation::bilinear, "bilinear"},
                                                                           {Interpolation::nearest, "nearest"}};
inline constexpr std::pair<Suppression, const char*> suppressions[] = {
    {Suppression::none, "none"}, {Suppression::paper, "paper"}, {Suppression::omnipose, "omnipose"}};

/// The values with these names; an unknown name throws one sentence that lists them.
Solver parse_solver(const std::string&);
Interpolation parse_interpolation(const std::string&);
Suppression parse_suppression(const std::string&);

constexpr int field_side_limit = 1 << 22;  // height and width of a field are below this, and H * W is below 2^31

struct IntegrateOptions {
  Solver solver = Solver::euler;
  Interpolation interpolation = Interpolation::bilinear;
  double step = 0.1;        // displacement in pixels = field * step; dopri5: the first step tried
  int steps = 25;           // dopri5 integrates to step * steps, with adaptive steps
  double tolerance = 1e-2;  // dopri5: the largest error of a step, in pixels
  Suppression suppression = Suppression::none;
};

/// Throws one sentence if options contradict each other.
void check(const IntegrateOptions&);

/// The position of a field that is a part of the field of an image of height x width pixels: its first pixel is (y, x).
/// A height of 0: it is the whole field.
struct FieldWindow {
  int y = 0, x = 0, height = 0, width = 0;
};

/// How far, in pixels, the samples and the end of a trajectory can be from its start along either axis, rounding
/// included, if no component of the field is larger than `largest` in magnitude and no side of the image longer than
/// `side`.
double reach(const IntegrateOptions&, double largest, int side);

/// Moves points through a vector field: p' = F(p). field [2, H, W] contains x and y components in pixels per unit of
/// time; points [N, 2] are (x, y), moved in place. A sample outside the image is that of the nearest border pixel;
/// points themselves may leave the image. bilinear as in kernels/flow/bilinear.h; nearest rounds half to even. A NaN
/// coordinate samples row or column 0 and stays NaN.
///
/// euler, midpoint, rk4 (classical) take `steps` steps of length `step`. dopri5 (Dormand and Prince 1980) adapts its
/// step to each point: a trial is accepted if the orders 5 and 4 differ by at most the tolerance in both coordinates; h
/// *= 0.9 (tolerance / error)^(1/5) within [0.2, 5], h within [1e-3, 1]; after 200 trials a point stops where it is.
///
/// All arithmetic is in T. Points are independent, so the same bits at any number of threads and with any instruction
/// set. Points whose `mask` [N], if given, is 0 do not move. If the field is a window of a larger one, points are given
/// and returned in the whole image, with the same bits as for the whole field. Each must be further than reach() from
/// the sides of the window that are not sides of the image; otherwise samples lie outside the memory of the field.
template <class T>
void integrate(const Exec&, View<const T, 3> field, View<T, 2> points, const IntegrateOptions& = {},
               View<const uint8_t, 1> mask = {}, const FieldWindow& = {});

}  // namespace basin::kernels
