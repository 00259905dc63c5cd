#include "kernels/integrate.h"

namespace basin::kernels {
namespace {

constexpr std::pair<Solver, const char*> solvers[] = {
    {Solver::euler, "euler"}, {Solver::midpoint, "midpoint"}, {Solver::rk4, "rk4"}, {Solver::dopri5, "dopri5"}};
constexpr std::pair<Interpolation, const char*> interpolations[] = {{Interpolation::bilinear, "bilinear"},
                                                                    {Interpolation::nearest, "nearest"}};

}  // namespace

Solver parse_solver(const std::string& text) {
  for (const auto& [solver, name] : solvers)
    if (text == name) return solver;
  refuse("solver ", text, ": expected euler, midpoint, rk4 or dopri5");
}

std::string to_string(Solver solver) {
  for (const auto& [s, name] : solvers)
    if (s == solver) return name;
  BASIN_CHECK(false, "solver ", int(solver));
  return {};
}

Interpolation parse_interpolation(const std::string& text) {
  for (const auto& [interpolation, name] : interpolations)
    if (text == name) return interpolation;
  refuse("interpolation ", text, ": expected bilinear or nearest");
}

std::string to_string(Interpolation interpolation) {
  for (const auto& [i, name] : interpolations)
    if (i == interpolation) return name;
  BASIN_CHECK(false, "interpolation ", int(interpolation));
  return {};
}

}  // namespace basin::kernels
