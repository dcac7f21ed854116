#include "conv_mult/model/fused.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "conv_mult/model/fused_kernel.hpp"

namespace conv_mult {
namespace {

/// Replicas on patches are padded to this many: then the optimizer's vectors, too, have no remainder to treat
/// otherwise.
constexpr std::int64_t replica_multiple = 2 * lanes;

}  // namespace

FusedPatches::FusedPatches(const Model& model, const Dataset& data, LossKind loss)
    : variant_(model.architecture.variant),
      loss_(loss),
      replicas_(model.replicas()),
      fields_(2 * model.architecture.kernel_size * model.architecture.kernel_size) {
  set_data(data);
  const auto rows = weights_of(model).to(input_.scalar_type());  // [N, P]
  const std::int64_t padding = (replica_multiple - replicas_ % replica_multiple) % replica_multiple;
  parameters_ = at::constant_pad_nd(rows, {0, 0, 0, padding})
                    .view({-1, lanes, rows.size(1)})
                    .transpose(1, 2)
                    .contiguous();
  parameters_.mutable_grad() = at::zeros_like(parameters_);
  losses_ = at::zeros({replicas_ + padding}, input_.options());
}

void FusedPatches::set_data(const Dataset& data) {
  input_ = data.input.flatten(1).contiguous();
  target_ = data.target.flatten().contiguous();
  root_count_ = data.root_count.defined() ? data.root_count.flatten().contiguous() : at::ones_like(target_);
  pixels_ = data.pixels();
}

at::Tensor FusedPatches::losses_and_gradient() {
  // Some 10 us on 68 patches: below that, threads cost more.
  const std::int64_t groups_per_task = is_conv_layer(variant_) ? 8 : 2;
  AT_DISPATCH_FLOATING_TYPES(input_.scalar_type(), "losses_and_gradient", [&] {
    const PatchData<scalar_t> patches{input_.data_ptr<scalar_t>(),
                                      target_.data_ptr<scalar_t>(),
                                      root_count_.data_ptr<scalar_t>(),
                                      input_.size(0),
                                      input_.size(1),
                                      fields_,
                                      parameters_.size(1),
                                      static_cast<scalar_t>(loss_ == LossKind::mse ? pixels_ : 0)};
    const auto* weights = parameters_.data_ptr<scalar_t>();
    auto* gradient = parameters_.mutable_grad().data_ptr<scalar_t>();
    auto* losses = losses_.data_ptr<scalar_t>();
    at::parallel_for(0, parameters_.size(0), groups_per_task, [&](std::int64_t begin, std::int64_t end) {
      patch_pass(variant_, patches, begin, end, weights, gradient, losses);
    });
  });
  return losses_.narrow(0, 0, replicas_);
}

void FusedPatches::add_sparsity_gradient(double scale) {
  if (variant_ == Variant::nmu) {
    parameters_.mutable_grad().add_(at::sign(0.5 - parameters_), scale / static_cast<double>(fields_));
  }
}

void FusedPatches::project() {
  if (variant_ == Variant::nmu) {
    parameters_.clamp_(0, 1);
  }
}

at::Tensor FusedPatches::weights() const {
  return parameters_.transpose(1, 2).flatten(0, 1).narrow(0, 0, replicas_);
}

FusedImage::FusedImage(const Model& model, const Dataset& data, LossKind loss)
    : exponential_(model.architecture.variant != Variant::baseline),
      loss_(loss),
      kernel_size_(model.architecture.kernel_size) {
  set_data(data);
  parameters_ = weights_of(model).to(input_.scalar_type());
  parameters_.mutable_grad() = at::zeros_like(parameters_);
  losses_ = at::zeros({parameters_.size(0)}, input_.options());
}

void FusedImage::set_data(const Dataset& data) {
  height_ = data.target.size(2);
  width_ = data.target.size(3);
  const std::int64_t padding = kernel_size_ / 2;
  input_ = at::constant_pad_nd(data.input[0], {padding, padding + row_slack, padding, padding}).contiguous();
  target_ = at::constant_pad_nd(data.target[0][0], {0, 2 * padding + row_slack}).contiguous();
}

at::Tensor FusedImage::losses_and_gradient() {
  constexpr std::int64_t pixels_per_band = 16384;  // some 15 us: below that, threads cost more
  constexpr std::int64_t most_bands = 64;
  const std::int64_t bands =
      std::clamp<std::int64_t>(height_ * width_ / pixels_per_band, 1, std::min(most_bands, height_));
  const std::int64_t replicas = parameters_.size(0);
  const std::int64_t length = parameters_.size(1);  // 2 K^2 + 1
  std::vector<double> sums(static_cast<std::size_t>(bands * replicas * (1 + length)), 0);
  AT_DISPATCH_FLOATING_TYPES(input_.scalar_type(), "losses_and_gradient", [&] {
    const ImageData<scalar_t> image{input_.data_ptr<scalar_t>(),
                                    target_.data_ptr<scalar_t>(),
                                    height_,
                                    width_,
                                    input_.size(2),
                                    kernel_size_};
    const auto* weights = parameters_.data_ptr<scalar_t>();
    at::parallel_for(0, bands, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t band = first; band < last; ++band) {
        for (std::int64_t i = 0; i < replicas; ++i) {
          image_pass(exponential_, image, height_ * band / bands, height_ * (band + 1) / bands,
                     weights + i * length, sums.data() + (band * replicas + i) * (1 + length));
        }
      }
    });
    auto* gradient = parameters_.mutable_grad().data_ptr<scalar_t>();
    auto* losses = losses_.data_ptr<scalar_t>();
    for (std::int64_t i = 0; i < replicas; ++i) {
      const auto total = [&](std::int64_t what) {
        double sum = 0;
        for (std::int64_t band = 0; band < bands; ++band) {
          sum += sums[static_cast<std::size_t>((band * replicas + i) * (1 + length) + what)];
        }
        return sum;
      };
      const double norm = std::sqrt(total(0));
      const auto pixels = static_cast<double>(height_ * width_);
      losses[i] = static_cast<scalar_t>(loss_ == LossKind::l2 ? norm : total(0) / pixels);
      const double divisor = loss_ == LossKind::mse ? pixels / 2 : norm == 0 ? 1 : norm;
      for (std::int64_t k = 0; k < length; ++k) {
        gradient[i * length + k] = static_cast<scalar_t>(total(1 + k) / divisor);
      }
    }
  });
  return losses_;
}

}  // namespace conv_mult
