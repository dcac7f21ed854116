// The Neural Arithmetic Logic Unit of Trask et al. 2018, "Neural Arithmetic Logic Units", and its multiplicative path
// alone.

#include "variants/common.hpp"

#define HWY_TARGET_INCLUDE "variants/nac.cpp"
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

/// exp(sum W x). Scratch: 2 F rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V nac_mul_lanes(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* nac) {
  Scalar* by_nac = nac + patches.fields * lanes;
  nac_weights(d, patches.fields, weights, gradient, nac);
  const V sum = sums_of_products<0>(d, patches, false, {{nac, by_nac}}, [=](V(&z)[1], const auto& slope) HWY_ATTR {
    const V out = exp_of(d, z[0]);
    z[0] = hn::Mul(slope(out), out);
  });
  nac_gradient(d, patches.fields, by_nac, gradient);
  return sum;
}

/// g s + (1 - g) exp(sum W log), s = sum W x, g = sigmoid(sum G x). Scratch: 2 F rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V nalu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* nac) {
  const std::int64_t gate = 2 * patches.fields * lanes;
  Scalar* by_nac = nac + patches.fields * lanes;
  nac_weights(d, patches.fields, weights, gradient, nac);
  const V sum = sums_of_products<0, 0, 1>(d, patches, false, {{nac, by_nac}, {weights + gate, gradient + gate}},
                                          [=](V(&z)[3], const auto& slope) HWY_ATTR {
                                            const V linear = z[0];
                                            const V power = exp_of(d, z[1]);
                                            const V g = sigmoid_of(d, z[2]);
                                            const V other = hn::Sub(hn::Set(d, 1), g);
                                            const V by_out = slope(hn::MulAdd(g, linear, hn::Mul(other, power)));
                                            const V by_gate = hn::Sub(hn::Mul(by_out, linear), hn::Mul(by_out, power));
                                            z[0] = hn::Mul(by_out, g);
                                            z[1] = hn::Mul(hn::Mul(by_out, other), power);
                                            z[2] = hn::Mul(hn::Mul(by_gate, other), g);
                                          });
  nac_gradient(d, patches.fields, by_nac, gradient);
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
  v.solution = [](const Size& size) {  // as below, and the gate is shut
    return Weights{at_centre(40, size), at_centre(40, size), at_centre(-1000, size)};
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
  // W = 1 at the centre, else 0: the limit of large w and m.
  v.solution = [](const Size& size) { return Weights{at_centre(40, size), at_centre(40, size)}; };
  v.patch_pass = nac_mul_pass;
  return v;
}();

}  // namespace conv_mult
#endif
