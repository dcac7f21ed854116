#include "conv_mult/model/fused.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include "conv_mult/model/fused_kernel.hpp"

namespace conv_mult {
namespace {

/// Replicas are padded to this many: then the optimizer's vectors, too, have no remainder to treat otherwise.
constexpr std::int64_t replica_multiple = 2 * lanes;

}  // namespace

bool FusedLayer::applies(const Dataset& data) {
  return data.form == DataForm::patches && data.input.device().is_cpu();
}

FusedLayer::FusedLayer(const ConvLayer& layer, const Dataset& data)
    : variant_(layer->variant()),
      replicas_(layer->replicas()),
      input_(data.input.flatten(1).contiguous()),
      target_(data.target.flatten().contiguous()),
      root_count_(data.root_count.flatten().contiguous()) {
  const auto rows = weights_of(layer).to(input_.scalar_type());  // [N, 2 K^2 + 1]
  const std::int64_t padding = (replica_multiple - replicas_ % replica_multiple) % replica_multiple;
  parameters_ = at::constant_pad_nd(rows, {0, 0, 0, padding})
                    .view({-1, lanes, rows.size(1)})
                    .transpose(1, 2)
                    .contiguous();
  parameters_.mutable_grad() = at::zeros_like(parameters_);
  losses_ = at::zeros({replicas_ + padding}, input_.options());
}

at::Tensor FusedLayer::losses_and_gradient() {
  const std::int64_t groups = parameters_.size(0);
  constexpr std::int64_t groups_per_task = 8;  // some 10 us on 68 patches: below that, threads cost more
  AT_DISPATCH_FLOATING_TYPES(input_.scalar_type(), "losses_and_gradient", [&] {
    const Patches<scalar_t> patches{input_.data_ptr<scalar_t>(), target_.data_ptr<scalar_t>(),
                                    root_count_.data_ptr<scalar_t>(), input_.size(0), input_.size(1)};
    const auto* weights = parameters_.data_ptr<scalar_t>();
    auto* gradient = parameters_.mutable_grad().data_ptr<scalar_t>();
    auto* losses = losses_.data_ptr<scalar_t>();
    at::parallel_for(0, groups, groups_per_task, [&](std::int64_t begin, std::int64_t end) {
      fused_pass(variant_ == Variant::exp, patches, begin, end, weights, gradient, losses);
    });
  });
  return losses_.narrow(0, 0, replicas_);
}

void FusedLayer::store(ConvLayer& layer) const {
  const at::NoGradGuard no_grad;
  const auto rows = parameters_.transpose(1, 2).flatten(0, 1).narrow(0, 0, replicas_);  // [N, 2 K^2 + 1]
  const std::int64_t fields = rows.size(1) - 1;
  layer->conv->weight.copy_(rows.narrow(1, 0, fields).reshape(layer->conv->weight.sizes()));
  layer->conv->bias.copy_(rows.select(1, fields));
}

}  // namespace conv_mult
