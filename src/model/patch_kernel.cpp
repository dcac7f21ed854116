// Patches: a lane is a replica.

#include <hwy/aligned_allocator.h>

#include <algorithm>

#include "conv_mult/model/fused_kernel.hpp"

// Highway includes this file once for each instruction set and picks the best at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/patch_kernel.cpp"
#include <hwy/foreach_target.h>
// Then:
#include <hwy/highway.h>

#include "kernel_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {

/// Adds the squared error of patch p to `sum` and returns half the derivative of that by `out`.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE V half_slope(D d, const PatchData<Scalar>& patches, std::int64_t p, V out, V& sum) {
  const V root_count = hn::Set(d, patches.root_count[p]);
  const V error = hn::Mul(hn::Sub(out, hn::Set(d, patches.target[p])), root_count);
  sum = hn::MulAdd(error, error, sum);
  return hn::Mul(error, root_count);
}

/// A row is a number for each lane; rows lie `lanes` apart.
template <typename Scalar, class D>
HWY_INLINE void clear_rows(D d, Scalar* rows, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k) {
    hn::Store(hn::Zero(d), d, rows + k * lanes);
  }
}

// One function for each kind of output. It returns the squared errors' sum and leaves half its gradient.

/// z or exp(z), z = sum w x + c.
template <bool exponential, typename Scalar, class D, class V = hn::Vec<D>>
V layer_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights,
              Scalar* HWY_RESTRICT gradient) {
  const std::int64_t fields = patches.fields;
  const V bias = hn::Load(d, weights + fields * lanes);
  V bias_gradient = hn::Zero(d);
  V sum = hn::Zero(d);
  clear_rows(d, gradient, fields);
  // From z to half the gradient of the squared errors.
  const auto slope = [&](std::int64_t p, V z) HWY_ATTR {
    const V out = exponential ? exp_of(d, z) : z;
    const V by_out = half_slope(d, patches, p, out, sum);
    const V by_z = exponential ? hn::Mul(by_out, out) : by_out;
    bias_gradient = hn::Add(bias_gradient, by_z);
    return by_z;
  };
  std::int64_t p = 0;
  for (; p + 4 <= patches.count; p += 4) {  // four at once: a weight is loaded once for them
    const Scalar* x0 = patches.input + p * fields;
    const Scalar* x1 = x0 + fields;
    const Scalar* x2 = x1 + fields;
    const Scalar* x3 = x2 + fields;
    V z0 = bias;
    V z1 = bias;
    V z2 = bias;
    V z3 = bias;
    for (std::int64_t k = 0; k < fields; ++k) {
      const V weight = hn::Load(d, weights + k * lanes);
      z0 = hn::MulAdd(hn::Set(d, x0[k]), weight, z0);
      z1 = hn::MulAdd(hn::Set(d, x1[k]), weight, z1);
      z2 = hn::MulAdd(hn::Set(d, x2[k]), weight, z2);
      z3 = hn::MulAdd(hn::Set(d, x3[k]), weight, z3);
    }
    const V d0 = slope(p, z0);
    const V d1 = slope(p + 1, z1);
    const V d2 = slope(p + 2, z2);
    const V d3 = slope(p + 3, z3);
    for (std::int64_t k = 0; k < fields; ++k) {
      V g = hn::Load(d, gradient + k * lanes);
      g = hn::MulAdd(hn::Set(d, x0[k]), d0, g);
      g = hn::MulAdd(hn::Set(d, x1[k]), d1, g);
      g = hn::MulAdd(hn::Set(d, x2[k]), d2, g);
      g = hn::MulAdd(hn::Set(d, x3[k]), d3, g);
      hn::Store(g, d, gradient + k * lanes);
    }
  }
  for (; p < patches.count; ++p) {
    const Scalar* x = patches.input + p * fields;
    V z = bias;
    for (std::int64_t k = 0; k < fields; ++k) {
      z = hn::MulAdd(hn::Set(d, x[k]), hn::Load(d, weights + k * lanes), z);
    }
    const V by_z = slope(p, z);
    for (std::int64_t k = 0; k < fields; ++k) {
      hn::Store(hn::MulAdd(hn::Set(d, x[k]), by_z, hn::Load(d, gradient + k * lanes)), d,
                gradient + k * lanes);
    }
  }
  hn::Store(bias_gradient, d, gradient + fields * lanes);
  return sum;
}

