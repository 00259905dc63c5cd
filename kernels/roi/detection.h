#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// Targets and losses of a network that finds objects by their centres (Zhou et al., Objects as Points, 2019; Yi et
/// al., Object-Guided Instance Segmentation, IEEE TMI 40 (2021)). Maps are `down` = 4 times smaller than the image.
namespace basin::kernels {

constexpr int detection_down = 4;

/// The distance, in whole pixels of the map, by which a box of this size can be moved and still overlap the object's
/// box with IoU .7, as estimated by CornerNet (Law, Deng, ECCV 2018).
int centre_radius(int height, int width);

/// For up to K objects in each of N images, box [N, K, 4] = centre x, y, width, height in px of the image and count [N]
/// of them, at most K: heat [N, 1, h, w]: the greatest exp(-r^2 / (2 sigma^2)) of any object whose cell is within its
/// radius in x and in y, sigma = (2 radius + 1) / 6; 1 at the cells of centres. cell [N, K]: y * w + x of the centre's
/// cell, -1 without an object. size, offset [N, K, 2]: width and height, and the position of the centre within the
/// cell, in px of the map; 0 without an object.
template <class T>
void detection_targets(const Exec&, View<const float, 3> box, View<const int32_t, 1> count, View<T, 4> heat,
                       View<int32_t, 2> cell, View<T, 3> size, View<T, 3> offset);

/// Focal loss of centre maps from logits [N, 1, h, w]: with p = sigmoid(logit) clamped to [1e-4, 1 - 1e-4], value =
/// -(sum over heat = 1 of (1 - p)^2 log p + sum over the rest of (1 - heat)^4 p^2 log(1 - p)) / max(Q, 1), Q the number
/// of cells of heat 1. sums [2] in device memory receives the sum and Q for the backward pass. No gradient where p is
/// clamped. d_logit is overwritten, or added to if `accumulate`.
template <class T>
void centre_focal_loss(const Exec&, View<const T, 4> logit, View<const T, 4> heat, double* sums, T* value);
template <class T>
void centre_focal_loss_backward(const Exec&, View<const T, 4> logit, View<const T, 4> heat, const double* sums,
                                const T* d_value, View<T, 4> d_logit, bool accumulate);

/// value = sum over objects and both channels of |map at the object's cell - target| / (2 objects + 1e-4), map [N, 2,
/// h, w], cell [N, K], target [N, K, 2]. sums [2]: the sum and the number of objects. The backward pass adds to d_map,
/// because several objects may be in one cell.
template <class T>
void cell_l1_loss(const Exec&, View<const T, 4> map, View<const int32_t, 2> cell, View<const T, 3> target, double* sums,
                  T* value);
template <class T>
void cell_l1_loss_backward(const Exec&, View<const T, 4> map, View<const int32_t, 2> cell, View<const T, 3> target,
                           const double* sums, const T* d_value, View<T, 4> d_map);

/// value = (sum over segments of the mean binary cross-entropy of sigmoid(logit) against truth in [0, 1]) / terms.
/// logit and truth [n]; segment s is [before[s], before[s + 1]), before [S + 1], before[S] = n; an empty one counts as
/// 0.
template <class T>
void segment_bce_loss(const Exec&, View<const T, 1> logit, View<const T, 1> truth, View<const int32_t, 1> before,
                      double terms, T* value);
template <class T>
void segment_bce_loss_backward(const Exec&, View<const T, 1> logit, View<const T, 1> truth,
                               View<const int32_t, 1> before, double terms, const T* d_value, View<T, 1> d_logit,
                               bool accumulate);

}  // namespace basin::kernels
