#pragma once

#include "conv_mult/config.hpp"
#include "conv_mult/data/dataset.hpp"

namespace conv_mult {

/// The best affine function of the receptive field and its loss.
struct AffineOptimum {
  at::Tensor weight;  // float64 [2 * K * K], in the order of Conv2d's weight; of all optima the shortest
  double bias = 0;
  double loss = 0;  ///< L2 norm of the residual; 0 where only rounding is left of it, NaN where data overflow
};

/// Linear least squares in float64 over every receptive field: QR in blocks of rows (bounded memory, and no
/// squared condition number as with the normal equations), then LAPACK's gelsd, which is exact for
/// rank-deficient problems too (a column that is constant or repeated, a K larger than the image).
AffineOptimum best_affine(const Dataset& data, std::int64_t kernel_size);

/// The infimum of the L2 loss over all weights of
///   baseline: attained, see best_affine;
///   exp, on a scene of two rectangles: ||min(target, 0)||, approached as the weights grow without bound.
///     With both centre weights large the output goes to 0 wherever a or b is 0 and to any positive constant
///     on the overlap; exp > 0 can do no better where the target is negative.
double loss_floor(Variant variant, const Dataset& data, std::int64_t kernel_size);

}  // namespace conv_mult
