#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// Region growing from W-Net's seeds. An embedding is [H, W, C] here, as written by smooth_embedding().
namespace basin::kernels {

/// directions [seeds + 1, C]: row s is the mean of the embeddings of seed s, divided by its length, or zeros; row 0 is
/// zeros. pixels [P] lists the pixels y * W + x of all seeds, those of seed s from first[s - 1] to first[s] - 1; first
/// [seeds + 1] begins with 0. Sums are in double, in the order of the list.
void seed_directions(const Exec&, View<const float, 3> embedding, View<const int32_t, 1> pixels,
                     View<const int32_t, 1> first, View<float, 2> directions);

/// Grows the labels [H, W] of seeds: a pixel takes the largest label among the 3 x 3 pixels around it if that differs
/// from its own and the cosine between its embedding and this seed's direction is above min_cosine. All pixels are
/// updated at once, until none changes. A label may thus replace a lower one. The same on any device at any thread
/// count.
void grow_regions(const Exec&, View<const float, 3> embedding, View<const float, 2> directions, double min_cosine,
                  View<int32_t, 2> labels);

}  // namespace basin::kernels
