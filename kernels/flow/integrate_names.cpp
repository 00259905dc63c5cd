#include "kernels/flow/integrate.h"

namespace basin::kernels {
namespace {

template <class E>
struct Named {
  const char* name;
  E value;
};

constexpr Named<Solver> solvers[] = {
    {"euler", Solver::euler}, {"midpoint", Solver::midpoint}, {"rk4", Solver::rk4}, {"dopri5", Solver::dopri5}};
constexpr Named<Interpolation> interpolations[] = {{"bilinear", Interpolation::bilinear},
                                                   {"nearest", Interpolation::nearest}};
constexpr Named<Suppression> suppressions[] = {
    {"none", Suppression::none}, {"paper", Suppression::paper}, {"omnipose", Suppression::omnipose}};

template <class E, size_t n>
E parse(const char* what, const std::string& text, const Named<E> (&all)[n]) {
  std::string names;
  for (const Named<E>& each : all) {
    if (text == each.name) return each.value;
    names += (names.empty() ? "" : ", ") + std::string(each.name);
  }
  refuse(what, " ", text, ": expected one of ", names);
}

template <class E, size_t n>
std::string name_of(E value, const Named<E> (&all)[n]) {
  for (const Named<E>& each : all)
    if (value == each.value) return each.name;
  BASIN_CHECK(false, "value ", int(value));
  return {};
}

}  // namespace

Solver parse_solver(const std::string& text) { return parse("solver", text, solvers); }
Interpolation parse_interpolation(const std::string& text) { return parse("interpolation", text, interpolations); }
Suppression parse_suppression(const std::string& text) { return parse("suppression", text, suppressions); }

void check(const IntegrateOptions& options) {
  if (options.suppression != Suppression::none && options.solver != Solver::euler)
    refuse("suppression ", to_string(options.suppression), " is defined for the solver euler alone, not for ",
           to_string(options.solver));
}

std::string to_string(Solver solver) { return name_of(solver, solvers); }
std::string to_string(Interpolation interpolation) { return name_of(interpolation, interpolations); }
std::string to_string(Suppression suppression) { return name_of(suppression, suppressions); }

}  // namespace basin::kernels
