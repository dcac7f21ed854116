#pragma once
// Scenes that several tests use, and how they compare.

#include <torch/types.h>

#include "conv_mult/data/scene.hpp"

namespace conv_mult {

/// Small, with the overlap at a corner of the image, so that padding matters.
inline Scene small_rectangles(at::ScalarType dtype = at::kDouble) {
  SceneConfig config;
  config.height = 12;
  config.width = 10;
  config.a = {0, 0, 6, 7, 1.5};
  config.b = {2, 0, 9, 4, -0.5};
  return make_rectangles(config, dtype);
}

/// Every pixel of both images drawn uniformly from [-1, 1].
inline Scene random_scene(std::int64_t height, std::int64_t width) {
  torch::manual_seed(7);
  const auto draw = [&] { return torch::rand({1, 1, height, width}, torch::kDouble) * 2 - 1; };
  const auto a = draw();
  return make_scene(a, draw());
}

/// The largest difference, of the largest number of y.
inline double relative_difference(const at::Tensor& x, const at::Tensor& y) {
  return ((x - y).abs().max() / y.abs().max().clamp_min(1e-300)).item<double>();
}

}  // namespace conv_mult
