#include "conv_mult/run/trainer.hpp"

#include <ATen/Functions.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "conv_mult/model/fused.hpp"

namespace conv_mult {
namespace {

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const TrainingConfig& config,
                                                        const std::vector<at::Tensor>& parameters) {
  const double lr = config.learning_rate;
  switch (config.optimizer) {
    case OptimizerKind::adam:
      return std::make_unique<torch::optim::Adam>(parameters, torch::optim::AdamOptions(lr));
    case OptimizerKind::adamw:
      return std::make_unique<torch::optim::AdamW>(parameters, torch::optim::AdamWOptions(lr));
    case OptimizerKind::rmsprop:
      return std::make_unique<torch::optim::RMSprop>(parameters, torch::optim::RMSpropOptions(lr));
    case OptimizerKind::sgd:
      break;
  }
  return std::make_unique<torch::optim::SGD>(parameters, torch::optim::SGDOptions(lr));
}

/// None where LibTorch's own operators do the work.
std::unique_ptr<FusedLayer> make_fused(const Model& model, const Dataset& data, LossKind loss) {
  const auto variant = model.architecture.variant;
  if (!data.input.device().is_cpu() || is_deep(variant)) {
    return nullptr;
  }
  if (data.form == DataForm::patches) {
    return std::make_unique<FusedPatches>(model, data, loss);
  }
  if (data.form == DataForm::image && is_conv_layer(variant)) {
    return std::make_unique<FusedImage>(model, data, loss);
  }
  return nullptr;
}

/// From 0 at `from` to 1 at `to`.
double sparsity_scale(const Sparsity& sparsity, std::int64_t step) {
  if (step >= sparsity.to) {
    return sparsity.strength;
  }
  const auto along = static_cast<double>(step - sparsity.from);
  return sparsity.strength * std::max(0.0, along / static_cast<double>(sparsity.to - sparsity.from));
}

/// Leaves the gradient in the parameters and returns the losses, [N].
at::Tensor by_autograd(Model& model, const Dataset& data, LossKind loss, double sparsity) {
  for (auto& parameter : model.parameters) {
    parameter.mutable_grad().reset();
  }
  const auto losses = losses_of(loss, forward(model, data), data);
  auto minimised = losses;
  if (sparsity > 0) {
    if (const auto penalty = sparsity_penalty(model)) {
      minimised = losses + sparsity * *penalty;
    }
  }
  minimised.backward(at::ones_like(losses));
  return losses.detach();
}

/// The same with the layer's own parameters.
at::Tensor by_fused(FusedLayer& layer, double sparsity) {
  auto losses = layer.losses_and_gradient();
  if (sparsity > 0) {
    layer.add_sparsity_gradient(sparsity);
  }
  return losses;
}

}  // namespace

void train(Model& model, TrainingData data, const TrainingConfig& config,
           const TrainingCallbacks& callbacks) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t largest_block = 1000;
  constexpr auto longest_block = std::chrono::milliseconds(100);

  const auto fused = make_fused(model, data.first, config.loss);
  const auto optimizer = make_optimizer(config, fused ? std::vector{fused->parameters()} : model.parameters);
  const auto update_model = [&] {
    if (fused) {
      set_weights(model, fused->weights());
    }
  };
  at::Tensor block;  // [steps, N]
  std::int64_t in_block = 0;
  auto block_start = Clock::now();
  for (std::int64_t step = 0;; ++step) {
    if (step > 0 && data.redraw) {
      data.first = data.redraw();
      if (fused) {
        fused->set_data(data.first);
      }
    }
    const double sparsity = sparsity_scale(config.sparsity, step);
    const auto losses =
        fused ? by_fused(*fused, sparsity) : by_autograd(model, data.first, config.loss, sparsity);
    if (!block.defined()) {
      block = at::empty({std::min(largest_block, config.steps + 1), losses.size(0)}, losses.options());
    }
    block[in_block++].copy_(losses);
    if (callbacks.check_every > 0 && step % callbacks.check_every == 0) {
      update_model();
      callbacks.on_check(step);
    }
    const bool last = step == config.steps;
    if (last || in_block == largest_block || Clock::now() - block_start >= longest_block) {
      const auto fetched = block.narrow(0, 0, in_block).to(at::kCPU, at::kDouble);
      if (!callbacks.on_losses(step + 1 - in_block, fetched) || last) {
        break;
      }
      in_block = 0;
      block_start = Clock::now();
    }
    optimizer->step();
    fused ? fused->project() : project(model);
  }
  update_model();
}

}  // namespace conv_mult
