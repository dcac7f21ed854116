#pragma once

#include "variants/variant.hpp"

namespace conv_mult {
/// A variant of one size.
struct Architecture {
  const Variant* variant = nullptr;
  Size size;

  std::vector<Parameter> parameters() const { return variant->parameters(size); }
};

/// Consecutive seeds.
struct SeedRange {
  std::int64_t first = 0, count = 1;
};

/// N replicas of one architecture.
struct Model {
  Architecture architecture;
  Weights parameters;
  std::int64_t first_seed = 0;     ///< of the noise, where the variant is trained with some
  std::vector<Random> noise = {};  ///< of each replica, from its first step on

  const Variant& variant() const { return *architecture.variant; }
  std::int64_t replicas() const { return parameters.front().size(0); }
};

/// The models that the seeds start from: of each, its parameters in turn are drawn by a generator of that seed, in
/// float32 on the CPU, and then converted. Where the model is one, it is PyTorch's Conv2d after torch.manual_seed.
Model make_model(const Architecture& architecture, SeedRange seeds, at::ScalarType dtype, at::Device device);

/// Models of these weights, a row [P] for each as in weights_of, in their dtype and device; noise as of seeds 0, 1, ...
Model make_model(const Architecture& architecture, const at::Tensor& weights);

/// Numbers in one replica.
std::int64_t parameter_count(const Architecture& architecture);

/// images: [S, C, H, W] to [S, N, H, W]; patches: [P, C, K, K] to [P, N, 1, 1].
inline at::Tensor forward(const Model& model, const Dataset& data) {
  return model.variant().output(model.parameters, data, model.architecture.size);
}

/// The same as it is trained: with noise, where the variant has some, of its own for each replica, from call to call.
at::Tensor forward_in_training(Model& model, const Dataset& data);

/// How far the worst selecting weight, if any, is from -1, 0, 1: max min(|w|, |1 - |w||) (Madsen & Johansen 2020), [N].
std::optional<at::Tensor> sparsity_error(const Model& model);

/// A row for each replica: parameter after parameter. Float64 on the CPU, [N, P].
at::Tensor weights_of(const Model& model);

/// The inverse of weights_of, into any dtype and device.
void set_weights(Model& model, const at::Tensor& weights);

/// One for each replica, [N]. l2: the norm of out - target over the whole scene, neither squared nor averaged; its
/// subgradient at a loss of exactly 0 is 0. mse: its square over the number of pixels.
at::Tensor losses_of(LossKind kind, const at::Tensor& output, const Dataset& data);

/// The content of a file for conv_mult and for Python's torch.load (with weights_only, too), of one replica:
///   {"variant": str, "kernel_size": int, "depth": int, "width": int, "state_dict": {name: tensor}}
/// The state_dict of one convolution is nn.Conv2d's, that of a deep network nn.ModuleList's of Conv2d; that of a unit
/// has its letters, each [2 K^2]. It is a zip archive with checksums.
std::string model_file(const Model& model);

/// The inverse, in float64, also of files that Python wrote. Throws std::runtime_error: in one line what is wrong.
Model parse_model_file(const std::string& content);

/// Those of the files. Throws std::runtime_error that names what is no model, UsageError where a variant comes twice.
std::vector<Model> load_models(const std::vector<std::string>& paths);
}  // namespace conv_mult
