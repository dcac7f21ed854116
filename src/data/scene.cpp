#include "conv_mult/data/scene.hpp"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace conv_mult {
namespace {

at::Tensor filled_rectangle(const SceneConfig& scene, const Rectangle& r, at::ScalarType dtype) {
  auto image = at::zeros({1, 1, scene.height, scene.width}, dtype);
  image.narrow(2, r.top, r.height).narrow(3, r.left, r.width).fill_(r.value);
  return image;
}

}  // namespace

at::Tensor encode(const Scene& scene, Encoding encoding) {
  auto plain = at::cat({scene.a, scene.b}, 1);
  const auto logarithm = [&] { return (plain.abs() + 1e-7).log(); };
  switch (encoding) {
    case Encoding::plain:
      break;
    case Encoding::logarithm:
      return logarithm();
    case Encoding::plain_logarithm:
      return at::cat({plain, logarithm()}, 1);
    case Encoding::marked:
      return at::cat({plain, at::ones_like(plain)}, 1);
    case Encoding::polar:
      return at::cat({plain.abs() + static_cast<double>(std::numeric_limits<float>::epsilon()),
                      at::ones_like(plain), plain.lt(0).to(plain.scalar_type())},
                     1);
  }
  return plain;
}

double target_norm(const SceneConfig& config) {
  const auto common = [](std::int64_t begin, std::int64_t size, std::int64_t other, std::int64_t other_size) {
    return std::max<std::int64_t>(0, std::min(begin + size, other + other_size) - std::max(begin, other));
  };
  const auto& a = config.a;
  const auto& b = config.b;
  const std::int64_t pixels =
      common(a.top, a.height, b.top, b.height) * common(a.left, a.width, b.left, b.width);
  return std::abs(a.value * b.value) * std::sqrt(static_cast<double>(pixels));
}

Scene make_scene(const at::Tensor& a, const at::Tensor& b) { return {a, b, a * b}; }

Scene make_noise(const std::vector<Interval>& ranges, std::int64_t pairs, std::int64_t height,
                 std::int64_t width, Random& random, at::ScalarType dtype) {
  double total = 0;
  for (const auto& [low, high] : ranges) {
    total += high - low;
  }
  const auto draw = [&] {
    double along = random.between(0, total);
    auto range = ranges.begin();
    for (; range + 1 != ranges.end() && along >= range->high - range->low; ++range) {
      along -= range->high - range->low;
    }
    return range->low + along;
  };
  auto images = at::empty({pairs, 2, height, width}, at::kDouble);
  std::generate_n(images.data_ptr<double>(), images.numel(), draw);
  images = images.to(dtype);
  return make_scene(images.narrow(1, 0, 1), images.narrow(1, 1, 1));
}

Scene make_rectangles(const SceneConfig& config, at::ScalarType dtype) {
  return make_scene(filled_rectangle(config, config.a, dtype), filled_rectangle(config, config.b, dtype));
}

}  // namespace conv_mult
