#include "conv_mult/model/fused_kernel.hpp"

// Highway includes this file once for each instruction set and picks the best at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/fused_kernel.cpp"
#include <hwy/foreach_target.h>
// Then:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// e^z with infinity and NaN as they should be: Highway's Exp knows neither.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of(D d, V z) {
  using Scalar = hn::TFromD<D>;
  const auto overflows = hn::Set(d, static_cast<Scalar>(sizeof(Scalar) == 4 ? 100 : 1000));
  return hn::IfThenElse(hn::IsNaN(z), z, hn::Exp(d, hn::Min(z, overflows)));
}

/// Some replicas, one in each lane.
template <bool exponential, typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE void pass(D d, const Patches<Scalar>& patches, const Scalar* HWY_RESTRICT weights,
                     Scalar* HWY_RESTRICT gradient, Scalar* HWY_RESTRICT loss) {
  const std::int64_t fields = patches.fields;
  const V bias = hn::Load(d, weights + fields * lanes);
  V bias_gradient = hn::Zero(d);
  V sum = hn::Zero(d);
  for (std::int64_t k = 0; k < fields; ++k) {
    hn::Store(hn::Zero(d), d, gradient + k * lanes);
  }
  // From z to loss * d loss / d z.
  const auto slope = [&](std::int64_t p, V z) HWY_ATTR {
    const V out = exponential ? exp_of(d, z) : z;
    const V root_count = hn::Set(d, patches.root_count[p]);
    const V error = hn::Mul(hn::Sub(out, hn::Set(d, patches.target[p])), root_count);
    sum = hn::MulAdd(error, error, sum);
    const V by_out = hn::Mul(error, root_count);
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
  const V norm = hn::Sqrt(sum);
  hn::Store(norm, d, loss);
  // Divided by a loss of 0 the gradient, 0 then, would be NaN.
  const V divisor = hn::IfThenElse(hn::Eq(norm, hn::Zero(d)), hn::Set(d, Scalar{1}), norm);
  for (std::int64_t k = 0; k < fields; ++k) {
    hn::Store(hn::Div(hn::Load(d, gradient + k * lanes), divisor), d, gradient + k * lanes);
  }
  hn::Store(hn::Div(bias_gradient, divisor), d, gradient + fields * lanes);
}

template <typename Scalar>
void all_groups(bool exponential, const Patches<Scalar>& patches, std::int64_t begin, std::int64_t end,
                const Scalar* weights, Scalar* gradient, Scalar* losses) {
  const hn::CappedTag<Scalar, lanes> d;
  const std::int64_t size = (patches.fields + 1) * lanes;
  for (std::int64_t group = begin; group < end; ++group) {
    for (std::int64_t lane = 0; lane < lanes; lane += static_cast<std::int64_t>(hn::Lanes(d))) {
      const auto at = group * size + lane;
      const auto run = exponential ? pass<true, Scalar, decltype(d)> : pass<false, Scalar, decltype(d)>;
      run(d, patches, weights + at, gradient + at, losses + group * lanes + lane);
    }
  }
}

void float_groups(bool exponential, const Patches<float>& patches, std::int64_t begin, std::int64_t end,
                  const float* weights, float* gradient, float* losses) {
  all_groups(exponential, patches, begin, end, weights, gradient, losses);
}

void double_groups(bool exponential, const Patches<double>& patches, std::int64_t begin, std::int64_t end,
                   const double* weights, double* gradient, double* losses) {
  all_groups(exponential, patches, begin, end, weights, gradient, losses);
}

}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {

HWY_EXPORT(float_groups);
HWY_EXPORT(double_groups);

void fused_pass(bool exponential, const Patches<float>& patches, std::int64_t begin, std::int64_t end,
                const float* weights, float* gradient, float* losses) {
  HWY_DYNAMIC_DISPATCH(float_groups)(exponential, patches, begin, end, weights, gradient, losses);
}

void fused_pass(bool exponential, const Patches<double>& patches, std::int64_t begin, std::int64_t end,
                const double* weights, double* gradient, double* losses) {
  HWY_DYNAMIC_DISPATCH(double_groups)(exponential, patches, begin, end, weights, gradient, losses);
}

}  // namespace conv_mult
#endif
