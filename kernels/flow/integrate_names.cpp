#include "kernels/flow/integrate.h"

namespace basin::kernels {

Solver parse_solver(const std::string& text) { return value_in(solvers, "solver", text); }
Interpolation parse_interpolation(const std::string& text) { return value_in(interpolations, "interpolation", text); }
Suppression parse_suppression(const std::string& text) { return value_in(suppressions, "suppression", text); }

void check(const IntegrateOptions& options) {
  if (options.suppression != Suppression::none && options.solver != Solver::euler)
    refuse("suppression ", name_in(suppressions, options.suppression), " works only with the solver euler, not with ",
           name_in(solvers, options.solver));
}

}  // namespace basin::kernels
