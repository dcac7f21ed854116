#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/data/random.hpp"

namespace conv_mult {

/// Two images, or S pairs of them, and their element-wise (Hadamard) product, the target.
struct Scene {
  at::Tensor a;       // [S, 1, H, W]
  at::Tensor b;       // [S, 1, H, W]
  at::Tensor target;  // [S, 1, H, W] = a * b
};

/// What the channels are that a model sees of a and b. All are zero-padded at the border.
enum class Encoding {
  plain,            ///< a, b
  logarithm,        ///< log(|a| + 1e-7), log(|b| + 1e-7): padded with 0, the logarithm of 1
  plain_logarithm,  ///< a, b and then both logarithms
  marked,           ///< a, b, 1, 1: the ones tell pixels from padding
  polar             ///< |a| + e, |b| + e with the e of float32, 1, 1, and whether a < 0, b < 0
};

/// The network's input: [S, C, H, W] with 2, 4 or 6 channels.
at::Tensor encode(const Scene& scene, Encoding encoding);

/// Zeros with one filled rectangle each, on the CPU. The rectangles lie inside the image.
Scene make_rectangles(const SceneConfig& config, at::ScalarType dtype);

/// L2 norm of a * b: |value a * value b| times the root of the pixels where the two overlap.
double target_norm(const SceneConfig& config);

/// Any two images of one size, or S pairs of them: [S, 1, H, W].
Scene make_scene(const at::Tensor& a, const at::Tensor& b);

/// `pairs` of images in which every pixel is uniform on the union of `ranges`: first a, then b of each.
Scene make_noise(const std::vector<Interval>& ranges, std::int64_t pairs, std::int64_t height,
                 std::int64_t width, Random& random, at::ScalarType dtype);

}  // namespace conv_mult
