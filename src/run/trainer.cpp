#include "conv_mult/run/trainer.hpp"

#include <ATen/Functions.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

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

/// Appends the losses up to the first that is not finite. Returns whether all of them were finite.
bool append_finite(std::vector<double>& losses, const at::Tensor& block) {
  const auto values = block.to(at::kCPU, at::kDouble);
  const auto* begin = values.data_ptr<double>();
  const auto* end = begin + values.numel();
  const auto* bad = std::find_if_not(begin, end, [](double loss) { return std::isfinite(loss); });
  losses.insert(losses.end(), begin, bad == end ? end : bad + 1);
  return bad == end;
}

}  // namespace

TrainingHistory train(ConvLayer& model, const Dataset& data, const TrainingConfig& config,
                      const OnProgress& on_progress) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t largest_block = 1000;
  constexpr auto longest_block = std::chrono::milliseconds(100);

  auto optimizer = make_optimizer(config, model->parameters());
  auto block = at::empty({largest_block}, data.target.options());
  std::int64_t in_block = 0;
  auto block_start = Clock::now();
  TrainingHistory history;
  for (std::int64_t step = 0;; ++step) {
    optimizer->zero_grad();
    auto loss = l2_loss(model->forward(data.input, data.form), data);
    block[in_block++].copy_(loss.detach());
    const bool last = step == config.steps;
    if (last || in_block == largest_block || Clock::now() - block_start >= longest_block) {
      const bool finite = append_finite(history.losses, block.narrow(0, 0, in_block));
      if (last || !finite) {
        return history;
      }
      if (!on_progress(step, history.losses.back())) {
        history.interrupted = true;
        return history;
      }
      in_block = 0;
      block_start = Clock::now();
    }
    loss.backward();
    optimizer->step();
  }
}

}  // namespace conv_mult
