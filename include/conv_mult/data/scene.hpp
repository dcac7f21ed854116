#pragma once

#include <ATen/core/Tensor.h>

#include "conv_mult/config.hpp"

namespace conv_mult {

/// Two images and their element-wise (Hadamard) product, the target.
struct Scene {
  at::Tensor a;       // [1, 1, H, W]
  at::Tensor b;       // [1, 1, H, W]
  at::Tensor target;  // [1, 1, H, W] = a * b

  /// The network's input: a and b as its two channels.
  at::Tensor input() const;  // [1, 2, H, W]
};

/// Zeros with one filled rectangle each, on the CPU. The rectangles lie inside the image.
Scene make_rectangles(const SceneConfig& config, at::ScalarType dtype);

/// L2 norm of a * b: |value a * value b| times the root of the pixels where the two overlap.
double target_norm(const SceneConfig& config);

/// Any two images of one size, [1, 1, H, W].
Scene make_scene(const at::Tensor& a, const at::Tensor& b);

}  // namespace conv_mult
