#include "conv_mult/data/scene.hpp"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

namespace conv_mult {
namespace {

at::Tensor filled_rectangle(const SceneConfig& scene, const Rectangle& r, at::ScalarType dtype) {
  auto image = at::zeros({1, 1, scene.height, scene.width}, dtype);
  image.narrow(2, r.top, r.height).narrow(3, r.left, r.width).fill_(r.value);
  return image;
}

}  // namespace

at::Tensor Scene::input() const { return at::cat({a, b}, 1); }

double target_norm(const SceneConfig& config) {
  const auto common = [](std::int64_t begin, std::int64_t size, std::int64_t other, std::int64_t other_size) {
    return std::max<std::int64_t>(0, std::min(begin + size, other + other_size) - std::max(begin, other));
  };
  const auto& [height, width, a, b] = config;
  const std::int64_t pixels =
      common(a.top, a.height, b.top, b.height) * common(a.left, a.width, b.left, b.width);
  return std::abs(a.value * b.value) * std::sqrt(static_cast<double>(pixels));
}

Scene make_scene(const at::Tensor& a, const at::Tensor& b) { return {a, b, a * b}; }

Scene make_rectangles(const SceneConfig& config, at::ScalarType dtype) {
  return make_scene(filled_rectangle(config, config.a, dtype), filled_rectangle(config, config.b, dtype));
}

}  // namespace conv_mult
