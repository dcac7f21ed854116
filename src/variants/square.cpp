// The quarter square rule, ab = ((a + b)² − (a − b)²) / 4: a convolution of several channels, squared and mixed.

#include "variants/common.hpp"

namespace conv_mult {
/// Exact with the kernels (1, 1) and (1, -1) in the centre, mixed by 1/4 and -1/4.
const Variant variants::square = [] {
  Variant v{"square", "Σ v (Σ w x)²", 0x44AA99, 1, Takes::patches_and_images};
  v.sized = true;
  v.depth = 2;
  v.width = 4;
  v.may_have_bias = true;
  v.parameters = [](const Size& size) {
    return conv2d(size.width, 1, 1, "1.", size.bias, conv2d(2, size.width, size.kernel_size, "0.", size.bias));
  };
  v.output = [](const Weights& weights, const Dataset& data, const Size& size) {
    const auto& mix = weights[size.bias ? 2 : 1];  // [N, 1, C, 1, 1]
    const auto z = convolution(weights, 0, size.bias, data, size);
    const auto sum = (z.unflatten(1, {-1, size.width}).square() * mix.select(1, 0)).sum(2);  // [S, N, H, W]
    return size.bias ? sum + weights[3].unsqueeze(-1) : sum;
  };
  v.exact_width = 2;
  v.solution = [](const Size& size) {
    const auto none = at::zeros({1, size.width - 2, 2, size.kernel_size, size.kernel_size}, at::kDouble);
    const auto kernels = at::cat({at_centre(1, 1, size), at_centre(1, -1, size), none}, 1);
    const auto shares = at::tensor({0.25, -0.25}, at::kDouble).view({1, 1, 2, 1, 1});
    const auto mix = at::constant_pad_nd(shares, {0, 0, 0, 0, 0, size.width - 2});
    return size.bias ? Weights{kernels, at::zeros({1, size.width}, at::kDouble), mix, at::zeros({1, 1}, at::kDouble)}
                     : Weights{kernels, mix};
  };
  return v;
}();
}  // namespace conv_mult