/// prod f[k] with f[k] = x w + 1 - mark w. What stands before and after a factor in the product is its
/// derivative, also where factors are 0. Scratch: 2 F rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V nmu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights,
            Scalar* HWY_RESTRICT gradient, Scalar* HWY_RESTRICT before) {
  const std::int64_t fields = patches.fields;
  Scalar* factors = before + fields * lanes;
  const V one = hn::Set(d, 1);
  V sum = hn::Zero(d);
  clear_rows(d, gradient, fields);
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
    for (std::int64_t k = fields - 1; k >= 0; --k) {
      const V by_factor = hn::Mul(after, hn::Load(d, before + k * lanes));
      const V by_w = hn::Set(d, x[k] - mark[k]);
      hn::Store(hn::MulAdd(by_factor, by_w, hn::Load(d, gradient + k * lanes)), d, gradient + k * lanes);
      after = hn::Mul(after, hn::Load(d, factors + k * lanes));
    }
  }
  return sum;
}

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
    hn::Store(hn::Mul(hn::Mul(slope, tanh), hn::Mul(hn::Sub(one, sigmoid), sigmoid)), d,
              gradient + fields * lanes + k);
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
V nalu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights,
             Scalar* HWY_RESTRICT gradient, Scalar* HWY_RESTRICT nac) {
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
      const V by_g = hn::MulAdd(hn::Set(d, x[k]), by_gate_sum, hn::Load(d, by_gate_weights + k * lanes));
      hn::Store(by_g, d, by_gate_weights + k * lanes);
    }
  }
  nac_gradient(d, fields, by_nac, gradient);
  return sum;
}

