// What Highway's math lacks. A kernel includes this file once for each instruction set, after
// foreach_target.h: hence this guard, which Highway's own headers have, too.

#if defined(CONV_MULT_KERNEL_MATH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CONV_MULT_KERNEL_MATH_INL
#undef CONV_MULT_KERNEL_MATH_INL
#else
#define CONV_MULT_KERNEL_MATH_INL
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <limits>

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

/// As std::log, also of what Highway's Log does not know: 0, negative numbers, infinity and NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_of(D d, V x) {
  using Limits = std::numeric_limits<hn::TFromD<D>>;
  const V zero = hn::Zero(d);
  const V infinity = hn::Set(d, Limits::infinity());
  const V otherwise = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity),
                                     hn::IfThenElse(hn::Lt(x, zero), hn::Set(d, Limits::quiet_NaN()), x));
  return hn::IfThenElse(hn::And(hn::Gt(x, zero), hn::Lt(x, infinity)), hn::Log(d, x), otherwise);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid_of(D d, V x) {
  const V one = hn::Set(d, 1);
  return hn::Div(one, hn::Add(one, exp_of(d, hn::Neg(x))));
}

}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
