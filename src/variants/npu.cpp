// The real Neural Power Unit of Heim et al. 2020, "Neural Power Units".

#include "variants/common.hpp"
#define HWY_TARGET_INCLUDE "variants/npu.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
/// exp(sum w log r) cos(pi t), r = g magnitude + 1 - g mark, t = sum w g negative; magnitude, mark and negative are the
/// channels, g is clipped. log r and 1 / r are kept while the pixel at their place is the same. Scratch: 3 F rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V npu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights, Scalar* HWY_RESTRICT gradient,
            Scalar* HWY_RESTRICT gates) {
  const std::int64_t fields = patches.fields;
  const Scalar* raw_gates = weights + fields * lanes;
  Scalar* by_gates = gradient + fields * lanes;
  Scalar* logs = gates + fields * lanes;
  Scalar* inverses = logs + fields * lanes;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const V pi = hn::Set(d, c10::pi<Scalar>);
  V sum = zero;
  for (std::int64_t k = 0; k < fields * lanes; k += lanes) {
    const V raw = hn::Load(d, raw_gates + k);  // NaN stays NaN
    hn::Store(hn::IfThenElse(hn::Lt(raw, zero), zero, hn::IfThenElse(hn::Gt(raw, one), one, raw)), d, gates + k);
  }
  for (std::int64_t p = 0; p < patches.count; ++p) {
    const Scalar* magnitude = patches.input + p * patches.numbers;
    const Scalar* mark = magnitude + fields;
    const Scalar* negative = mark + fields;
    V exponent = zero;
    V turns = zero;
    for (std::int64_t k = 0; k < fields; ++k) {
      const V w = hn::Load(d, weights + k * lanes);
      const V gate = hn::Load(d, gates + k * lanes);
      if (p == 0 || magnitude[k] != magnitude[k - patches.numbers] || mark[k] != mark[k - patches.numbers]) {
        const V r = hn::MulAdd(hn::Set(d, magnitude[k]), gate, hn::NegMulAdd(hn::Set(d, mark[k]), gate, one));
        hn::Store(log_of(d, r), d, logs + k * lanes);
        hn::Store(hn::Div(one, r), d, inverses + k * lanes);
      }
      exponent = hn::MulAdd(w, hn::Load(d, logs + k * lanes), exponent);
      turns = hn::MulAdd(hn::Mul(w, gate), hn::Set(d, negative[k]), turns);
    }
    const V two = hn::Set(d, 2);  // whole turns of t = 2 go off without rounding
    const V angle = hn::Mul(pi, hn::NegMulAdd(two, hn::Round(hn::Div(turns, two)), turns));
    const V half_sine = hn::Sin(d, hn::Div(angle, two));
    const V cosine = hn::NegMulAdd(hn::Mul(two, half_sine), half_sine, one);  // 1 at 0, as hn::Cos is not
    const V power = exp_of(d, exponent);
    const V by_out = half_slope(d, patches, p, hn::Mul(power, cosine), sum);
    const V by_exponent = hn::Mul(hn::Mul(by_out, cosine), power);
    const V by_turns = hn::Neg(hn::Mul(hn::Mul(by_out, power), hn::Mul(hn::Sin(d, angle), pi)));
    if (patches.losses_only) { continue; }
    for (std::int64_t k = 0; k < fields; ++k) {
      const V by_product = hn::Mul(by_turns, hn::Set(d, negative[k]));         // of w and g
      const V by_r = hn::Mul(by_exponent, hn::Load(d, inverses + k * lanes));  // over w
      const V by_w = hn::MulAdd(by_product, hn::Load(d, gates + k * lanes), hn::Load(d, gradient + k * lanes));
      const V by_gate = hn::Add(by_product, hn::Load(d, by_gates + k * lanes));
      hn::Store(hn::MulAdd(by_exponent, hn::Load(d, logs + k * lanes), by_w), d, gradient + k * lanes);
      hn::Store(hn::MulAdd(by_r, hn::Set(d, magnitude[k] - mark[k]), by_gate), d, by_gates + k * lanes);
    }
  }
  for (std::int64_t k = 0; k < fields * lanes; k += lanes) {
    const V raw = hn::Load(d, raw_gates + k);
    const V by_gate = hn::Mul(hn::Load(d, weights + k), hn::Load(d, by_gates + k));
    hn::Store(hn::IfThenElseZero(hn::And(hn::Ge(raw, zero), hn::Le(raw, one)), by_gate), d, by_gates + k);
  }
  return sum;
}

PatchPass npu() { return patch_pass<npu_lanes, npu_lanes>(); }
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
CONV_MULT_EXPORT_PASS(PatchPass, npu)

/// Exact with w = g = 1 at the centre, else 0.
const Variant variants::npu = [] {
  Variant v{"npu", "exp(Σ w log r) cos(π Σ w g n), r = g (|x| + 2⁻²³) + 1 − g, n = (x < 0), 0 ≤ g ≤ 1", 0x000000, 2,
            Takes::patches};
  v.encode = [](const Scene& scene) {  // |a| + e, |b| + e with the e of float32, 1, 1, and whether a < 0, b < 0
    const auto magnitude = plain(scene).abs() + static_cast<double>(std::numeric_limits<float>::epsilon());
    return at::cat({magnitude, at::ones_like(magnitude), negatives(scene)}, 1);
  };
  v.parameters = [](const Size& size) {  // for w Heim et al. ask for Glorot's
    return std::vector<Parameter>{glorot("w", size), {"g", {size.fields()}, 0.5, 0.5}};
  };
  v.output = [](const Weights& weights, const Dataset& data, const Size& /*size*/) {
    const auto& w = weights[0];
    const auto& g = weights[1];
    // Not clamp: its gradient at the limits is 1 in LibTorch 1.13 and 0 in 2.15.
    const auto gate = g.masked_fill(g.lt(0), 0).masked_fill(g.gt(1), 1);
    const auto power = (gated(data, gate).log() * w).sum(-1).exp();
    return as_output(power * (c10::pi<double> * at::matmul(channel_pair(data, 4), (w * gate).t())).cos());
  };
  v.lasso = true;
  v.regularise = [](const Weights& weights, double strength) {  // the sum of |w| and |g|
    for (const auto& w : weights) { w.grad().add_(w.sign(), strength); }
  };
  v.selection = [](const Weights& weights) { return weights[0]; };
  v.solution = [](const Size& size) { return Weights{at_centre(1, size), at_centre(1, size)}; };
  v.patch_pass = npu_pass;
  return v;
}();
}  // namespace conv_mult
#endif
