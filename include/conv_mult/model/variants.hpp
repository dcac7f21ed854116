#pragma once

#include <torch/nn/modules/conv.h>

#include "conv_mult/config.hpp"
#include "conv_mult/data/dataset.hpp"

namespace conv_mult {

/// One convolutional layer, 2 channels to 1, with an activation:
///   baseline: out = conv(x)
///   exp:      out = exp(conv(x)), since exp(u + v) = exp(u) exp(v)
/// where conv is nn::Conv2d(2, 1, K, padding K/2) in PyTorch's own default initialisation: uniform on
/// [-1/sqrt(2 K^2), 1/sqrt(2 K^2)] for weights and bias (He et al. 2015 with a = sqrt(5), as PyTorch calls
/// it).
class ConvLayerImpl : public torch::nn::Module {
 public:
  ConvLayerImpl(Variant variant, std::int64_t kernel_size);

  /// image: [1, 2, H, W] to [1, 1, H, W]; patches: [P, 2, K, K] to [P, 1, 1, 1].
  at::Tensor forward(const at::Tensor& input, DataForm form);

  torch::nn::Conv2d conv{nullptr};

 private:
  Variant variant_;
};
TORCH_MODULE(ConvLayer);

/// The model that `seed` starts from: the weights of torch.manual_seed(seed); nn.Conv2d(...). They are drawn
/// in float32 on the CPU and then converted, so every dtype and device starts from the same point.
ConvLayer make_model(Variant variant, std::int64_t kernel_size, std::int64_t seed, at::ScalarType dtype,
                     at::Device device);

/// L2 norm of out - target over the whole scene: the norm itself, neither squared nor averaged. Scalar
/// tensor. Its subgradient at a loss of exactly 0 is 0.
at::Tensor l2_loss(const at::Tensor& output, const Dataset& data);

}  // namespace conv_mult
