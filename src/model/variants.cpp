#include "conv_mult/model/variants.hpp"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/nn/init.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>
#include <numeric>

namespace conv_mult {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Of the parameters of one replica.
std::vector<std::vector<std::int64_t>> shapes_of(const Architecture& architecture) {
  const auto& [variant, kernel_size, depth, width] = architecture;
  std::vector<std::vector<std::int64_t>> shapes;
  if (is_unit(variant)) {
    const std::size_t count = variant == Variant::nmu ? 1 : variant == Variant::nalu ? 3 : 2;
    shapes.assign(count, {2 * kernel_size * kernel_size});
    return shapes;
  }
  for (std::int64_t layer = 0; layer < depth; ++layer) {
    const std::int64_t in = layer == 0 ? 2 : width;
    const std::int64_t out = layer == depth - 1 ? 1 : width;
    shapes.push_back({out, in, kernel_size, kernel_size});
    shapes.push_back({out});
  }
  return shapes;
}

/// The parameters of one replica, drawn from LibTorch's generator: see Model.
std::vector<at::Tensor> draw_parameters(const Architecture& architecture) {
  const auto variant = architecture.variant;
  std::vector<at::Tensor> parameters;
  for (const auto& shape : shapes_of(architecture)) {
    auto parameter = at::empty(shape);
    if (shape.size() == 4) {
      torch::nn::init::kaiming_uniform_(parameter, std::sqrt(5));  // as PyTorch's Conv2d
    } else if (!is_unit(variant)) {
      const double bound = 1 / std::sqrt(static_cast<double>(parameters.back()[0].numel()));
      parameter.uniform_(-bound, bound);
    } else if (variant == Variant::nmu) {
      parameter.uniform_(0.25, 0.75);
    } else if (variant == Variant::npu && !parameters.empty()) {
      parameter.fill_(0.5);
    } else {
      const double glorot = std::sqrt(6 / static_cast<double>(shape[0] + 1));
      parameter.uniform_(-glorot, glorot);
    }
    parameters.push_back(parameter);
  }
  return parameters;
}

/// The product over the last dimension. at::prod's gradient would have to look for zeros.
at::Tensor product(at::Tensor factors) {
  for (std::int64_t n = factors.size(-1); n > 1; n = factors.size(-1)) {
    const auto halves = factors.narrow(-1, 0, n / 2) * factors.narrow(-1, n / 2, n / 2);
    factors = n % 2 == 0 ? halves : at::cat({halves, factors.narrow(-1, n - 1, 1)}, -1);
  }
  return factors.squeeze(-1);
}

/// tanh(w) sigmoid(m).
at::Tensor nac_weight(const Model& model) {
  return model.parameters[0].tanh() * model.parameters[1].sigmoid();
}

at::Tensor conv_layer(const Model& model, const Dataset& data) {
  const auto& weight = model.parameters[0];  // [N, 1, 2, K, K]
  const auto& bias = model.parameters[1];    // [N, 1]
  // A patch meets the kernel once: a matrix product, a tenth of conv2d's overhead.
  return data.form == DataForm::patches
             ? at::addmm(bias.flatten(), data.input.flatten(1), weight.flatten(1).t())
                   .unflatten(1, {model.replicas(), 1, 1})
             : at::conv2d(data.input, weight.flatten(0, 1), bias.flatten(), 1, weight.size(-1) / 2);
}

at::Tensor deep_network(const Model& model, const at::Tensor& input) {
  const auto& [variant, kernel_size, depth, width] = model.architecture;
  auto x = input;
  for (std::int64_t layer = 0; layer < depth; ++layer) {
    const auto& weight = model.parameters[static_cast<std::size_t>(2 * layer)];  // [N, out, in, K, K]
    const auto& bias = model.parameters[static_cast<std::size_t>(2 * layer) + 1];
    const std::int64_t groups = layer == 0 ? 1 : model.replicas();  // all replicas share the input
    x = at::conv2d(x, weight.flatten(0, 1), bias.flatten(), 1, kernel_size / 2, 1, groups);
    if (variant == Variant::stacked_exp) {
      x = x.exp();
    } else if (layer + 1 < depth) {
      x = x.relu();
    }
  }
  return x;
}

/// [P, C, K, K] to [P, N].
at::Tensor unit(const Model& model, const at::Tensor& input) {
  const auto& p = model.parameters;                                                            // each [N, F]
  const auto pair = [&](std::int64_t first) { return input.narrow(1, first, 2).flatten(1); };  // [P, F]
  switch (model.architecture.variant) {
    case Variant::nmu:
      return product(pair(0).unsqueeze(1) * p[0] + (1 - pair(2).unsqueeze(1) * p[0]));
    case Variant::nac_mul:
      return at::matmul(pair(0), nac_weight(model).t()).exp();
    case Variant::nalu: {
      const auto weight = nac_weight(model).t();
      const auto gate = at::matmul(pair(0), p[2].t()).sigmoid();
      return gate * at::matmul(pair(0), weight) + (1 - gate) * at::matmul(pair(2), weight).exp();
    }
    case Variant::npu:
    default: {
      // Not clamp: its gradient at the limits is 1 in LibTorch 1.13 and 0 in 2.15.
      const auto gate = p[1].masked_fill(p[1].lt(0), 0).masked_fill(p[1].gt(1), 1);
      const auto magnitude = pair(0).unsqueeze(1) * gate + (1 - pair(2).unsqueeze(1) * gate);
      return (magnitude.log() * p[0]).sum(-1).exp() * (pi * at::matmul(pair(4), (p[0] * gate).t())).cos();
    }
  }
}

}  // namespace

