#pragma once

#include "train/model.hpp"

namespace conv_mult {
/// Whether a pass of the variant's goes over such data; else LibTorch's operators and autograd do the work. They do on
/// other devices, and where a network's layers of an image would take hundreds of megabytes.
bool is_fused(const Architecture& architecture, const Dataset& data);

/// Replicas on the CPU: loss and gradient in one pass of the variant's over the data, nothing stored in between:
///   l2:  loss = sqrt(sum (out - target)^2),  d loss / d out = (out - target) / loss,  0 where it is 0;
///   mse: loss = sum (out - target)^2 / n,    d loss / d out = 2 (out - target) / n.
/// In patch_pass and network_pass replicas, or the channels of one, are the lanes of the machine's vectors, so that a
/// seed has the same bits alone, in any block and in any shard. In image_pass, of one layer, pixels are the lanes, and
/// threads share the rows in bands that do not depend on their number.
class FusedLayer {
 public:
  FusedLayer(const Model& model, const Dataset& data, LossKind loss);

  /// Other data of the same form.
  void set_data(const Dataset& data);

  /// The losses, [N], always in the same place; the gradient is left in parameters().grad(), if it is asked for.
  const at::Tensor& losses_and_gradient(bool losses_only = false);

  /// The next step of torch::optim's optimizer of this kind with its defaults, to the last bit.
  void update(OptimizerKind optimizer, double learning_rate);

  /// Of such as parameters(): a row for each replica as weights_of has them, [N, P].
  at::Tensor rows_of(const at::Tensor& parameters) const {
    return pass_ ? parameters.transpose(1, 2).flatten(0, 1).narrow(0, 0, replicas_) : parameters;
  }
  at::Tensor weights() const { return rows_of(parameters_); }

  /// All of them in one tensor, [groups of lanes, P, lanes] or, of image_pass, [N, P].
  const at::Tensor& parameters() const { return parameters_; }

  /// Views of the parameters, with their gradient in grad(), one for each parameter of the variant.
  const Weights& views() const { return views_; }

 private:
  template <typename Scalar>
  void pass_over_image();

  PatchPass pass_;  // none: image_pass_
  ImagePass image_pass_;
  LossKind loss_;
  std::int64_t replicas_, steps_ = 0;
  Size size_;
  NetworkShape shape_;
  double mean_over_ = 0;                            // mse: the pixels, l2: 0
  at::Tensor input_, target_, root_count_;          // as PatchData or ImageData has them
  at::Tensor parameters_, mean_, square_, losses_;  // followed by unused numbers up to whole vectors
  Weights views_;
};

/// What the steps are trained on.
struct TrainingData {
  Dataset first;                    ///< step 0
  std::function<Dataset()> redraw;  ///< each step after it; empty: the same again
};

/// Of a run, and what one row takes of its lists.
struct TrainingConfig : Config {
  OptimizerKind optimizer = OptimizerKind::adam;
  double learning_rate = 0.01;
};

/// Of the update after `step` others: from learning_rate down to 0 after the last one, along a line or half a period of
/// a cosine (Loshchilov & Hutter 2017, without restarts), or the same at all steps.
double learning_rate_at(const TrainingConfig& config, std::int64_t step);

/// Called several times a second with the losses after `first_step`, `first_step` + 1, ... updates: float64 on the CPU,
/// [steps, N]. Returning false ends the training.
using OnLosses = std::function<bool(std::int64_t first_step, const at::Tensor& losses)>;

/// Called after every check_every-th update, 0 included, with the model as it is then, before the losses there.
using OnCheck = std::function<void(std::int64_t step)>;

/// Full-batch training of every replica of `model` in place, with PyTorch's optimizer and its defaults apart from the
/// learning rate: `config.steps` updates, `config.steps` + 1 losses. A regulariser has a part in the gradient, not in
/// the losses. Losses are fetched from the device in blocks of at most a thousand steps or a tenth of a second. Where
/// is_fused, the work is FusedLayer's, else autograd's.
void train(Model& model, TrainingData data, const TrainingConfig& config, const OnLosses& on_losses,
           const OnCheck& on_check = nullptr);
}  // namespace conv_mult
