#include "train/trainer.hpp"
#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/optim.h>
#include "util/pool.hpp"

namespace conv_mult {
namespace {
/// With its defaults; the learning rate is set at each step.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(OptimizerKind kind, const Weights& parameters) {
  using namespace torch::optim;
  switch (kind) {
    case OptimizerKind::adam: return std::make_unique<Adam>(parameters);
    case OptimizerKind::adamw: return std::make_unique<AdamW>(parameters);
    case OptimizerKind::rmsprop: return std::make_unique<RMSprop>(parameters);
    case OptimizerKind::sgd: break;
  }
  return std::make_unique<SGD>(parameters, SGDOptions(1));
}

/// Zeros of the same shape, after which a vector may begin that is not whole.
at::Tensor padded_zeros(const at::Tensor& tensor) {
  return at::zeros({tensor.numel() + lanes}, tensor.options()).narrow(0, 0, tensor.numel()).view(tensor.sizes());
}

OptimizerStep step_of(OptimizerKind optimizer, double rate, std::int64_t steps) {
  switch (optimizer) {
    case OptimizerKind::sgd: return {rate};
    case OptimizerKind::rmsprop: return {rate, 1, 0, 0.99};
    case OptimizerKind::adam:
    case OptimizerKind::adamw: break;
  }
  constexpr double beta1 = 0.9;
  constexpr double beta2 = 0.999;
  constexpr double weight_decay = 0.01;
  return {rate / (1 - std::pow(beta1, steps)), optimizer == OptimizerKind::adamw ? 1 - rate * weight_decay : 1, beta1,
          beta2, std::sqrt(1 - std::pow(beta2, steps))};
}

/// Of the variant's regulariser.
double strength_at(const TrainingConfig& config, const Variant& variant, std::int64_t step) {
  const auto& [start, end, every] = config.npu_l1;
  if (variant.lasso) { return std::min(end, start * std::pow(10, step / every)); }
  const auto& [strength, from, to] = config.sparsity;
  return step >= to ? strength
                    : strength * std::max(0.0, static_cast<double>(step - from) / static_cast<double>(to - from));
}

/// Leaves the gradient in the parameters and returns the losses, [N].
at::Tensor by_autograd(Model& model, const Dataset& data, LossKind loss, bool in_training) {
  for (auto& parameter : model.parameters) { parameter.mutable_grad().reset(); }
  const auto losses = losses_of(loss, in_training ? forward_in_training(model, data) : forward(model, data), data);
  losses.backward(at::ones_like(losses));
  return losses.detach();
}
}  // namespace

bool is_fused(const Architecture& architecture, const Dataset& data) {
  const auto& [variant, size] = architecture;
  constexpr std::int64_t most_vectors = 1 << 22;  // 256 MiB, of the layers of a network
  const bool network = variant->network_pass && data.rows() * size.values() <= most_vectors;
  return data.input.is_cpu() && ((data.form == DataForm::patches && variant->patch_pass) ||
                                 (data.form == DataForm::image && (network || variant->image_pass)));
}

FusedLayer::FusedLayer(const Model& model, const Dataset& data, LossKind loss)
    : pass_(data.form == DataForm::patches ? model.variant().patch_pass : model.variant().network_pass),
      image_pass_(model.variant().image_pass), loss_(loss), replicas_(model.replicas()),
      size_(model.architecture.size) {
  set_data(data);
  auto rows = weights_of(model).to(input_.scalar_type());
  const std::int64_t padding = (lanes - replicas_ % lanes) % lanes;
  if (pass_) { rows = at::constant_pad_nd(rows, {0, 0, 0, padding}).view({-1, lanes, rows.size(1)}).transpose(1, 2); }
  parameters_ = padded_zeros(rows).copy_(rows);
  for (auto* zeros : {&parameters_.mutable_grad(), &mean_, &square_}) { *zeros = padded_zeros(rows); }
  losses_ = padded_zeros(rows.new_empty({replicas_}));
  std::int64_t begin = 0;
  for (const auto& parameter : model.parameters) {
    const std::int64_t numbers = parameter.numel() / replicas_;
    views_.push_back(parameters_.narrow(1, begin, numbers));
    views_.back().mutable_grad() = parameters_.grad().narrow(1, begin, numbers);
    begin += numbers;
  }
}