/// exp(sum w log r) cos(pi t), r = g magnitude + 1 - g mark, t = sum w g negative; magnitude, mark and
/// negative are the channels, g is clipped. Neighbouring patches have much in common: log r and 1 / r are
/// kept while the pixel at their place is the same. Scratch: 3 F rows.
template <typename Scalar, class D, class V = hn::Vec<D>>
V npu_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights,
            Scalar* HWY_RESTRICT gradient, Scalar* HWY_RESTRICT gates) {
  const std::int64_t fields = patches.fields;
  const Scalar* raw_gates = weights + fields * lanes;
  Scalar* by_gates = gradient + fields * lanes;
  Scalar* logs = gates + fields * lanes;
  Scalar* inverses = logs + fields * lanes;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const V pi = hn::Set(d, static_cast<Scalar>(3.14159265358979323846));
  V sum = zero;
  clear_rows(d, gradient, 2 * fields);
  for (std::int64_t k = 0; k < fields * lanes; k += lanes) {
    const V raw = hn::Load(d, raw_gates + k);  // NaN stays NaN
    hn::Store(hn::IfThenElse(hn::Lt(raw, zero), zero, hn::IfThenElse(hn::Gt(raw, one), one, raw)), d,
              gates + k);
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
    for (std::int64_t k = 0; k < fields; ++k) {
      const V by_product = hn::Mul(by_turns, hn::Set(d, negative[k]));         // of w and g
      const V by_r = hn::Mul(by_exponent, hn::Load(d, inverses + k * lanes));  // over w
      const V by_w =
          hn::MulAdd(by_product, hn::Load(d, gates + k * lanes), hn::Load(d, gradient + k * lanes));
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

template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE V variant_lanes(Variant variant, D d, const PatchData<Scalar>& patches, const Scalar* weights,
                           Scalar* gradient, Scalar* scratch) {
  switch (variant) {
    case Variant::baseline:
      return layer_lanes<false>(d, patches, weights, gradient);
    case Variant::nmu:
      return nmu_lanes(d, patches, weights, gradient, scratch);
    case Variant::nac_mul:
      return nac_mul_lanes(d, patches, weights, gradient, scratch);
    case Variant::nalu:
      return nalu_lanes(d, patches, weights, gradient, scratch);
    case Variant::npu:
      return npu_lanes(d, patches, weights, gradient, scratch);
    default:
      return layer_lanes<true>(d, patches, weights, gradient);
  }
}

/// Stores the loss and returns by what half the gradient of `sum` has to be divided to become the loss's.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE V store_loss(D d, const PatchData<Scalar>& patches, V sum, Scalar* loss) {
  if (patches.mean_over > 0) {
    const V pixels = hn::Set(d, patches.mean_over);
    hn::Store(hn::Div(sum, pixels), d, loss);
    return hn::Mul(pixels, hn::Set(d, Scalar{0.5}));
  }
  const V norm = hn::Sqrt(sum);
  hn::Store(norm, d, loss);
  // Divided by a loss of 0 the gradient, 0 then, would be NaN.
  return hn::IfThenElse(hn::Eq(norm, hn::Zero(d)), hn::Set(d, Scalar{1}), norm);
}

constexpr std::int64_t block_patches = 512;  // summed up in one go: float32 would lose digits on a million

/// Loss and gradient of one vector of replicas. Scratch: P rows and those of the variant.
template <typename Scalar, class D, class V = hn::Vec<D>>
void patch_lanes(Variant variant, D d, const PatchData<Scalar>& patches, const Scalar* weights,
                 Scalar* gradient, Scalar* loss, Scalar* scratch) {
  const std::int64_t size = patches.rows * lanes;
  V sum = hn::Zero(d);
  clear_rows(d, gradient, patches.rows);
  for (std::int64_t begin = 0; begin < patches.count; begin += block_patches) {
    auto block = patches;
    block.input += begin * patches.numbers;
    block.target += begin;
    block.root_count += begin;
    block.count = std::min(block_patches, patches.count - begin);
    sum = hn::Add(sum, variant_lanes(variant, d, block, weights, scratch, scratch + size));
    for (std::int64_t k = 0; k < size; k += lanes) {
      hn::Store(hn::Add(hn::Load(d, gradient + k), hn::Load(d, scratch + k)), d, gradient + k);
    }
  }
  const V divisor = store_loss(d, patches, sum, loss);
  for (std::int64_t k = 0; k < size; k += lanes) {
    hn::Store(hn::Div(hn::Load(d, gradient + k), divisor), d, gradient + k);
  }
}

template <typename Scalar>
void all_patches(Variant variant, const PatchData<Scalar>& patches, std::int64_t begin, std::int64_t end,
                 const Scalar* weights, Scalar* gradient, Scalar* losses) {
  const hn::CappedTag<Scalar, lanes> d;
  const std::int64_t size = patches.rows * lanes;
  const std::int64_t scratch_size = size + (3 * patches.fields + 2) * lanes;
  const auto scratch = hwy::AllocateAligned<Scalar>(static_cast<std::size_t>(scratch_size));
  for (std::int64_t group = begin; group < end; ++group) {
    for (std::int64_t lane = 0; lane < lanes; lane += static_cast<std::int64_t>(hn::Lanes(d))) {
      const auto at = group * size + lane;
      patch_lanes(variant, d, patches, weights + at, gradient + at, losses + group * lanes + lane,
                  scratch.get());
    }
  }
}

void float_patches(Variant variant, const PatchData<float>& patches, std::int64_t begin, std::int64_t end,
                   const float* weights, float* gradient, float* losses) {
  all_patches(variant, patches, begin, end, weights, gradient, losses);
}

void double_patches(Variant variant, const PatchData<double>& patches, std::int64_t begin, std::int64_t end,
                    const double* weights, double* gradient, double* losses) {
  all_patches(variant, patches, begin, end, weights, gradient, losses);
}

}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {

HWY_EXPORT(float_patches);
HWY_EXPORT(double_patches);

void patch_pass(Variant variant, const PatchData<float>& patches, std::int64_t begin, std::int64_t end,
                const float* weights, float* gradient, float* losses) {
  HWY_DYNAMIC_DISPATCH(float_patches)(variant, patches, begin, end, weights, gradient, losses);
}

void patch_pass(Variant variant, const PatchData<double>& patches, std::int64_t begin, std::int64_t end,
                const double* weights, double* gradient, double* losses) {
  HWY_DYNAMIC_DISPATCH(double_patches)(variant, patches, begin, end, weights, gradient, losses);
}

}  // namespace conv_mult
#endif
