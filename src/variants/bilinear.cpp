// The product of two convolutions: a gated linear unit without its sigmoid (Dauphin et al. 2017, "Language Modeling
// with Gated Convolutional Networks", section 2).

#include "variants/common.hpp"

// Highway includes this file once for each instruction set and picks the best at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "variants/bilinear.cpp"
#include <hwy/foreach_target.h>
// Then:
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {

/// (sum v x + c) (sum w x + d): v, c, w, d one after the other, the biases not if they are none.
template <typename Scalar, class D, class V = hn::Vec<D>>
V bilinear_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights,
                 Scalar* HWY_RESTRICT gradient, Scalar* /*scratch*/) {
  const std::int64_t fields = patches.fields;
  const std::int64_t other = patches.rows / 2 * lanes;
  const std::int64_t bias = patches.rows > 2 * fields ? fields * lanes : -1;
  V sum = hn::Zero(d);
  clear_rows(d, gradient, patches.rows);
  for (std::int64_t p = 0; p < patches.count; ++p) {
    const Scalar* x = patches.input + p * fields;
    V left = bias < 0 ? hn::Zero(d) : hn::Load(d, weights + bias);
    V right = bias < 0 ? hn::Zero(d) : hn::Load(d, weights + other + bias);
    for (std::int64_t k = 0; k < fields; ++k) {
      left = hn::MulAdd(hn::Set(d, x[k]), hn::Load(d, weights + k * lanes), left);
      right = hn::MulAdd(hn::Set(d, x[k]), hn::Load(d, weights + other + k * lanes), right);
    }
    const V by_out = half_slope(d, patches, p, hn::Mul(left, right), sum);
    const V by_left = hn::Mul(by_out, right);
    const V by_right = hn::Mul(by_out, left);
    for (std::int64_t k = 0; k < fields; ++k) {
      add_product(d, hn::Set(d, x[k]), by_left, gradient + k * lanes);
      add_product(d, hn::Set(d, x[k]), by_right, gradient + other + k * lanes);
    }
    if (bias >= 0) {
      add_product(d, hn::Set(d, 1), by_left, gradient + bias);
      add_product(d, hn::Set(d, 1), by_right, gradient + other + bias);
    }
  }
  return sum;
}

PatchPass bilinear() { return patch_pass<bilinear_lanes, bilinear_lanes>(); }

}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
namespace {

CONV_MULT_EXPORT_PASS(PatchPass, bilinear)

}  // namespace

/// Without biases, unless asked for: with them a (b - d a + d) fits a scene in which a is 0 or 1 as well. Exact with a
/// centre weight of 1 for a in one and for b in the other.
const Variant variants::bilinear = [] {
  Variant v{"bilinear", "(Σ v x) (Σ w x)", 0x332288, 10, Takes::patches_and_images};
  v.may_have_bias = true;
  v.parameters = [](const Size& size) {
    return joined(conv2d(2, 1, size.kernel_size, "0.", size.bias), conv2d(2, 1, size.kernel_size, "1.", size.bias));
  };
  v.output = [](const Weights& weights, const Dataset& data, const Size& size) {
    const std::size_t second = size.bias ? 2 : 1;
    return convolution(weights[0], bias_after(weights, 0, size), data, size) *
           convolution(weights[second], bias_after(weights, second, size), data, size);
  };
  v.floor = [](const Dataset& /*data*/, const Size& /*size*/) { return std::optional(0.0); };
  v.stream_floor = [](const SceneSource& /*source*/, const Size& /*size*/) { return std::optional(0.0); };
  v.solution = [](const Size& size) {
    const auto both = at_centre(1, size).view({1, 1, 2, size.kernel_size, size.kernel_size});
    auto of_a = both.clone();
    auto of_b = both.clone();
    of_a.select(2, 1).zero_();
    of_b.select(2, 0).zero_();
    const auto none = at::zeros({1, 1}, at::kDouble);
    return size.bias ? Weights{of_a, none, of_b, none} : Weights{of_a, of_b};
  };
  v.patch_pass = bilinear_pass;
  return v;
}();

}  // namespace conv_mult
#endif
