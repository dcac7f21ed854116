#pragma once

#include "conv_mult/model/variants.hpp"

namespace conv_mult {

/// The replicas of a ConvLayer on distinct patches, with loss and gradient computed in one pass over them and
/// nothing stored in between (CPU). For replica n, with c_p the root of the count of patch p:
///   z[p] = bias + sum_k x[p, k] weight[k],  out = z or exp(z),  loss = sqrt(sum_p (c_p (out[p] - t[p]))^2)
///   d loss / d z[p] = c_p^2 (out[p] - t[p]) out'(z[p]) / loss,  and 0 where the loss is 0.
/// Replicas are the lanes of the machine's vectors (Highway picks the widest at run time), so each goes
/// through the same operations in the same order whatever its neighbours are: a seed has the same bits alone,
/// in any block and in any shard.
class FusedLayer {
 public:
  /// The layer and the data agree in dtype; the data are patches on the CPU.
  FusedLayer(const ConvLayer& layer, const Dataset& data);

  static bool applies(const Dataset& data);

  /// [groups, 2 K^2 + 1, 16]: groups of 16 replicas side by side, the bias last. For an optimizer.
  const at::Tensor& parameters() const { return parameters_; }

  /// Puts the gradient where optimizers look for it. Returns the losses, [N].
  at::Tensor losses_and_gradient();

  /// The weights into the layer.
  void store(ConvLayer& layer) const;

 private:
  Variant variant_;
  std::int64_t replicas_;
  at::Tensor input_, target_, root_count_;  // [P, 2 K^2], [P], [P]
  at::Tensor parameters_, losses_;
};

}  // namespace conv_mult
