// The Neural Multiplication Unit of Madsen & Johansen 2020, "Neural Arithmetic Units", and the stochastic one of
// Mistry, Farrahi & Hare 2022, "Improving the Robustness of Neural Multiplication Units with Reversible Stochasticity".

#include "variants/common.hpp"
#define HWY_TARGET_INCLUDE "variants/nmu.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
/// prod f[k], f[k] = x w + 1 - mark w. Before times after a factor is its derivative, even at 0. Scratch: 2 F rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V nmu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights, Scalar* HWY_RESTRICT gradient,
            Scalar* HWY_RESTRICT before) {
  const std::int64_t fields = patches.fields;
  Scalar* factors = before + fields * lanes;
  const V one = hn::Set(d, 1);
  V sum = hn::Zero(d);
  for (std::int64_t p = 0; p < patches.count; ++p) {
    const Scalar* x = patches.input + p * patches.numbers;
    const Scalar* mark = x + fields;
    V product = one;
    for (std::int64_t k = 0; k < fields; ++k) {
      const V w = hn::Load(d, weights + k * lanes);
      const V factor = hn::MulAdd(hn::Set(d, x[k]), w, hn::NegMulAdd(hn::Set(d, mark[k]), w, one));
      hn::Store(product, d, before + k * lanes);
      hn::Store(factor, d, factors + k * lanes);
      product = hn::Mul(product, factor);
    }
    V after = half_slope(d, patches, p, product, sum);  // times the factors after k
    if (patches.losses_only) { continue; }
    for (std::int64_t k = fields - 1; k >= 0; --k) {
      const V by_factor = hn::Mul(after, hn::Load(d, before + k * lanes));
      const V by_w = hn::MulAdd(by_factor, hn::Set(d, x[k] - mark[k]), hn::Load(d, gradient + k * lanes));
      hn::Store(by_w, d, gradient + k * lanes);
      after = hn::Mul(after, hn::Load(d, factors + k * lanes));
    }
  }
  return sum;
}

PatchPass nmu() { return patch_pass<nmu_lanes, nmu_lanes>(); }
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
CONV_MULT_EXPORT_PASS(PatchPass, nmu)

/// Exact with w = 1 at the centre, else 0; so its floor is 0.
const Variant variants::nmu = [] {
  Variant v{"nmu", "Π (w x + 1 − w), 0 ≤ w ≤ 1", 0xCC79A7, 13, Takes::patches};
  v.encode = [](const Scene& scene) {  // a, b, 1, 1: the ones tell pixels from padding
    const auto images = plain(scene);
    return at::cat({images, at::ones_like(images)}, 1);
  };
  v.parameters = [](const Size& size) {
    return std::vector<Parameter>{{"w", {size.fields()}, 0.25, 0.75}};  // as Madsen & Johansen
  };
  v.output = [](const Weights& weights, const Dataset& data, const Size& /*size*/) {
    return as_output(product(gated(data, weights[0])));
  };
  v.project = [](const Weights& weights) { weights[0].clamp_(0, 1); };
  // The penalty is the mean of min(w, 1 - w).
  v.regularise = [](const Weights& weights, double strength) {
    weights[0].grad().add_(at::sign(0.5 - weights[0]), strength / static_cast<double>(weights[0].size(1)));
  };
  v.selection = [](const Weights& weights) { return weights[0]; };
  v.exact_width = 1;
  v.solution = [](const Size& size) { return Weights{at_centre(1, size)}; };
  v.patch_pass = nmu_pass;
  return v;
}();

/// Trained on x n, the output divided by what the same unit makes of n, which is drawn from 1 to 5: that changes
/// nothing once the weights are 0 and 1, and moves them out of where they stick. Evaluated as nmu.
const Variant variants::snmu = [] {
  Variant v = nmu;
  v.name = "snmu";
  v.formula = "Π (w x + 1 − w), 0 ≤ w ≤ 1; trained on Π (w n x + 1 − w) / Π (w n + 1 − w), 1 ≤ n ≤ 5";
  v.colour = 0xAA4499;
  v.point = 12;
  v.patch_pass = {};
  v.noisy_output = [](const Weights& weights, const Dataset& data, const at::Tensor& noise) {
    const auto mark = channel_pair(data, 2).unsqueeze(1) * weights[0];  // w, and 0 in padding
    const auto factor = mark * (1 + 4 * noise);
    return as_output(product(channel_pair(data, 0).unsqueeze(1) * factor + (1 - mark)) / product(factor + (1 - mark)));
  };
  return v;
}();
}  // namespace conv_mult
#endif
