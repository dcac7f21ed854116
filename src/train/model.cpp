#include "train/model.hpp"
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/accumulate.h>
#include <algorithm>

namespace conv_mult {
namespace {
std::vector<Random> noise_of(const Architecture& architecture, SeedRange seeds) {
  constexpr std::uint32_t stream = 16;  // beyond those of scenes
  std::vector<Random> noise;
  for (std::int64_t i = 0; i < seeds.count && architecture.variant->noisy_output != nullptr; ++i) {
    noise.emplace_back(seeds.first + i, stream);
  }
  return noise;
}
}  // namespace

Model make_model(const Architecture& architecture, SeedRange seeds, at::ScalarType dtype, at::Device device) {
  const at::NoGradGuard no_grad;
  const auto parameters = architecture.parameters();
  std::vector<std::vector<at::Tensor>> drawn(parameters.size());  // of each parameter, the replicas
  for (std::int64_t i = 0; i < seeds.count; ++i) {
    const auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(seeds.first + i));
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      const auto& [name, shape, low, high] = parameters[k];
      auto replica = at::full(shape, low, at::kFloat);
      drawn[k].push_back(low == high ? replica : replica.uniform_(low, high, generator));
    }
  }
  Model model{architecture, {}, noise_of(architecture, seeds)};
  for (const auto& replicas : drawn) {
    model.parameters.push_back(at::stack(replicas).to(device, dtype).requires_grad_());
  }
  return model;
}

Model make_model(const Architecture& architecture, const at::Tensor& weights) {
  Model model{architecture, {}, noise_of(architecture, {0, weights.size(0)})};
  for (auto& [name, shape, low, high] : architecture.parameters()) {
    shape.insert(shape.begin(), weights.size(0));
    model.parameters.push_back(at::empty(shape, weights.options()).requires_grad_());
  }
  set_weights(model, weights);
  return model;
}

std::int64_t parameter_count(const Architecture& architecture) {
  std::int64_t count = 0;
  for (const auto& parameter : architecture.parameters()) { count += c10::multiply_integers(parameter.shape); }
  return count;
}

at::Tensor forward(const Model& model, const Dataset& data) {
  return model.variant().output(model.parameters, data, model.architecture.size);
}

at::Tensor forward_in_training(Model& model, const Dataset& data) {
  if (model.variant().noisy_output == nullptr) { return forward(model, data); }
  auto noise = at::empty({model.replicas(), data.input.size(0), model.architecture.size.fields()}, at::kDouble);
  auto* number = noise.data_ptr<double>();
  for (auto& random : model.noise) {
    number = std::generate_n(number, noise[0].numel(), [&] { return random.unit(); });
  }
  return model.variant().noisy_output(model.parameters, data, noise.transpose(0, 1).to(data.input.options()));
}

std::optional<at::Tensor> sparsity_error(const Model& model) {
  if (model.variant().selection == nullptr) { return std::nullopt; }
  const auto w = model.variant().selection(model.parameters).detach().abs();
  return at::minimum(w, (1 - w).abs()).flatten(1).amax(1);
}

at::Tensor weights_of(const Model& model) {
  std::vector<at::Tensor> rows;
  for (const auto& parameter : model.parameters) { rows.push_back(parameter.detach().flatten(1)); }
  return at::cat(rows, 1).to(at::kCPU, at::kDouble).contiguous();
}

void set_weights(Model& model, const at::Tensor& weights) {
  const at::NoGradGuard no_grad;
  std::int64_t begin = 0;
  for (auto& parameter : model.parameters) {
    const std::int64_t size = parameter.numel() / parameter.size(0);
    parameter.copy_(weights.narrow(1, begin, size).reshape(parameter.sizes()));
    begin += size;
  }
}

at::Tensor losses_of(LossKind kind, const at::Tensor& output, const Dataset& data) {
  const auto difference = output - data.target;
  const auto error = data.root_count.defined() ? difference * data.root_count : difference;
  if (kind == LossKind::mse) { return error.square().sum({0, 2, 3}) / data.pixels(); }
  // One replica is PyTorch's own sequence of operators, to the last bit.
  return output.size(1) == 1 ? error.norm().view({1}) : error.norm(2, at::IntArrayRef{0, 2, 3});
}
}  // namespace conv_mult
