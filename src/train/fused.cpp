#include "train/fused.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

namespace conv_mult {
namespace {

/// Replicas on patches are padded to this many: then the optimizer's vectors, too, have no remainder to treat
/// otherwise.
constexpr std::int64_t replica_multiple = 2 * lanes;

}  // namespace

void FusedLayer::set_parameters(const at::Tensor& parameters, const Model& model) {
  parameters_ = parameters;
  parameters_.mutable_grad() = at::zeros_like(parameters);
  std::int64_t begin = 0;
  for (const auto& parameter : model.parameters) {
    const std::int64_t size = parameter.numel() / parameter.size(0);
    views_.push_back(parameters_.narrow(1, begin, size));
    gradient_views_.push_back(parameters_.grad().narrow(1, begin, size));
    begin += size;
  }
}

FusedPatches::FusedPatches(const Model& model, const Dataset& data, LossKind loss)
    : pass_(model.variant().patch_pass),
      loss_(loss),
      replicas_(model.replicas()),
      fields_(model.architecture.size.fields()) {
  FusedPatches::set_data(data);
  const auto rows = weights_of(model).to(input_.scalar_type());  // [N, P]
  const std::int64_t padding = (replica_multiple - replicas_ % replica_multiple) % replica_multiple;
  const auto padded = at::constant_pad_nd(rows, {0, 0, 0, padding}).view({-1, lanes, rows.size(1)});
  set_parameters(padded.transpose(1, 2).contiguous(), model);
  losses_ = at::zeros({replicas_ + padding}, input_.options());
}

void FusedPatches::set_data(const Dataset& data) {
  input_ = data.input.flatten(1).contiguous();
  target_ = data.target.flatten().contiguous();
  root_count_ = data.root_count.defined() ? data.root_count.flatten().contiguous() : at::ones_like(target_);
  pixels_ = data.pixels();
}

at::Tensor FusedPatches::losses_and_gradient() {
  constexpr std::int64_t groups_per_task = 8;  // some 10 us on 68 patches: below that, threads cost more
  AT_DISPATCH_FLOATING_TYPES(input_.scalar_type(), "losses_and_gradient", [&] {
    const auto pass = std::get<PatchFunction<scalar_t>>(std::pair(pass_.in_float, pass_.in_double));
    const auto begin_of = [](const at::Tensor& tensor) { return tensor.data_ptr<scalar_t>(); };
    const auto mean_over = static_cast<scalar_t>(loss_ == LossKind::mse ? pixels_ : 0);
    const PatchData<scalar_t> patches{begin_of(input_), begin_of(target_), begin_of(root_count_), input_.size(0),
                                      input_.size(1),   fields_,           parameters().size(1),  mean_over};
    const auto* weights = parameters().data_ptr<scalar_t>();
    auto* gradient = parameters().grad().data_ptr<scalar_t>();
    auto* losses = losses_.data_ptr<scalar_t>();
    at::parallel_for(0, parameters().size(0), groups_per_task, [&](std::int64_t begin, std::int64_t end) {
      pass(patches, begin, end, weights, gradient, losses);
    });
  });
  return losses_.narrow(0, 0, replicas_);
}

at::Tensor FusedPatches::weights() const { return parameters().transpose(1, 2).flatten(0, 1).narrow(0, 0, replicas_); }

FusedImage::FusedImage(const Model& model, const Dataset& data, LossKind loss)
    : pass_(model.variant().image_pass), loss_(loss), kernel_size_(model.architecture.size.kernel_size) {
  FusedImage::set_data(data);
  set_parameters(weights_of(model).to(input_.scalar_type()), model);
  losses_ = at::zeros({model.replicas()}, input_.options());
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
  const std::int64_t replicas = parameters().size(0);
  const std::int64_t length = parameters().size(1);
  std::vector<double> sums(static_cast<std::size_t>(bands * replicas * (1 + length)), 0);
  AT_DISPATCH_FLOATING_TYPES(input_.scalar_type(), "losses_and_gradient", [&] {
    const auto pass = std::get<ImageFunction<scalar_t>>(std::pair(pass_.in_float, pass_.in_double));
    const ImageData<scalar_t> image{
        input_.data_ptr<scalar_t>(), target_.data_ptr<scalar_t>(), height_, width_, input_.size(2), kernel_size_};
    const auto* weights = parameters().data_ptr<scalar_t>();
    at::parallel_for(0, bands, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t band = first; band < last; ++band) {
        for (std::int64_t i = 0; i < replicas; ++i) {
          pass(image, height_ * band / bands, height_ * (band + 1) / bands, weights + i * length,
               sums.data() + (band * replicas + i) * (1 + length));
        }
      }
    });
    std::vector<double> totals(sums.size() / static_cast<std::size_t>(bands), 0);
    for (std::size_t i = 0; i < sums.size(); ++i) { totals[i % totals.size()] += sums[i]; }  // band by band
    auto* gradient = parameters().grad().data_ptr<scalar_t>();
    for (std::int64_t i = 0; i < replicas; ++i) {
      const auto* total = totals.data() + i * (1 + length);
      const double norm = std::sqrt(total[0]);
      const auto pixels = static_cast<double>(height_ * width_);
      losses_.data_ptr<scalar_t>()[i] = static_cast<scalar_t>(loss_ == LossKind::l2 ? norm : total[0] / pixels);
      const double divisor = loss_ == LossKind::mse ? pixels / 2 : norm == 0 ? 1 : norm;
      for (std::int64_t k = 0; k < length; ++k) { *gradient++ = static_cast<scalar_t>(total[1 + k] / divisor); }
    }
  });
  return losses_;
}

}  // namespace conv_mult
