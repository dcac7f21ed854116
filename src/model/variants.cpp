#include "conv_mult/model/variants.hpp"

#include <ATen/Functions.h>
#include <torch/utils.h>

namespace conv_mult {

ConvLayerImpl::ConvLayerImpl(Variant variant, std::int64_t kernel_size, std::int64_t replicas)
    : conv(register_module(
          "conv",
          torch::nn::Conv2d(torch::nn::Conv2dOptions(2, replicas, kernel_size).padding(kernel_size / 2)))),
      variant_(variant) {}

at::Tensor ConvLayerImpl::forward(const at::Tensor& input, DataForm form) {
  // A patch meets the kernel once: a matrix product, a tenth of conv2d's overhead.
  const auto z = form == DataForm::patches
                     ? at::addmm(conv->bias, input.flatten(1), conv->weight.flatten(1).t())
                           .unflatten(1, {replicas(), 1, 1})
                     : conv->forward(input);
  return variant_ == Variant::exp ? z.exp() : z;
}

ConvLayer make_model(Variant variant, std::int64_t kernel_size, SeedRange seeds, at::ScalarType dtype,
                     at::Device device) {
  ConvLayer model(variant, kernel_size, seeds.count);
  ConvLayer single(variant, kernel_size, 1);
  {
    const at::NoGradGuard no_grad;
    for (std::int64_t i = 0; i < seeds.count; ++i) {
      torch::manual_seed(static_cast<std::uint64_t>(seeds.first + i));
      single->conv->reset_parameters();
      model->conv->weight[i].copy_(single->conv->weight[0]);
      model->conv->bias[i].copy_(single->conv->bias[0]);
    }
  }
  model->to(device, dtype);
  return model;
}

ConvLayer make_model(Variant variant, std::int64_t kernel_size, const std::vector<double>& weights,
                     at::ScalarType dtype) {
  ConvLayer model(variant, kernel_size, 1);
  model->to(dtype);
  set_weights(model, at::tensor(weights, at::kDouble).unsqueeze(0));
  return model;
}

at::Tensor weights_of(const ConvLayer& model) {
  return at::cat({model->conv->weight.flatten(1), model->conv->bias.unsqueeze(1)}, 1)
      .detach()
      .to(at::kCPU, at::kDouble)
      .contiguous();
}

void set_weights(ConvLayer& model, const at::Tensor& weights) {
  const at::NoGradGuard no_grad;
  const std::int64_t fields = weights.size(1) - 1;
  model->conv->weight.copy_(weights.narrow(1, 0, fields).reshape(model->conv->weight.sizes()));
  model->conv->bias.copy_(weights.select(1, fields));
}

at::Tensor l2_loss(const at::Tensor& output, const Dataset& data) {
  const auto difference = output - data.target;
  const auto error = data.form == DataForm::patches ? difference * data.root_count : difference;
  // One replica is PyTorch's own sequence of operators, to the last bit.
  return output.size(1) == 1 ? error.norm().view({1}) : error.norm(2, at::IntArrayRef{0, 2, 3});
}

}  // namespace conv_mult
