#pragma once
#include <string>

#include "kernels/cluster/mask_points.h"
#include "kernels/runtime/enum_names.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The rule for noise points (label < 0):
///   none      They stay noise.
///   majority  Each gets the most frequent label of the 5 nearest points that are not noise, or of all such points if
///             there are fewer; of equally frequent labels the smallest. If all points are noise, they stay noise.
///   omnipose  As in Omnipose's code: each gets the label of the nearest point that is not noise among its 5 nearest
///             points, if that is nearer than eps; otherwise it stays noise.
enum class NoiseRule { none, majority, omnipose };
inline constexpr std::pair<NoiseRule, const char*> noise_rules[] = {
    {NoiseRule::none, "none"}, {NoiseRule::majority, "majority"}, {NoiseRule::omnipose, "omnipose"}};

/// The rule with this name in options and files; an unknown name throws one sentence that lists the rules.
NoiseRule parse_noise_rule(const std::string&);
std::string to_string(NoiseRule);

/// Applies the rule. Distances are compared as d^2 in double on the given coordinates; of equally distant points the
/// one with the smaller index counts as nearer. Throws if a coordinate is NaN or infinite. The result is the same on
/// any device at any thread count. Only omnipose uses `eps`, that of DBSCAN.
template <class T>
void snap_noise(const Exec&, View<const T, 2> points /*[N, 2]*/, NoiseRule, double eps,
                View<int32_t, 1> labels /*[N], in and out*/);

/// The same for the unmasked points only, without a round trip to the host; PointGrid<T>::fits(box, eps, N) must hold.
/// Labels of the others do not change.
template <class T>
void snap_noise(const Exec&, View<const T, 2> points, const MaskedPoints&, NoiseRule, double eps,
                View<int32_t, 1> labels);

}  // namespace basin::kernels
