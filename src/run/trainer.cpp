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

/// None where LibTorch's own operators do the work: on the literal image, and on CUDA.
std::unique_ptr<FusedLayer> make_fused(const ConvLayer& model, const Dataset& data) {
  if (!data.input.device().is_cpu() || data.form == DataForm::literal) {
    return nullptr;
  }
  if (data.form == DataForm::patches) {
    return std::make_unique<FusedPatches>(model, data);
  }
  return std::make_unique<FusedImage>(model, data);
}

/// `evaluate` leaves the gradient in the parameters and returns the losses, [N].
void run_steps(const std::vector<at::Tensor>& parameters, const std::function<at::Tensor()>& evaluate,
               const TrainingConfig& config, const OnLosses& on_losses) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t largest_block = 1000;
  constexpr auto longest_block = std::chrono::milliseconds(100);

  auto optimizer = make_optimizer(config, parameters);
  at::Tensor block;  // [steps, N]
  std::int64_t in_block = 0;
  auto block_start = Clock::now();
  for (std::int64_t step = 0;; ++step) {
    const auto losses = evaluate();
    if (!block.defined()) {
      block = at::empty({std::min(largest_block, config.steps + 1), losses.size(0)}, losses.options());
    }
    block[in_block++].copy_(losses);
    const bool last = step == config.steps;
    if (last || in_block == largest_block || Clock::now() - block_start >= longest_block) {
      const auto fetched = block.narrow(0, 0, in_block).to(at::kCPU, at::kDouble);
      if (!on_losses(step + 1 - in_block, fetched) || last) {
        return;
      }
      in_block = 0;
      block_start = Clock::now();
    }
    optimizer->step();
  }
}

}  // namespace

void train(ConvLayer& model, const Dataset& data, const TrainingConfig& config, const OnLosses& on_losses) {
  if (const auto fused = make_fused(model, data)) {
    run_steps(
        {fused->parameters()}, [&] { return fused->losses_and_gradient(); }, config, on_losses);
    set_weights(model, fused->weights());
    return;
  }
  const auto evaluate = [&] {
    model->zero_grad();
    const auto losses = l2_loss(model->forward(data.input, data.form), data);
    losses.backward(at::ones_like(losses));
    return losses.detach();
  };
  run_steps(model->parameters(), evaluate, config, on_losses);
}

}  // namespace conv_mult
