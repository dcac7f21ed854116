#include "variants/common.hpp"

namespace conv_mult {
std::vector<Parameter> conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel_size, const std::string& prefix,
                              bool bias, std::vector<Parameter> before) {
  const auto fan_in = static_cast<double>(in * kernel_size * kernel_size);
  // In PyTorch's order of operations, for its very bits.
  const double gain = std::sqrt(2.0 / (1 + std::pow(std::sqrt(5.0), 2)));
  const double of_weights = std::sqrt(3.0) * (gain / std::sqrt(fan_in));
  const double of_biases = 1 / std::sqrt(fan_in);
  before.push_back({prefix + "weight", {out, in, kernel_size, kernel_size}, -of_weights, of_weights});
  if (bias) { before.push_back({prefix + "bias", {out}, -of_biases, of_biases}); }
  return before;
}

at::Tensor convolution(const Weights& weights, std::size_t first, bool bias, const Dataset& data, const Size& size) {
  const auto kernels = weights[first].flatten(0, 1);
  const auto biases = bias ? weights[first + 1].flatten() : at::Tensor();
  if (data.form != DataForm::patches) { return at::conv2d(data.input, kernels, biases, 1, size.kernel_size / 2); }
  // A patch meets the kernel once: a matrix product, a tenth of conv2d's overhead.
  const auto x = data.input.flatten(1);
  const auto w = kernels.flatten(1).t();
  return as_output(bias ? at::addmm(biases, x, w) : at::matmul(x, w));
}

at::Tensor product(at::Tensor factors) {
  for (std::int64_t n = factors.size(-1); n > 1; n = factors.size(-1)) {
    const auto halves = factors.narrow(-1, 0, n / 2) * factors.narrow(-1, n / 2, n / 2);
    factors = n % 2 == 0 ? halves : at::cat({halves, factors.narrow(-1, n - 1, 1)}, -1);
  }
  return factors.squeeze(-1);
}

at::Tensor at_centre(double of_a, double of_b, const Size& size) {
  const std::int64_t border = size.kernel_size / 2;
  const auto centre = at::tensor({of_a, of_b}, at::kDouble).view({1, 1, 2, 1, 1});
  return at::constant_pad_nd(centre, {border, border, border, border});
}

std::optional<double> best_affine(const Dataset& data, const Size& size) {
  constexpr double exact_fit = 1e-12;  // of the target's norm: below that a residual is rounding error
  at::Tensor r;  // the triangular factor of all rows so far: least squares over it is that over them
  for_fields(data, size.kernel_size, [&](const Dataset& patches) {
    const auto target = patches.target.flatten(1);
    auto rows = at::cat({patches.input.flatten(1), at::ones_like(target), target}, 1).to(at::kDouble);
    if (patches.root_count.defined()) { rows *= patches.root_count.flatten(1); }
    r = std::get<1>(at::linalg_qr(r.defined() ? at::cat({r, rows}) : rows, "r"));
  });
  if (!at::isfinite(r).all().item<bool>()) { return NAN; }  // numbers that overflow; some LAPACKs refuse them
  const auto lhs = r.slice(1, 0, -1);
  const auto rhs = r.slice(1, -1);
  const auto solution = std::get<0>(at::linalg_lstsq(lhs, rhs, c10::nullopt, "gelsd"));
  const auto loss = (at::matmul(lhs, solution) - rhs).norm().item<double>();
  return loss <= exact_fit * rhs.norm().item<double>() ? 0 : loss;
}
}  // namespace conv_mult
