#pragma once
// What the variants' files begin with: LibTorch's operators, and what several of them share.

#include <ATen/Functions.h>
#include <c10/util/MathConstants.h>
#include "variants/variant.hpp"

namespace conv_mult {
/// A convolution of K x K, [out, in, K, K] and [out], that starts as PyTorch's Conv2d does: weights by He et al. 2015
/// with a = sqrt(5), which is uniform within 1/sqrt(fan-in), and biases, if any, likewise. Those before it come first.
std::vector<Parameter> conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel_size,
                              const std::string& prefix = "", bool bias = true, std::vector<Parameter> before = {});

/// The convolution with the weights [N, out, 2, K, K] at `first`, and perhaps the bias [N, out] next: N out channels.
at::Tensor convolution(const Weights& weights, std::size_t first, bool bias, const Dataset& data, const Size& size);

/// 2 K^2 weights of a unit: uniform within sqrt(6 / (2 K^2 + 1)) (Glorot & Bengio 2010).
inline Parameter glorot(const std::string& name, const Size& size) {
  const double bound = std::sqrt(6 / static_cast<double>(size.fields() + 1));
  return {name, {size.fields()}, -bound, bound};
}

/// log(|a| + 1e-7), log(|b| + 1e-7): padded with 0, the logarithm of 1.
inline at::Tensor logarithms(const Scene& scene) { return (plain(scene).abs() + 1e-7).log(); }

/// Whether a < 0, b < 0: 1 or 0.
inline at::Tensor negatives(const Scene& scene) { return plain(scene).lt(0).to(scene.a.scalar_type()); }

/// The channels i and i + 1 of patches, flat: [P, F].
inline at::Tensor channel_pair(const Dataset& data, std::int64_t i) { return data.input.narrow(1, i, 2).flatten(1); }

/// x w + 1 - w where channels 2 and 3 are 1, in padding 1: [P, N, F].
inline at::Tensor gated(const Dataset& data, const at::Tensor& w) {
  return channel_pair(data, 0).unsqueeze(1) * w + (1 - channel_pair(data, 2).unsqueeze(1) * w);
}

/// W = tanh(w) sigmoid(m), of the w at `first` and the m after it (Trask et al. 2018).
inline at::Tensor nac_weight(const Weights& w, std::size_t first) { return w[first].tanh() * w[first + 1].sigmoid(); }

/// Over the last dimension. at::prod's gradient would have to look for zeros.
at::Tensor product(at::Tensor factors);

/// [P, N] to [P, N, 1, 1].
inline at::Tensor as_output(const at::Tensor& values) { return values.unsqueeze(-1).unsqueeze(-1); }

/// A kernel with these weights at the centre of a and of b, 0 elsewhere: float64 [1, 1, 2, K, K].
at::Tensor at_centre(double of_a, double of_b, const Size& size);

/// `value` at both, as weights of a unit: [1, 2 K^2].
inline at::Tensor at_centre(double value, const Size& size) { return at_centre(value, value, size).flatten(1); }

/// The L2 loss of the best affine function of the receptive field; 0 where only rounding is left of it, NaN where data
/// overflow. Linear least squares in float64 over every receptive field: QR in blocks of rows, then LAPACK's gelsd,
/// which takes problems of any rank (a column that is constant or repeated, a K larger than the image).
std::optional<double> best_affine(const Dataset& data, const Size& size);
}  // namespace conv_mult
