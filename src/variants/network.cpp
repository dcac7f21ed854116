// Networks of several convolutions: the post's closing claims (i) and (ii).

#include "variants/common.hpp"

namespace conv_mult {
namespace {

std::vector<Parameter> convolutions(const Size& size) {
  std::vector<Parameter> parameters;
  for (std::int64_t layer = 0; layer < size.depth; ++layer) {
    for (auto& parameter : conv2d(layer == 0 ? 2 : size.width, layer == size.depth - 1 ? 1 : size.width,
                                  size.kernel_size, std::to_string(layer) + '.')) {
      parameters.push_back(std::move(parameter));
    }
  }
  return parameters;
}

/// `activation` of a layer's output, and whether it is the last.
template <typename Activation>
at::Tensor network(const Weights& weights, const Dataset& data, const Size& size, Activation activation) {
  auto x = data.input;
  for (std::int64_t layer = 0; layer < size.depth; ++layer) {
    const auto& weight = weights[static_cast<std::size_t>(2 * layer)];  // [N, out, in, K, K]
    const auto& bias = weights[static_cast<std::size_t>(2 * layer) + 1];
    const std::int64_t groups = layer == 0 ? 1 : weight.size(0);  // all replicas share the input
    x = activation(at::conv2d(x, weight.flatten(0, 1), bias.flatten(), 1, size.kernel_size / 2, 1, groups),
                   layer == size.depth - 1);
  }
  return x;
}

}  // namespace

const Variant variants::stacked_exp = [] {
  Variant v{"stacked-exp", "--depth times convolution and exp", 0x999999, 4, Takes::images};
  v.parameters = convolutions;
  v.sized = true;
  v.output = [](const Weights& weights, const Dataset& data, const Size& size) {
    return network(weights, data, size, [](const at::Tensor& x, bool /*last*/) { return x.exp(); });
  };
  return v;
}();

const Variant variants::relu = [] {
  Variant v{"relu", "--depth convolutions with ReLU between them", 0x882255, 15, Takes::images};
  v.parameters = convolutions;
  v.sized = true;
  v.output = [](const Weights& weights, const Dataset& data, const Size& size) {
    return network(weights, data, size, [](const at::Tensor& x, bool last) { return last ? x : x.relu(); });
  };
  return v;
}();

}  // namespace conv_mult
