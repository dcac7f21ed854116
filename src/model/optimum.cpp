#include "conv_mult/model/optimum.hpp"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <limits>

namespace conv_mult {
namespace {

/// A residual below this fraction of the target's norm is the rounding error of an exact fit.
constexpr double exact_fit = 1e-12;

/// [rows, 2 K^2 + 2]: receptive field, constant 1, target; each row times the root of its count.
at::Tensor design_rows(const at::Tensor& fields, const at::Tensor& target, const at::Tensor& root_count) {
  const auto rows = at::cat({fields, at::ones_like(target), target}, 1).to(at::kDouble);
  return root_count.defined() ? rows * root_count.to(at::kDouble) : rows;
}

/// Folds rows into the triangular factor R of all rows so far: least squares over R is least squares over
/// them.
void fold(at::Tensor& r, const at::Tensor& rows) {
  r = std::get<1>(at::linalg_qr(r.defined() ? at::cat({r, rows}) : rows, "r"));
}

at::Tensor triangular_factor(const Dataset& data, std::int64_t kernel_size) {
  const std::int64_t rows_per_block = 65536;
  at::Tensor r;
  if (data.form == DataForm::patches) {
    const auto fields = data.input.flatten(1);
    const auto target = data.target.flatten(1);
    const auto root_count = data.root_count.defined() ? data.root_count.flatten(1) : at::ones_like(target);
    for (std::int64_t begin = 0; begin < data.rows(); begin += rows_per_block) {
      const std::int64_t size = std::min(rows_per_block, data.rows() - begin);
      fold(r, design_rows(fields.narrow(0, begin, size), target.narrow(0, begin, size),
                          root_count.narrow(0, begin, size)));
    }
    return r;
  }
  const std::int64_t height = data.input.size(2);
  const std::int64_t padding = kernel_size / 2;
  const std::int64_t band = std::max<std::int64_t>(1, rows_per_block / data.input.size(3));
  const auto padded = at::constant_pad_nd(data.input, {padding, padding, padding, padding});
  for (std::int64_t top = 0; top < height; top += band) {
    const std::int64_t size = std::min(band, height - top);
    const auto fields = at::im2col(padded.narrow(2, top, size + 2 * padding), {kernel_size, kernel_size},
                                   {1, 1}, {0, 0}, {1, 1});
    fold(r, design_rows(fields[0].t(), data.target.narrow(2, top, size).reshape({-1, 1}), at::Tensor()));
  }
  return r;
}

}  // namespace

AffineOptimum best_affine(const Dataset& data, std::int64_t kernel_size) {
  const std::int64_t unknowns = 2 * kernel_size * kernel_size + 1;
  const auto r = triangular_factor(data.to(at::kCPU), kernel_size);
  if (!at::isfinite(r).all().item<bool>()) {  // numbers that overflow; some LAPACKs refuse them
    return {at::zeros({unknowns - 1}, at::kDouble), 0, std::numeric_limits<double>::quiet_NaN()};
  }
  const auto lhs = r.narrow(1, 0, unknowns);
  const auto rhs = r.narrow(1, unknowns, 1);
  const auto solution = std::get<0>(at::linalg_lstsq(lhs, rhs, c10::nullopt, "gelsd"));
  const auto loss = (at::matmul(lhs, solution) - rhs).norm().item<double>();
  const bool exact = loss <= exact_fit * rhs.norm().item<double>();
  return {solution.narrow(0, 0, unknowns - 1).flatten(), solution[unknowns - 1].item<double>(),
          exact ? 0 : loss};
}

double loss_floor(Variant variant, const Dataset& data, std::int64_t kernel_size) {
  if (variant == Variant::baseline) {
    return best_affine(data, kernel_size).loss;
  }
  Dataset negative = data;
  negative.target = data.target.clamp_max(0);
  return negative.target_norm();
}

}  // namespace conv_mult
