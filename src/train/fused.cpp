#include "train/fused.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "util/pool.hpp"

namespace conv_mult {
namespace {

/// Zeros of the same shape, after which a vector may begin that is not whole.
at::Tensor padded_zeros(const at::Tensor& tensor) {
  return at::zeros({tensor.numel() + lanes}, tensor.options()).narrow(0, 0, tensor.numel()).view(tensor.sizes());
}

OptimizerStep step_of(OptimizerKind optimizer, double rate, std::int64_t steps) {
  const auto count = static_cast<double>(steps);
  switch (optimizer) {
    case OptimizerKind::sgd:
      return {rate};
    case OptimizerKind::rmsprop:
      return {rate, 1, 0, 0.99};
    case OptimizerKind::adam:
    case OptimizerKind::adamw:
      break;
  }
  constexpr double beta1 = 0.9;
  constexpr double beta2 = 0.999;
  constexpr double weight_decay = 0.01;
  return {rate / (1 - std::pow(beta1, count)), optimizer == OptimizerKind::adamw ? 1 - rate * weight_decay : 1, beta1,
          beta2, std::sqrt(1 - std::pow(beta2, count))};
}

}  // namespace

bool is_fused(const Architecture& architecture, const Dataset& data, std::int64_t seeds) {
  const auto& [variant, size] = architecture;
  const bool network = variant->network_pass.in_float != nullptr && size.width <= 4 * (seeds + 1);  // as measured
  return data.input.is_cpu() &&
         ((data.form == DataForm::patches && variant->patch_pass.in_float != nullptr) ||
          (data.form == DataForm::image && (network || variant->image_pass.in_float != nullptr)));
}

void FusedLayer::set_parameters(const at::Tensor& parameters, const Model& model) {
  parameters_ = padded_zeros(parameters).copy_(parameters);
  parameters_.mutable_grad() = padded_zeros(parameters);
  mean_ = padded_zeros(parameters);
  square_ = padded_zeros(parameters);
  std::int64_t begin = 0;
  for (const auto& parameter : model.parameters) {
    const std::int64_t size = parameter.numel() / parameter.size(0);
    views_.push_back(parameters_.narrow(1, begin, size));
    gradient_views_.push_back(parameters_.grad().narrow(1, begin, size));
    begin += size;
  }
}

void FusedLayer::update(OptimizerKind optimizer, double learning_rate) {
  const auto step = step_of(optimizer, learning_rate, ++steps_);
  const std::int64_t count = (parameters_.numel() + lanes - 1) / lanes * lanes;
  AT_DISPATCH_FLOATING_TYPES(parameters_.scalar_type(), "update", [&] {
    const auto pass = std::get<UpdateFunction<scalar_t>>(std::pair(optimizer_pass.in_float, optimizer_pass.in_double));
    const auto begin_of = [](const at::Tensor& tensor) { return tensor.data_ptr<scalar_t>(); };
    pass(step, count, begin_of(parameters_), begin_of(parameters_.grad()), begin_of(mean_), begin_of(square_));
  });
}

FusedReplicas::FusedReplicas(const Model& model, const Dataset& data, LossKind loss)
    : pass_(data.form == DataForm::patches ? model.variant().patch_pass : model.variant().network_pass),
      loss_(loss),
      replicas_(model.replicas()),
      size_(model.architecture.size) {
  FusedReplicas::set_data(data);
  const auto rows = weights_of(model).to(input_.scalar_type());  // [N, P]
  const std::int64_t padding = (lanes - replicas_ % lanes) % lanes;
  const auto padded = at::constant_pad_nd(rows, {0, 0, 0, padding}).view({-1, lanes, rows.size(1)});
  set_parameters(padded.transpose(1, 2), model);
  lane_losses_ = at::zeros({replicas_ + padding}, input_.options());
  losses_ = lane_losses_.narrow(0, 0, replicas_);
}

void FusedReplicas::set_data(const Dataset& data) {
  input_ = data.input.flatten(1).contiguous();
  target_ = data.target.flatten().contiguous();
  if (data.root_count.defined()) {
    root_count_ = data.root_count.flatten().contiguous();
  } else if (!root_count_.defined() || root_count_.numel() != target_.numel()) {
    root_count_ = at::ones_like(target_);
  }
  pixels_ = data.pixels();
  shape_ = {data.target.size(2), data.target.size(3), size_.kernel_size, size_.depth, size_.width};
}

const at::Tensor& FusedReplicas::losses_and_gradient() {
  AT_DISPATCH_FLOATING_TYPES(input_.scalar_type(), "losses_and_gradient", [&] {
    const auto pass = std::get<PatchFunction<scalar_t>>(std::pair(pass_.in_float, pass_.in_double));
    const auto begin_of = [](const at::Tensor& tensor) { return tensor.data_ptr<scalar_t>(); };
    const auto mean_over = static_cast<scalar_t>(loss_ == LossKind::mse ? pixels_ : 0);
    pass({begin_of(input_), begin_of(target_), begin_of(root_count_), target_.numel(), input_.size(1), size_.fields(),
          parameters().size(1), replicas_, mean_over, shape_},
         begin_of(parameters()), begin_of(parameters().grad()), begin_of(lane_losses_));
  });
  return losses_;
}

at::Tensor FusedReplicas::weights() const { return parameters().transpose(1, 2).flatten(0, 1).narrow(0, 0, replicas_); }

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

const at::Tensor& FusedImage::losses_and_gradient() {
  constexpr std::int64_t pixels_per_band = 65536;  // some 100 us: below that, threads cost more
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
    parallel_for(bands, [&](std::int64_t band) {
      for (std::int64_t i = 0; i < replicas; ++i) {
        pass(image, height_ * band / bands, height_ * (band + 1) / bands, weights + i * length,
             sums.data() + (band * replicas + i) * (1 + length));
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
