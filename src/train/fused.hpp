#pragma once

#include "train/model.hpp"

namespace conv_mult {

/// Whether so many seeds go through a pass of the variant's on such data; else LibTorch's operators and autograd do the
/// work. They do on other devices, and where wide layers of few seeds would leave most lanes without work.
bool is_fused(const Architecture& architecture, const Dataset& data, std::int64_t seeds);

/// Replicas of one layer or unit on the CPU: loss and gradient in one pass over the data, nothing stored in between:
///   l2:  loss = sqrt(sum (out - target)^2),  d loss / d out = (out - target) / loss,  0 where it is 0;
///   mse: loss = sum (out - target)^2 / n,    d loss / d out = 2 (out - target) / n.
class FusedLayer {
 public:
  virtual ~FusedLayer() = default;

  /// Other data of the same form and size.
  virtual void set_data(const Dataset& data) = 0;

  /// The losses, [N], always in the same place; the gradient is left in parameters().grad().
  virtual const at::Tensor& losses_and_gradient() = 0;

  /// The next step of torch::optim's optimizer of this kind with its defaults, to the last bit.
  void update(OptimizerKind optimizer, double learning_rate);

  /// A row for each replica as weights_of has them: [N, P].
  virtual at::Tensor weights() const = 0;

  /// All of them in one tensor, whose dimension 1 is the numbers of a replica.
  const at::Tensor& parameters() const { return parameters_; }

  /// Views of the parameters and of their gradient, one for each parameter of the variant.
  const Weights& views() const { return views_; }
  const Weights& gradient_views() const { return gradient_views_; }

 protected:
  void set_parameters(const at::Tensor& parameters, const Model& model);

 private:
  at::Tensor parameters_, mean_, square_;  // followed by unused numbers up to whole vectors
  Weights views_, gradient_views_;
  std::int64_t steps_ = 0;
};

/// Patches or, for networks, pixels, each with the root of its count as a factor of its error. Replicas are the lanes
/// of the machine's vectors (Highway picks the widest at run time), so a seed has the same bits alone, in any block and
/// in any shard. The variant has a patch_pass or a network_pass.
class FusedReplicas final : public FusedLayer {
 public:
  FusedReplicas(const Model& model, const Dataset& data, LossKind loss);
  void set_data(const Dataset& data) override;
  const at::Tensor& losses_and_gradient() override;
  at::Tensor weights() const override;

 private:
  PatchPass pass_;
  LossKind loss_;
  std::int64_t replicas_;
  Size size_;
  NetworkShape shape_;
  double pixels_ = 0;
  at::Tensor input_, target_, root_count_;  // [patches, C K^2] or [1, 2 H W], [pixels], [pixels]
  at::Tensor lane_losses_, losses_;         // [groups, 16], [N]; parameters: [groups, P, 16]
};

/// The whole image, row by row without im2col: pixels are the lanes, sums over blocks of pixels are added up in double.
/// Threads share the rows in bands that do not depend on their number, so it does not change a bit. The variant has an
/// image_pass.
class FusedImage final : public FusedLayer {
 public:
  FusedImage(const Model& model, const Dataset& data, LossKind loss);
  void set_data(const Dataset& data) override;
  const at::Tensor& losses_and_gradient() override;
  at::Tensor weights() const override { return parameters(); }

 private:
  ImagePass pass_;
  LossKind loss_;
  std::int64_t kernel_size_, height_ = 0, width_ = 0;
  at::Tensor input_, target_, losses_;  // [2, H + K - 1, stride], [H, stride], [N]; parameters: [N, P]
};

}  // namespace conv_mult
