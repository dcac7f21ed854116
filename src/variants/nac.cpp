// The unit of Trask et al. 2018, "Neural Arithmetic Logic Units", and its multiplicative path alone.

#include "variants/common.hpp"
#define HWY_TARGET_INCLUDE "variants/nac.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
/// Calls `sums` for W = tanh(w) sigmoid(m), F rows, and turns the gradient of W into that of w and m, in whose place
/// the two factors wait for it. Scratch: 2 F rows.
template <typename Scalar, class D, class Sums, class V = hn::Vec<D>>
HWY_INLINE V with_nac(D d, std::int64_t size, const Scalar* weights, Scalar* gradient, Scalar* nac, const Sums& sums) {
  for (std::int64_t k = 0; k < size; k += lanes) {
    const V tanh = hn::Tanh(d, hn::Load(d, weights + k));
    const V sigmoid = sigmoid_of(d, hn::Load(d, weights + size + k));
    hn::Store(tanh, d, gradient + k);
    hn::Store(sigmoid, d, gradient + size + k);
    hn::Store(hn::Mul(tanh, sigmoid), d, nac + k);
    hn::Store(hn::Zero(d), d, nac + size + k);
  }
  const V sum = sums(Kernel<Scalar>{nac, nac + size});
  const V one = hn::Set(d, 1);
  for (std::int64_t k = 0; k < size; k += lanes) {
    const V slope = hn::Load(d, nac + size + k);
    const V tanh = hn::Load(d, gradient + k);
    const V sigmoid = hn::Load(d, gradient + size + k);
    hn::Store(hn::Mul(hn::Mul(slope, sigmoid), hn::NegMulAdd(tanh, tanh, one)), d, gradient + k);
    hn::Store(hn::Mul(hn::Mul(slope, tanh), hn::Mul(hn::Sub(one, sigmoid), sigmoid)), d, gradient + size + k);
  }
  return sum;
}

/// exp(sum W x).
template <typename Scalar, class D, class V = hn::Vec<D>>
V nac_mul_lanes(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* nac) {
  return with_nac(d, patches.fields * lanes, weights, gradient, nac, [&](const Kernel<Scalar>& w) HWY_ATTR {
    return sums_of_products<0>(d, patches, false, {w}, Layer<true>());
  });
}

/// g s + (1 - g) exp(sum W log), s = sum W x, g = sigmoid(sum G x).
template <typename Scalar, class D, class V = hn::Vec<D>>
V nalu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* nac) {
  const auto unit = [=](D /*d*/, V(&z)[3], const auto& slope) HWY_ATTR {
    const V linear = z[0];
    const V power = exp_of(d, z[1]);
    const V gate = sigmoid_of(d, z[2]);
    const V other = hn::Sub(hn::Set(d, 1), gate);
    const V by_out = slope(hn::MulAdd(gate, linear, hn::Mul(other, power)));
    z[0] = hn::Mul(by_out, gate);
    z[1] = hn::Mul(hn::Mul(by_out, other), power);
    z[2] = hn::Mul(hn::Mul(hn::Sub(hn::Mul(by_out, linear), hn::Mul(by_out, power)), other), gate);
  };
  const std::int64_t size = patches.fields * lanes;
  return with_nac(d, size, weights, gradient, nac, [&](const Kernel<Scalar>& w) HWY_ATTR {
    return sums_of_products<0, 0, 1>(d, patches, false, {w, {weights + 2 * size, gradient + 2 * size}}, unit);
  });
}

PatchPass nac_mul() { return patch_pass<nac_mul_lanes, nac_mul_lanes>(); }
PatchPass nalu() { return patch_pass<nalu_lanes, nalu_lanes>(); }
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
CONV_MULT_EXPORT_PASS(PatchPass, nac_mul)
CONV_MULT_EXPORT_PASS(PatchPass, nalu)

/// All of Trask et al.'s unit, both paths with the same W.
const Variant variants::nalu = [] {
  Variant v{"nalu", "g Σ W x + (1 − g) exp(Σ W log(|x| + 10⁻⁷)), g = σ(Σ G x)", 0xE69F00, 11, Takes::patches};
  v.encode = [](const Scene& scene) { return at::cat({plain(scene), logarithms(scene)}, 1); };
  v.selection = [](const Weights& weights) { return nac_weight(weights, 0); };
  v.parameters = [](const Size& size) { return std::vector{glorot("w", size), glorot("m", size), glorot("g", size)}; };
  v.output = [](const Weights& weights, const Dataset& data, const Size& /*size*/) {
    const auto x = channel_pair(data, 0);
    const auto w = nac_weight(weights, 0).t();
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
  v.selection = [](const Weights& weights) { return nac_weight(weights, 0); };
  v.parameters = [](const Size& size) { return std::vector{glorot("w", size), glorot("m", size)}; };
  v.output = [](const Weights& weights, const Dataset& data, const Size& /*size*/) {
    return as_output(at::matmul(channel_pair(data, 0), nac_weight(weights, 0).t()).exp());
  };
  // W = 1 at the centre, else 0: the limit of large w and m.
  v.solution = [](const Size& size) { return Weights{at_centre(40, size), at_centre(40, size)}; };
  v.patch_pass = nac_mul_pass;
  return v;
}();
}  // namespace conv_mult
#endif
