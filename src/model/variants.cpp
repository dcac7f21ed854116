#include "conv_mult/model/variants.hpp"

#include <ATen/Functions.h>
#include <torch/utils.h>

namespace conv_mult {

ConvLayerImpl::ConvLayerImpl(Variant variant, std::int64_t kernel_size)
    : conv(register_module(
          "conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 1, kernel_size).padding(kernel_size / 2)))),
      variant_(variant) {}

at::Tensor ConvLayerImpl::forward(const at::Tensor& input, DataForm form) {
  // A patch meets the kernel once: a matrix product, a tenth of conv2d's overhead.
  const auto z =
      form == DataForm::image
          ? conv->forward(input)
          : at::addmm(conv->bias, input.flatten(1), conv->weight.flatten(1).t()).unflatten(1, {1, 1, 1});
  return variant_ == Variant::exp ? z.exp() : z;
}

ConvLayer make_model(Variant variant, std::int64_t kernel_size, std::int64_t seed, at::ScalarType dtype,
                     at::Device device) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  ConvLayer model(variant, kernel_size);
  model->to(device, dtype);
  return model;
}

at::Tensor l2_loss(const at::Tensor& output, const Dataset& data) {
  const auto error = output - data.target;
  return (data.form == DataForm::patches ? error * data.root_count : error).norm();
}

}  // namespace conv_mult
