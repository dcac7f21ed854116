#include "train/trainer.hpp"
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include "train/fused.hpp"

namespace conv_mult {
namespace {
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const TrainingConfig& config,
                                                        const std::vector<at::Tensor>& parameters) {
  using namespace torch::optim;
  const double lr = config.learning_rate;
  switch (config.optimizer) {
    case OptimizerKind::adam: return std::make_unique<Adam>(parameters, AdamOptions(lr));
    case OptimizerKind::adamw: return std::make_unique<AdamW>(parameters, AdamWOptions(lr));
    case OptimizerKind::rmsprop: return std::make_unique<RMSprop>(parameters, RMSpropOptions(lr));
    case OptimizerKind::sgd: break;
  }
  return std::make_unique<SGD>(parameters, SGDOptions(lr));
}

/// Of the variant's regulariser.
double strength_at(const TrainingConfig& config, const Variant& variant, std::int64_t step) {
  const auto& [strength, from, to] = config.sparsity;
  if (variant.lasso) {
    return std::min(config.lasso.end, config.lasso.start * std::pow(10, step / config.lasso.every));
  }
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

Weights gradients_of(const Model& model) {
  Weights gradients;
  for (const auto& parameter : model.parameters) { gradients.push_back(parameter.grad()); }
  return gradients;
}
}  // namespace

double learning_rate_at(const TrainingConfig& config, std::int64_t step) {
  const double done = static_cast<double>(step) / static_cast<double>(config.steps);
  switch (config.decay) {
    case Decay::linear: return config.learning_rate * (1 - done);
    case Decay::cosine: return config.learning_rate * (1 + std::cos(std::acos(-1.0) * done)) / 2;
    case Decay::none: break;
  }
  return config.learning_rate;
}

void train(Model& model, TrainingData data, const TrainingConfig& config, const TrainingCallbacks& callbacks) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t largest_block = 1000;
  constexpr auto longest_block = std::chrono::milliseconds(100);

  const auto& variant = model.variant();
  std::optional<FusedLayer> fused;  // none where LibTorch's own operators do the work
  if (is_fused(model.architecture, data.first, config.seeds)) { fused.emplace(model, data.first, config.loss); }
  const auto optimizer = fused ? nullptr : make_optimizer(config, model.parameters);
  const auto block = at::empty({std::min(largest_block, config.steps + 1), model.replicas()},
                               data.first.target.options());  // losses of its steps
  std::int64_t in_block = 0;
  auto block_start = Clock::now();
  for (std::int64_t step = 0;; ++step) {
    if (step > 0 && data.redraw) {
      data.first = data.redraw();
      if (fused) { fused->set_data(data.first); }
    }
    if (callbacks.check_every > 0 && step % callbacks.check_every == 0) {
      if (fused) { set_weights(model, fused->weights()); }
      callbacks.on_check(step);
    }
    const bool last = step == config.steps;
    if (fused) {
      const auto& losses = fused->losses_and_gradient();
      std::memcpy(static_cast<char*>(block.data_ptr()) + static_cast<std::size_t>(in_block) * losses.nbytes(),
                  losses.data_ptr(), losses.nbytes());
    } else {
      block[in_block].copy_(by_autograd(model, data.first, config.loss, !last));
    }
    ++in_block;
    if (!last) {
      const at::NoGradGuard no_grad;
      const auto& weights = fused ? fused->views() : model.parameters;
      const double strength = strength_at(config, variant, step);
      if (variant.regularise != nullptr && strength > 0) {
        variant.regularise(weights, fused ? fused->gradient_views() : gradients_of(model), strength);
      }
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
      if (!callbacks.on_losses(step + 1 - in_block, fetched) || last) { break; }
      in_block = 0;
      block_start = Clock::now();
    }
  }
  if (fused) { set_weights(model, fused->weights()); }
}
}  // namespace conv_mult