Encoding encoding_of(Variant variant) {
  switch (variant) {
    case Variant::log_exp:
    case Variant::nac_mul:
      return Encoding::logarithm;
    case Variant::nmu:
      return Encoding::marked;
    case Variant::nalu:
      return Encoding::plain_logarithm;
    case Variant::npu:
      return Encoding::polar;
    default:
      return Encoding::plain;
  }
}

bool is_conv_layer(Variant variant) {
  return variant == Variant::baseline || variant == Variant::exp || variant == Variant::log_exp;
}

bool is_unit(Variant variant) { return !is_conv_layer(variant) && !is_deep(variant); }

std::int64_t reach_of(const Architecture& architecture) {
  return architecture.depth * (architecture.kernel_size / 2);
}

Model make_model(const Architecture& architecture, SeedRange seeds, at::ScalarType dtype, at::Device device) {
  std::vector<std::vector<at::Tensor>> drawn;  // of each parameter, the replicas
  for (std::int64_t i = 0; i < seeds.count; ++i) {
    torch::manual_seed(static_cast<std::uint64_t>(seeds.first + i));
    const auto parameters = draw_parameters(architecture);
    drawn.resize(parameters.size());
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      drawn[k].push_back(parameters[k]);
    }
  }
  Model model{architecture, {}};
  for (const auto& replicas : drawn) {
    model.parameters.push_back(at::stack(replicas).to(device, dtype).requires_grad_());
  }
  return model;
}

Model make_model(const Architecture& architecture, const at::Tensor& weights) {
  Model model{architecture, {}};
  for (auto shape : shapes_of(architecture)) {
    shape.insert(shape.begin(), weights.size(0));
    model.parameters.push_back(at::empty(shape, weights.options()).requires_grad_());
  }
  set_weights(model, weights);
  return model;
}

std::int64_t parameter_count(const Architecture& architecture) {
  std::int64_t count = 0;
  for (const auto& shape : shapes_of(architecture)) {
    count += std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  }
  return count;
}

std::int64_t values_per_pixel(const Architecture& architecture) {
  const auto& [variant, kernel_size, depth, width] = architecture;
  if (variant == Variant::nmu || variant == Variant::npu) {
    return 2 * kernel_size * kernel_size;
  }
  return is_deep(variant) ? 1 + (depth - 1) * width : 1;
}

at::Tensor forward(const Model& model, const Dataset& data) {
  const auto variant = model.architecture.variant;
  if (is_conv_layer(variant)) {
    const auto z = conv_layer(model, data);
    return variant == Variant::baseline ? z : z.exp();
  }
  return is_deep(variant) ? deep_network(model, data.input)
                          : unit(model, data.input).unflatten(1, {model.replicas(), 1, 1});
}

void project(Model& model) {
  if (model.architecture.variant == Variant::nmu) {
    const at::NoGradGuard no_grad;
    model.parameters[0].clamp_(0, 1);
  }
}

std::optional<at::Tensor> sparsity_penalty(const Model& model) {
  if (model.architecture.variant != Variant::nmu) {
    return std::nullopt;
  }
  const auto& w = model.parameters[0];
  return at::minimum(w, 1 - w).mean(1);
}

std::optional<at::Tensor> sparsity_error(const Model& model) {
  const auto variant = model.architecture.variant;
  if (is_deep(variant) || variant == Variant::exp) {
    return std::nullopt;
  }
  const bool nac = variant == Variant::nac_mul || variant == Variant::nalu;
  const auto w = (nac ? nac_weight(model) : model.parameters[0]).detach().abs();
  return at::minimum(w, (1 - w).abs()).flatten(1).amax(1);
}

at::Tensor weights_of(const Model& model) {
  std::vector<at::Tensor> rows;
  for (const auto& parameter : model.parameters) {
    rows.push_back(parameter.detach().flatten(1));
  }
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
  if (kind == LossKind::mse) {
    return error.square().sum({0, 2, 3}) / data.pixels();
  }
  // One replica is PyTorch's own sequence of operators, to the last bit.
  return output.size(1) == 1 ? error.norm().view({1}) : error.norm(2, at::IntArrayRef{0, 2, 3});
}

}  // namespace conv_mult
