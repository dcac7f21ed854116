#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/data/dataset.hpp"

namespace conv_mult {

/// N replicas of one variant. x is the receptive field of a pixel: K x K pixels of a and of b, 2 K^2 numbers;
/// e is 1e-7; a product or sum runs over x. Padding is what leaves a sum or a product as it is: 0, or 1.
///
///   baseline     sum w x + c
///   exp          exp(sum w x + c), since exp(u + v) = exp(u) exp(v)
///   log-exp      exp(sum w log(|x| + e) + c); exact with centre weights 1, the others and c 0
///   nmu          prod (w x + 1 - w), w clamped to [0, 1] after each step; exact likewise. The Neural
///                Multiplication Unit of Madsen & Johansen 2020, "Neural Arithmetic Units"
///   nac-mul      exp(sum W log(|x| + e)), W = tanh(w) sigmoid(m); exact in the limit of large w and m. The
///                multiplicative path of Trask et al. 2018, "Neural Arithmetic Logic Units"
///   nalu         g sum W x + (1 - g) exp(sum W log(|x| + e)), g = sigmoid(sum G x), both with the same W.
///                All of Trask et al.'s unit
///   npu          exp(sum w log r) cos(pi sum w g n), r = g (|x| + e) + 1 - g, n = 1 where x < 0, else 0;
///                g clipped to [0, 1], e = 2^-23; exact with w = g = 1 at the centre, else 0. The real
///                Neural Power Unit of Heim et al. 2020, "Neural Power Units"
///   stacked-exp  depth times convolution and exp, `width` channels between them
///   relu         depth convolutions with ReLU between them, `width` channels between them
///
/// Initialisation: convolutions as PyTorch's Conv2d does, uniform within 1/sqrt(fan-in) for weights and
/// biases; nmu on [0.25, 0.75] (Madsen & Johansen); nac-mul, nalu and npu's w as Glorot & Bengio 2010,
/// uniform within sqrt(6 / (2 K^2 + 1)), for which Heim et al. ask and which Trask et al. leave open; npu's g
/// is 0.5.
struct Model {
  Architecture architecture;

  /// Each [N, ...]. Convolution: weight [N, out, in, K, K] and bias [N, out], layer after layer; the units:
  /// [N, 2 K^2], in the order of the letters above.
  std::vector<at::Tensor> parameters;

  std::int64_t replicas() const { return parameters.front().size(0); }
};

/// What a variant wants to see of a and b.
Encoding encoding_of(Variant variant);

/// One convolution and perhaps exp, of a and b or their logarithms: baseline, exp, log-exp.
bool is_conv_layer(Variant variant);

/// One arithmetic unit on the receptive field: nmu, nalu, nac-mul, npu.
bool is_unit(Variant variant);

/// How far a pixel of the output sees, in each direction.
std::int64_t reach_of(const Architecture& architecture);

/// The models that the seeds start from, replica i from seed `seeds.first` + i: each parameter in turn drawn
/// after torch.manual_seed(seed), in float32 on the CPU, and then converted, so every dtype and device starts
/// from the same point; that of PyTorch's Conv2d where the model is one.
Model make_model(const Architecture& architecture, SeedRange seeds, at::ScalarType dtype, at::Device device);

/// Models with the given weights, a row [P] for each as weights_of lists them, in their dtype and device.
Model make_model(const Architecture& architecture, const at::Tensor& weights);

/// Numbers in one replica.
std::int64_t parameter_count(const Architecture& architecture);

/// About how many numbers forward makes on its way for one pixel of one replica, for the planning of memory.
std::int64_t values_per_pixel(const Architecture& architecture);

/// image: [S, C, H, W] to [S, N, H, W]; patches: [P, C, K, K] to [P, N, 1, 1]. The channels are those of
/// encoding_of. The units take patches only, see unfolded; deep networks take patches only where K is 1.
at::Tensor forward(const Model& model, const Dataset& data);

/// Puts the parameters back to where they have to be, after each step: nmu's to [0, 1].
void project(Model& model);

/// The mean of min(w, 1 - w) over nmu's weights, [N]; none for other variants.
std::optional<at::Tensor> sparsity_penalty(const Model& model);

/// max over all weights of min(|w|, |1 - |w||) (Madsen & Johansen 2020): how far the worst is from
/// -1, 0 or 1. w is W of nac-mul and nalu, w of the others; [N]. None for networks that have no such
/// solution.
std::optional<at::Tensor> sparsity_error(const Model& model);

/// A row for each replica: parameter after parameter. Float64 on the CPU, [N, P].
at::Tensor weights_of(const Model& model);

/// The inverse of weights_of, into any dtype and device.
void set_weights(Model& model, const at::Tensor& weights);

/// One for each replica, [N]. l2: the norm of out - target over the whole scene, neither squared nor
/// averaged; its subgradient at a loss of exactly 0 is 0. mse: its square over the number of pixels.
at::Tensor losses_of(LossKind kind, const at::Tensor& output, const Dataset& data);

}  // namespace conv_mult