void FusedLayer::set_data(const Dataset& data) {
  mean_over_ = loss_ == LossKind::mse ? data.pixels() : 0;
  shape_ = {data.target.size(2), data.target.size(3), size_.kernel_size, size_.depth, size_.width};
  if (!pass_) {
    const std::int64_t padding = size_.kernel_size / 2;
    input_ = at::constant_pad_nd(data.input[0], {padding, padding + row_slack, padding, padding}).contiguous();
    target_ = at::constant_pad_nd(data.target[0][0], {0, 2 * padding + row_slack}).contiguous();
    return;
  }
  input_ = data.input.contiguous();
  target_ = data.target.contiguous();
  if (data.root_count.defined()) {
    root_count_ = data.root_count.contiguous();
  } else if (!root_count_.defined() || root_count_.numel() != target_.numel()) {
    root_count_ = at::ones_like(target_);
  }
}

const at::Tensor& FusedLayer::losses_and_gradient(bool losses_only) {
  AT_DISPATCH_FLOATING_TYPES(input_.scalar_type(), "losses_and_gradient", [&] {
    if (!pass_) { return pass_over_image<scalar_t>(); }
    const auto begin_of = [](const at::Tensor& tensor) { return tensor.data_ptr<scalar_t>(); };
    pass_.in<scalar_t>()(
        {begin_of(input_), begin_of(target_), begin_of(root_count_), target_.numel(), input_.numel() / target_.numel(),
         size_.fields(), parameters_.size(1), replicas_, static_cast<scalar_t>(mean_over_), shape_, losses_only},
        begin_of(parameters_), begin_of(parameters_.grad()), begin_of(losses_));
  });
  return losses_;
}

template <typename Scalar>
void FusedLayer::pass_over_image() {
  constexpr std::int64_t pixels_per_band = 65536;  // some 100 us: below that, threads cost more
  constexpr std::int64_t most_bands = 64;
  const auto height = shape_.height;
  const auto width = shape_.width;
  const std::int64_t bands =
      std::clamp<std::int64_t>(height * width / pixels_per_band, 1, std::min(most_bands, height));
  const std::int64_t length = parameters_.size(1);
  const std::int64_t numbers = replicas_ * (1 + length);
  std::vector<double> sums(static_cast<std::size_t>(bands * numbers), 0);
  const ImageData<Scalar> image{
      input_.data_ptr<Scalar>(), target_.data_ptr<Scalar>(), height, width, input_.size(2), size_.kernel_size, length};
  const auto* weights = parameters_.data_ptr<Scalar>();
  parallel_for(bands, [&](std::int64_t band) {
    for (std::int64_t i = 0; i < replicas_; ++i) {
      image_pass_.in<Scalar>()(image, height * band / bands, height * (band + 1) / bands, weights + i * length,
                               sums.data() + band * numbers + i * (1 + length));
    }
  });
  for (auto i = static_cast<std::size_t>(numbers); i < sums.size(); ++i) {
    sums[i % static_cast<std::size_t>(numbers)] += sums[i];  // band by band
  }
  for (std::int64_t i = 0; i < replicas_; ++i) {
    const auto* totals = sums.data() + i * (1 + length);
    const double loss = mean_over_ > 0 ? totals[0] / mean_over_ : std::sqrt(totals[0]);
    losses_.data_ptr<Scalar>()[i] = static_cast<Scalar>(loss);
    const double divisor = mean_over_ > 0 ? mean_over_ / 2 : loss == 0 ? 1 : loss;
    auto* gradient = parameters_.grad().data_ptr<Scalar>() + i * length;
    for (std::int64_t k = 0; k < length; ++k) { gradient[k] = static_cast<Scalar>(totals[1 + k] / divisor); }
  }
}

