#pragma once
// What a variant is. Everything that is known of one stands in its file, and a line in variants.cpp.

#include "kernels/passes.hpp"
#include "scenes/scene.hpp"

namespace conv_mult {
/// Of a layer or network. Depth and width are 1 but for variants that are `sized`, bias is false but where they may.
struct Size {
  std::int64_t kernel_size = 3;
  std::int64_t depth = 1;  ///< convolutions in a row
  std::int64_t width = 1;  ///< channels between them
  bool bias = false;       ///< in the convolutions, where they may be without

  std::int64_t fields() const { return 2 * kernel_size * kernel_size; }  ///< of a and b together
  std::int64_t reach() const { return depth * (kernel_size / 2); }       ///< pixels seen in each direction
  std::int64_t values() const { return 1 + (depth - 1) * width; }        ///< that the layers make of a pixel
};

/// Of one replica, uniform on [low, high], or `low` where these are equal; `normal`: of mean `low`, deviation `high`.
struct Parameter {
  std::string name;  ///< in the state_dict
  std::vector<std::int64_t> shape;
  double low = 0, high = 0;
  bool normal = false;
};

/// The parameters of N replicas, in the order of Variant::parameters: each [N, shape...].
using Weights = std::vector<at::Tensor>;

/// Which forms of the data a variant's output can be computed on.
enum class Takes {
  patches,             ///< one receptive field for each number of the output
  patches_and_images,  ///< these, and whole images
  images               ///< networks of several layers; patches only where K is 1
};

/// A layer, unit or network that shall multiply. x is the receptive field of a pixel: K x K pixels of a and of b, 2 K^2
/// numbers; a product or sum runs over x. Padding is what leaves it as it is: 0 or 1. What a variant lacks is left out.
struct Variant {
  const char* name = nullptr;
  const char* formula = nullptr;
  std::uint32_t colour = 0;  ///< 0xRRGGBB, and gnuplot's point type: the same in every figure of every run
  int point = 0;
  Takes takes = Takes::patches_and_images;
  Encode encode = plain;
  std::vector<Parameter> (*parameters)(const Size& size) = nullptr;
  bool sized = false;          ///< --depth and --width
  std::int64_t depth = 0;      ///< of one that is sized, its own; 0: that of --depth
  std::int64_t width = 8;      ///< likewise, where --width says nothing
  bool may_have_bias = false;  ///< --bias

  /// By LibTorch's operators. images: [S, C, H, W] to [S, N, H, W]; patches: [P, C, K, K] to [P, N, 1, 1].
  at::Tensor (*output)(const Weights& weights, const Dataset& data, const Size& size) = nullptr;

  /// What is trained in its place, where that takes noise: numbers drawn from [0, 1) anew at every step, [P, N, F].
  at::Tensor (*noisy_output)(const Weights& weights, const Dataset& data, const at::Tensor& noise) = nullptr;

  /// Puts the weights, all or a part of each, back to where they have to be, in place, after each step.
  void (*project)(const Weights& weights) = nullptr;

  /// Adds strength times the gradient of a penalty to the weights' grad(), element by element. Of both, dimension 0 is
  /// replicas or groups of them, and dimension 1 the numbers of a replica.
  void (*regularise)(const Weights& weights, double strength) = nullptr;

  double clip = 0;      ///< where not 0, gradients are kept within +-clip
  bool lasso = false;   ///< the strength is that of --npu-l1, else that of --nmu-sparsity
  bool affine = false;  ///< every affine function of x and no other: over a stream the infimum is the source's

  /// The weights that select what is multiplied, each -1, 0 or 1 where it is a product: [N, ...].
  at::Tensor (*selection)(const Weights& weights) = nullptr;

  /// The infimum of the L2 loss over all weights on such data, in float64, where it is known and not always 0.
  std::optional<double> (*floor)(const Dataset& data, const Size& size) = nullptr;

  /// From so many channels on its solution is exact and the infimum 0 on any data.
  std::int64_t exact_width = std::numeric_limits<std::int64_t>::max();

  /// Of one replica, float64 [1, shape...]: output is a b where both are > 0, to rounding; of logarithms to 1e-6 of it.
  Weights (*solution)(const Size& size) = nullptr;

  /// Loss and gradient in one pass on the CPU; none: autograd does it, slower but right.
  PatchPass patch_pass = {};
  PatchPass network_pass = {};  ///< over an image, layer by layer
  ImagePass image_pass = {};
};

/// Every variant, in the order of --help and of `--variant all`.
extern const std::vector<const Variant*> all_variants;

/// The variant of this name; null where there is none.
const Variant* find_variant(std::string_view name);

namespace variants {
extern const Variant baseline, exp, log_exp, product_unit;  // conv.cpp
extern const Variant nmu, snmu;                             // nmu.cpp
extern const Variant nalu, nac_mul;                         // nac.cpp
extern const Variant stacked_exp, relu;                     // network.cpp
extern const Variant npu, inalu, bilinear, square;          // each in a file of its name
}  // namespace variants
}  // namespace conv_mult
