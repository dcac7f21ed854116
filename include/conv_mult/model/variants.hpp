#pragma once

#include <torch/nn/modules/conv.h>

#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/data/dataset.hpp"

namespace conv_mult {

/// One convolutional layer, 2 channels to 1, with an activation:
///   baseline: out = conv(x)
///   exp:      out = exp(conv(x)), since exp(u + v) = exp(u) exp(v)
/// N replicas of it are the N output channels of one layer: their losses are separate, so none has a part in
/// another's gradient.
class ConvLayerImpl : public torch::nn::Module {
 public:
  ConvLayerImpl(Variant variant, std::int64_t kernel_size, std::int64_t replicas);

  /// image: [1, 2, H, W] to [1, N, H, W]; patches: [P, 2, K, K] to [P, N, 1, 1].
  at::Tensor forward(const at::Tensor& input, DataForm form);

  Variant variant() const { return variant_; }
  std::int64_t replicas() const { return conv->weight.size(0); }

  torch::nn::Conv2d conv{nullptr};  // weight [N, 2, K, K], bias [N]

 private:
  Variant variant_;
};
TORCH_MODULE(ConvLayer);

/// The models that the seeds start from, replica i from seed `seeds.first` + i: the weights of
/// torch.manual_seed(seed); nn.Conv2d(2, 1, K), in PyTorch's own default initialisation: uniform on
/// [-1/sqrt(2 K^2), 1/sqrt(2 K^2)] for weights and bias (He et al. 2015 with a = sqrt(5), as PyTorch calls
/// it). They are drawn in float32 on the CPU and then converted, so every dtype and device starts from the
/// same point.
ConvLayer make_model(Variant variant, std::int64_t kernel_size, SeedRange seeds, at::ScalarType dtype,
                     at::Device device);

/// A model of one replica with the given weights, as weights_of lists them. On the CPU.
ConvLayer make_model(Variant variant, std::int64_t kernel_size, const std::vector<double>& weights,
                     at::ScalarType dtype);

/// A row for each replica: its weight [2, K, K] and then its bias. Float64 on the CPU, [N, 2 K^2 + 1].
at::Tensor weights_of(const ConvLayer& model);

/// The inverse of weights_of, into any dtype and device.
void set_weights(ConvLayer& model, const at::Tensor& weights);

/// L2 norm of out - target over the whole scene, one for each replica, [N]: the norm itself, neither squared
/// nor averaged. Its subgradient at a loss of exactly 0 is 0.
at::Tensor l2_loss(const at::Tensor& output, const Dataset& data);

}  // namespace conv_mult
