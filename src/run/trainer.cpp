#include "conv_mult/run/trainer.hpp"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "conv_mult/model/fused.hpp"

namespace conv_mult {
namespace {

/// Takes a step along the gradients that the parameters have.
using Update = std::function<void()>;

/// Adam and AdamW as a recorded step needs them, their count of steps on the device: LibTorch's fused kernel.
Update fused_adam(const std::vector<at::Tensor>& parameters, double learning_rate, double weight_decay) {
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> means;
  std::vector<at::Tensor> squares;
  for (const auto& parameter : parameters) {
    weights.push_back(parameter.detach().flatten());  // a view
    means.push_back(at::zeros_like(weights.back()));
    squares.push_back(at::zeros_like(weights.back()));
  }
  const std::vector steps(parameters.size(), at::zeros({}, weights.front().options().dtype(at::kFloat)));
  return [=] {
    std::vector<at::Tensor> gradients;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      gradients.push_back(parameters[i].grad().contiguous().flatten());
      if (weight_decay > 0) {
        weights[i].mul_(1 - learning_rate * weight_decay);
      }
    }
    const torch::optim::AdamOptions defaults(learning_rate);
    const auto [beta1, beta2] = defaults.betas();
    steps.front().add_(1);  // which is that of all
    at::_fused_adam_(weights, gradients, means, squares, {}, steps, learning_rate, beta1, beta2, 0,
                     defaults.eps(), defaults.amsgrad(), false);
  };
}

template <typename Optimizer, typename Options>
Update update_of(const std::vector<at::Tensor>& parameters, const Options& options) {
  return [optimizer = std::make_shared<Optimizer>(parameters, options)] { optimizer->step(); };
}

Update make_update(const TrainingConfig& config, const std::vector<at::Tensor>& parameters, bool recordable) {
  using namespace torch::optim;
  const double lr = config.learning_rate;
  switch (config.optimizer) {
    case OptimizerKind::adam:
      return recordable ? fused_adam(parameters, lr, 0) : update_of<Adam>(parameters, AdamOptions(lr));
    case OptimizerKind::adamw:
      return recordable ? fused_adam(parameters, lr, AdamWOptions(lr).weight_decay())
                        : update_of<AdamW>(parameters, AdamWOptions(lr));
    case OptimizerKind::rmsprop:
      return update_of<RMSprop>(parameters, RMSpropOptions(lr));
    case OptimizerKind::sgd:
      break;
  }
  return update_of<SGD>(parameters, SGDOptions(lr));
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

/// Leaves the gradient in the parameters and returns the losses, [N]. `sparsity` is the regulariser's part.
at::Tensor by_autograd(Model& model, const Dataset& data, LossKind loss, const at::Tensor& sparsity) {
  for (auto& parameter : model.parameters) {
    parameter.mutable_grad().reset();
  }
  const auto losses = losses_of(loss, forward(model, data), data);
  const auto penalty = sparsity.defined() ? sparsity_penalty(model) : std::nullopt;
  (penalty ? losses + sparsity * *penalty : losses).backward(at::ones_like(losses));
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

void train(Model& model, TrainingData data, const TrainingConfig& config, const TrainingCallbacks& callbacks,
           Launch launch) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t largest_block = 1000;
  constexpr auto longest_block = std::chrono::milliseconds(100);

  const auto options = data.first.target.options();
  const bool recordable = launch == Launch::recorded ||
                          (launch == Launch::fastest && StepGraph::available() && options.device().is_cuda());
  StepGraph graph(options.device(), recordable ? launch : Launch::eager);
  const auto fused = recordable ? nullptr : make_fused(model, data.first, config.loss);
  const auto update =
      make_update(config, fused ? std::vector{fused->parameters()} : model.parameters, recordable);
  if (recordable && data.redraw) {  // the place of every scene
    data.first.input = data.first.input.clone();
    data.first.target = data.first.target.clone();
  }
  const auto block = at::empty({std::min(largest_block, config.steps + 1), model.replicas()},
                               options);                      // losses of its steps
  const auto row = at::zeros({1}, options.dtype(at::kLong));  // of the block, the next
  const auto sparsity = config.sparsity.strength > 0 ? at::zeros({}, options) : at::Tensor();

  const auto take_step = [&] {
    update();
    fused ? fused->project() : project(model);
  };
  const auto recorded_step = [&] {
    const auto losses = by_autograd(model, data.first, config.loss, sparsity);
    const at::NoGradGuard no_grad;
    block.index_copy_(0, row, losses.unsqueeze(0));
    row.add_(1);
    take_step();
  };
  const auto update_model = [&] {
    if (fused) {
      set_weights(model, fused->weights());
    }
  };

  std::int64_t in_block = 0;
  auto block_start = Clock::now();
  for (std::int64_t step = 0;; ++step) {
    if (step > 0 && data.redraw) {
      const auto next = data.redraw();
      if (recordable) {
        data.first.input.copy_(next.input);
        data.first.target.copy_(next.target);
      } else {
        data.first = next;
      }
      if (fused) {
        fused->set_data(data.first);
      }
    }
    if (callbacks.check_every > 0 && step % callbacks.check_every == 0) {
      update_model();
      callbacks.on_check(step);
    }
    const double scale = sparsity_scale(config.sparsity, step);
    if (sparsity.defined() && !fused) {
      sparsity.fill_(scale);
    }
    const bool last = step == config.steps;
    if (recordable && !last) {
      graph.run(recorded_step);
    } else {
      block[in_block].copy_(fused ? by_fused(*fused, scale)
                                  : by_autograd(model, data.first, config.loss, sparsity));
      if (!last) {
        take_step();
      }
    }
    ++in_block;
    if (last || in_block == largest_block || Clock::now() - block_start >= longest_block) {
      const auto fetched = block.narrow(0, 0, in_block).to(at::kCPU, at::kDouble);
      if (!callbacks.on_losses(step + 1 - in_block, fetched) || last) {
        break;
      }
      in_block = 0;
      row.zero_();
      block_start = Clock::now();
    }
  }
  update_model();
}

}  // namespace conv_mult