void FusedLayer::update(OptimizerKind optimizer, double learning_rate) {
  const auto step = step_of(optimizer, learning_rate, ++steps_);
  const std::int64_t count = (parameters_.numel() + lanes - 1) / lanes * lanes;
  AT_DISPATCH_FLOATING_TYPES(parameters_.scalar_type(), "update", [&] {
    const auto begin_of = [](const at::Tensor& tensor) { return tensor.data_ptr<scalar_t>(); };
    optimizer_pass.in<scalar_t>()(step, count, begin_of(parameters_), begin_of(parameters_.grad()), begin_of(mean_),
                                  begin_of(square_));
  });
}

double learning_rate_at(const TrainingConfig& config, std::int64_t step) {
  const double done = static_cast<double>(step) / static_cast<double>(config.steps);
  switch (config.decay) {
    case Decay::linear: return config.learning_rate * (1 - done);
    case Decay::cosine: return config.learning_rate * (1 + std::cos(std::acos(-1.0) * done)) / 2;
    case Decay::none: break;
  }
  return config.learning_rate;
}

void train(Model& model, TrainingData data, const TrainingConfig& config, const OnLosses& on_losses,
           const OnCheck& on_check) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t largest_block = 1000;
  constexpr auto longest_block = std::chrono::milliseconds(100);

  const auto& variant = model.variant();
  std::optional<FusedLayer> fused;  // none where LibTorch's own operators do the work
  const c10::InferenceMode without_autograd(is_fused(model.architecture, data.first));
  if (c10::InferenceMode::is_enabled()) { fused.emplace(model, data.first, config.loss); }
  const auto optimizer = fused ? nullptr : make_optimizer(config.optimizer, model.parameters);
  const auto block = at::empty({std::min(largest_block, config.steps + 1), model.replicas()},
                               data.first.target.options());  // losses of its steps
  std::int64_t in_block = 0;
  auto block_start = Clock::now();
  for (std::int64_t step = 0;; ++step) {
    if (step > 0 && data.redraw) {
      data.first = data.redraw();
      if (fused) { fused->set_data(data.first); }
    }
    if (on_check && step % config.check_every == 0) {
      if (fused) { set_weights(model, fused->weights()); }
      on_check(step);
    }
    const bool last = step == config.steps;
    if (fused) {
      const auto& losses = fused->losses_and_gradient();
      std::copy_n(static_cast<const char*>(losses.data_ptr()), losses.nbytes(),
                  static_cast<char*>(block.data_ptr()) + static_cast<std::size_t>(in_block) * losses.nbytes());
    } else {
      block[in_block].copy_(by_autograd(model, data.first, config.loss, !last));
    }
    ++in_block;
    if (!last) {
      const at::NoGradGuard no_grad;
      const auto& weights = fused ? fused->views() : model.parameters;
      const double strength = strength_at(config, variant, step);
      if (variant.regularise != nullptr && strength > 0) { variant.regularise(weights, strength); }
      for (const auto& w : variant.clip > 0 ? weights : Weights()) { w.grad().clamp_(-variant.clip, variant.clip); }
      const double rate = learning_rate_at(config, step);
      if (fused) {
        fused->update(config.optimizer, rate);
      } else {
        for (auto& group : optimizer->param_groups()) { group.options().set_lr(rate); }
        optimizer->step();
      }
      if (variant.project != nullptr) { variant.project(weights); }
    }
    if (last || in_block == largest_block || Clock::now() - block_start >= longest_block) {
      const auto fetched = block.narrow(0, 0, in_block).to(at::kCPU, at::kDouble);
      if (!on_losses(step + 1 - in_block, fetched) || last) { break; }
      in_block = 0;
      block_start = Clock::now();
    }
  }
  if (fused) { set_weights(model, fused->weights()); }
}
}  // namespace conv_mult
