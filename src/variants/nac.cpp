// The Neural Arithmetic Logic Unit of Trask et al. 2018, "Neural Arithmetic Logic Units", and its multiplicative path
// alone.

#include "variants/common.hpp"

// Highway includes this file once for each instruction set and picks the best at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "variants/nac.cpp"
#include <hwy/foreach_target.h>
// Then:
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {

/// W = tanh(w) sigmoid(m), F rows. Its two factors wait where the gradient of w and m will be.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE void nac_weights(D d, std::int64_t fields, const Scalar* weights, Scalar* gradient, Scalar* nac) {
  for (std::int64_t k = 0; k < fields * lanes; k += lanes) {
    const V tanh = hn::Tanh(d, hn::Load(d, weights + k));
    const V sigmoid = sigmoid_of(d, hn::Load(d, weights + fields * lanes + k));
    hn::Store(tanh, d, gradient + k);
    hn::Store(sigmoid, d, gradient + fields * lanes + k);
    hn::Store(hn::Mul(tanh, sigmoid), d, nac + k);
  }
}

/// From the gradient of W to that of w and m.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE void nac_gradient(D d, std::int64_t fields, const Scalar* by_nac, Scalar* gradient) {
  const V one = hn::Set(d, 1);
  for (std::int64_t k = 0; k < fields * lanes; k += lanes) {
    const V slope = hn::Load(d, by_nac + k);
    const V tanh = hn::Load(d, gradient + k);
    const V sigmoid = hn::Load(d, gradient + fields * lanes + k);
    hn::Store(hn::Mul(hn::Mul(slope, sigmoid), hn::NegMulAdd(tanh, tanh, one)), d, gradient + k);
    hn::Store(hn::Mul(hn::Mul(slope, tanh), hn::Mul(hn::Sub(one, sigmoid), sigmoid)), d, gradient + fields * lanes + k);
  }
}

/// The layer exp(sum W x) without bias. Scratch: 2 F + 2 rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V nac_mul_lanes(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* nac) {
  const std::int64_t fields = patches.fields;
  Scalar* by_nac = nac + (fields + 1) * lanes;
  nac_weights(d, fields, weights, gradient, nac);
  clear_rows(d, nac + fields * lanes, 1);
  const V sum = layer_lanes<true>(d, patches, nac, by_nac);
  nac_gradient(d, fields, by_nac, gradient);
  return sum;
}

/// g s + (1 - g) exp(sum W log), s = sum W x, g = sigmoid(sum G x). Scratch: 2 F rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V nalu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights, Scalar* HWY_RESTRICT gradient,
             Scalar* HWY_RESTRICT nac) {
  const std::int64_t fields = patches.fields;
  const Scalar* gate_weights = weights + 2 * fields * lanes;
  Scalar* by_gate_weights = gradient + 2 * fields * lanes;
  Scalar* by_nac = nac + fields * lanes;
  const V one = hn::Set(d, 1);
  V sum = hn::Zero(d);
  nac_weights(d, fields, weights, gradient, nac);
  clear_rows(d, by_nac, fields);
  clear_rows(d, by_gate_weights, fields);
  for (std::int64_t p = 0; p < patches.count; ++p) {
    const Scalar* x = patches.input + p * patches.numbers;
    const Scalar* log = x + fields;
    V gate_sum = hn::Zero(d);
    V linear = hn::Zero(d);
    V exponent = hn::Zero(d);
    for (std::int64_t k = 0; k < fields; ++k) {
      const V w = hn::Load(d, nac + k * lanes);
      gate_sum = hn::MulAdd(hn::Set(d, x[k]), hn::Load(d, gate_weights + k * lanes), gate_sum);
      linear = hn::MulAdd(hn::Set(d, x[k]), w, linear);
      exponent = hn::MulAdd(hn::Set(d, log[k]), w, exponent);
    }
    const V gate = sigmoid_of(d, gate_sum);
    const V other = hn::Sub(one, gate);
    const V power = exp_of(d, exponent);
    const V by_out = half_slope(d, patches, p, hn::MulAdd(gate, linear, hn::Mul(other, power)), sum);
    const V by_linear = hn::Mul(by_out, gate);
    const V by_exponent = hn::Mul(hn::Mul(by_out, other), power);
    const V by_gate = hn::Sub(hn::Mul(by_out, linear), hn::Mul(by_out, power));
    const V by_gate_sum = hn::Mul(hn::Mul(by_gate, other), gate);
    for (std::int64_t k = 0; k < fields; ++k) {
      const V by_w = hn::MulAdd(hn::Set(d, x[k]), by_linear, hn::Load(d, by_nac + k * lanes));
      hn::Store(hn::MulAdd(hn::Set(d, log[k]), by_exponent, by_w), d, by_nac + k * lanes);
      add_product(d, hn::Set(d, x[k]), by_gate_sum, by_gate_weights + k * lanes);
    }
  }
  nac_gradient(d, fields, by_nac, gradient);
  return sum;
}

PatchPass nac_mul() { return patch_pass<nac_mul_lanes, nac_mul_lanes>(); }
PatchPass nalu() { return patch_pass<nalu_lanes, nalu_lanes>(); }

}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
namespace {

CONV_MULT_EXPORT_PASS(PatchPass, nac_mul)
CONV_MULT_EXPORT_PASS(PatchPass, nalu)

/// W = tanh(w) sigmoid(m).
at::Tensor nac_weight(const Weights& weights) { return weights[0].tanh() * weights[1].sigmoid(); }

/// a, b and then both logarithms.
at::Tensor with_logarithms(const Scene& scene) { return at::cat({plain(scene), logarithms(scene)}, 1); }

/// W = 1 at the centre, else 0: the limit of large w and m.
Weights saturated(const Size& size) { return {at_centre(40, size), at_centre(40, size)}; }

}  // namespace

/// All of Trask et al.'s unit, both paths with the same W.
const Variant variants::nalu = [] {
  Variant v{"nalu",         "g Σ W x + (1 − g) exp(Σ W log(|x| + 10⁻⁷)), g = σ(Σ G x)", 0xE69F00, 11, Takes::patches,
            with_logarithms};
  v.selection = nac_weight;
  v.parameters = [](const Size& size) { return std::vector{glorot("w", size), glorot("m", size), glorot("g", size)}; };
  v.output = [](const Weights& weights, const Dataset& data, const Size& /*size*/) {
    const auto x = channel_pair(data, 0);
    const auto w = nac_weight(weights).t();
    const auto gate = at::matmul(x, weights[2].t()).sigmoid();
    return as_output(gate * at::matmul(x, w) + (1 - gate) * at::matmul(channel_pair(data, 2), w).exp());
  };
  v.solution = [](const Size& size) {
    auto weights = saturated(size);
    weights.push_back(at_centre(-1000, size));  // the gate is shut
    return weights;
  };
  v.patch_pass = nalu_pass;
  return v;
}();

const Variant variants::nac_mul = [] {
  Variant v{"nac-mul", "exp(Σ W log(|x| + 10⁻⁷)), W = tanh(w) σ(m)", 0x56B4E9, 6, Takes::patches, logarithms};
  v.selection = nac_weight;
  v.parameters = [](const Size& size) { return std::vector{glorot("w", size), glorot("m", size)}; };
  v.output = [](const Weights& weights, const Dataset& data, const Size& /*size*/) {
    return as_output(at::matmul(channel_pair(data, 0), nac_weight(weights).t()).exp());
  };
  v.solution = saturated;
  v.patch_pass = nac_mul_pass;
  return v;
}();

}  // namespace conv_mult
#endif
