#pragma once

#include "conv_mult/model/variants.hpp"

namespace conv_mult {

/// The replicas of one layer or unit (any variant that is not deep) on the CPU, with loss and gradient
/// computed in one pass over the data and nothing stored in between:
///   l2:  loss = sqrt(sum (out - target)^2),  d loss / d out = (out - target) / loss,  0 where it is 0;
///   mse: loss = sum (out - target)^2 / n,    d loss / d out = 2 (out - target) / n.
class FusedLayer {
 public:
  virtual ~FusedLayer() = default;

  /// Other data of the same form and size.
  virtual void set_data(const Dataset& data) = 0;

  /// For an optimizer; losses_and_gradient puts the gradient where it looks for it.
  virtual const at::Tensor& parameters() const = 0;

  /// The losses, [N].
  virtual at::Tensor losses_and_gradient() = 0;

  /// Adds scale times the gradient of sparsity_penalty: scale / F for w < 1/2, -scale / F for w > 1/2.
  virtual void add_sparsity_gradient(double /*scale*/) {}

  /// As project(model), for parameters().
  virtual void project() {}

  /// The weights, a row for each replica as weights_of has them: [N, P].
  virtual at::Tensor weights() const = 0;
};

/// Patches, each with the root of its count as a factor of its error: every layer and unit. Replicas are the
/// lanes of the machine's vectors (Highway picks the widest at run time), so each goes through the same
/// operations in the same order whatever its neighbours are: a seed has the same bits alone, in any block and
/// in any shard.
class FusedPatches final : public FusedLayer {
 public:
  FusedPatches(const Model& model, const Dataset& data, LossKind loss);
  void set_data(const Dataset& data) override;
  const at::Tensor& parameters() const override { return parameters_; }
  at::Tensor losses_and_gradient() override;
  void add_sparsity_gradient(double scale) override;
  void project() override;
  at::Tensor weights() const override;

 private:
  Variant variant_;
  LossKind loss_;
  std::int64_t replicas_;
  std::int64_t fields_;  // F = 2 K^2
  double pixels_ = 0;
  at::Tensor input_, target_, root_count_;  // [patches, C K^2], [patches], [patches]
  at::Tensor parameters_;                   // [groups, P, 16]: groups of 16 replicas side by side
  at::Tensor losses_;
};

/// The whole image (is_conv_layer only), row by row without im2col: pixels are the lanes, sums over blocks of
/// pixels are added up in double. Threads share the rows in bands that do not depend on their number, so it
/// does not change a bit.
class FusedImage final : public FusedLayer {
 public:
  FusedImage(const Model& model, const Dataset& data, LossKind loss);
  void set_data(const Dataset& data) override;
  const at::Tensor& parameters() const override { return parameters_; }
  at::Tensor losses_and_gradient() override;
  at::Tensor weights() const override { return parameters_; }

 private:
  bool exponential_;
  LossKind loss_;
  std::int64_t kernel_size_;
  std::int64_t height_ = 0, width_ = 0;
  at::Tensor input_, target_;  // [2, H + K - 1, stride], [H, stride]
  at::Tensor parameters_;      // [N, 2 K^2 + 1]
  at::Tensor losses_;
};

}  // namespace conv_mult
