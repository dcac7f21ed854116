#pragma once

#include "train/model.hpp"

namespace conv_mult {
/// What the steps are trained on.
struct TrainingData {
  Dataset first;                    ///< step 0
  std::function<Dataset()> redraw;  ///< each step after it; empty: the same again
};

struct TrainingConfig {
  OptimizerKind optimizer = OptimizerKind::adam;
  double learning_rate = 0.01;
  Decay decay = Decay::none;
  std::int64_t steps = 3000;
  LossKind loss = LossKind::l2;
  std::int64_t seeds = lanes;  ///< of all blocks together
  Sparsity sparsity;           ///< how strong the variant's regulariser is, where it has one
  Lasso lasso;                 ///< likewise, of variants that take it
};

/// Of the update after `step` others: from learning_rate down to 0 after the last one, along a line or half a period of
/// a cosine (Loshchilov & Hutter 2017, without restarts), or the same at all steps.
double learning_rate_at(const TrainingConfig& config, std::int64_t step);

struct TrainingCallbacks {
  /// Called several times a second with the losses after `first_step`, `first_step` + 1, ... updates: float64 on the
  /// CPU, [steps, N]. Returning false ends the training.
  std::function<bool(std::int64_t first_step, const at::Tensor& losses)> on_losses;

  /// Called after every check_every-th update, 0 included, with the model as it is then, before the losses there; 0:
  /// never.
  std::int64_t check_every = 0;
  std::function<void(std::int64_t step)> on_check;
};

/// Full-batch training of every replica of `model` in place, with PyTorch's optimizer and its defaults apart from the
/// learning rate: `config.steps` updates, `config.steps` + 1 losses. A regulariser has a part in the gradient, not in
/// the losses. Losses stay on the device and are fetched in blocks of at most a thousand steps or a tenth of a second,
/// so a step does not wait for the device. On the CPU, variants with a pass for such data go through FusedLayer; all
/// else goes through autograd.
void train(Model& model, TrainingData data, const TrainingConfig& config, const TrainingCallbacks& callbacks);
}  // namespace conv_mult
