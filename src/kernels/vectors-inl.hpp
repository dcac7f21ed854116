// What the kernels share: functions that Highway lacks, and passes over patches. There a lane is a replica, so each
// goes through the same operations in the same order whatever its neighbours are, and a seed has the same bits alone,
// in any block and in any shard. A kernel's file includes this once for each instruction set, after foreach_target.h:
// hence this guard, which Highway's own headers have, too.

#if defined(CONV_MULT_KERNELS_VECTORS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CONV_MULT_KERNELS_VECTORS_INL
#undef CONV_MULT_KERNELS_VECTORS_INL
#else
#define CONV_MULT_KERNELS_VECTORS_INL
#endif

#include <hwy/aligned_allocator.h>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/passes.hpp"

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

/// Adds the squared error of patch p to `sum` and returns half the derivative of that by `out`.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE V half_slope(D d, const PatchData<Scalar>& patches, std::int64_t p, V out, V& sum) {
  const V root_count = hn::Set(d, patches.root_count[p]);
  const V error = hn::Mul(hn::Sub(out, hn::Set(d, patches.target[p])), root_count);
  sum = hn::MulAdd(error, error, sum);
  return hn::Mul(error, root_count);
}

/// Adds x y to the vector that lies at `sum`. For one product: between two the compiler keeps the store.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE void add_product(D d, V x, V y, Scalar* sum) {
  hn::Store(hn::MulAdd(x, y, hn::Load(d, sum)), d, sum);
}

/// A row is a number for each lane; rows lie `lanes` apart.
template <typename Scalar, class D>
HWY_INLINE void clear_rows(D d, Scalar* rows, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k) { hn::Store(hn::Zero(d), d, rows + k * lanes); }
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

/// Of one vector of replicas: returns the sum of the squared errors and leaves half its gradient; scratch has 3 F + 2
/// rows.
template <typename Scalar, class D = hn::CappedTag<Scalar, lanes>>
using LanesFunction = hn::Vec<D> (*)(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient,
                                     Scalar* scratch);

/// The function over blocks of the patches. Scratch: P rows and those of the function.
template <typename Scalar, LanesFunction<Scalar> function, class D, class V = hn::Vec<D>>
HWY_INLINE V sum_over_blocks(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient,
                             Scalar* scratch) {
  const std::int64_t size = patches.rows * lanes;
  V sum = hn::Zero(d);
  clear_rows(d, gradient, patches.rows);
  for (std::int64_t begin = 0; begin < patches.count; begin += block_patches) {
    auto block = patches;
    block.input += begin * patches.numbers;
    block.target += begin;
    block.root_count += begin;
    block.count = std::min(block_patches, patches.count - begin);
    sum = hn::Add(sum, function(d, block, weights, scratch, scratch + size));
    for (std::int64_t k = 0; k < size; k += lanes) {
      hn::Store(hn::Add(hn::Load(d, gradient + k), hn::Load(d, scratch + k)), d, gradient + k);
    }
  }
  return sum;
}

/// Rows of scratch that a function needs.
using ScratchRows = std::int64_t (*)(std::int64_t rows, std::int64_t fields, const NetworkShape& shape);

/// One vector of replicas after the other.
template <typename Scalar, LanesFunction<Scalar> function, ScratchRows scratch_rows>
void all_replicas(const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* losses) {
  const hn::CappedTag<Scalar, lanes> d;
  const std::int64_t size = patches.rows * lanes;
  const auto scratch_size = scratch_rows(patches.rows, patches.fields, patches.shape) * lanes;
  const auto scratch = hwy::AllocateAligned<Scalar>(static_cast<std::size_t>(scratch_size));
  std::fill_n(scratch.get(), scratch_size, Scalar{0});
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t replica = 0; replica < patches.replicas; replica += step) {
    const auto at = replica / lanes * size + replica % lanes;
    const auto sum = function(d, patches, weights + at, gradient + at, scratch.get());
    const auto divisor = store_loss(d, patches, sum, losses + replica);
    for (std::int64_t k = at; k < at + size; k += lanes) {
      hn::Store(hn::Div(hn::Load(d, gradient + k), divisor), d, gradient + k);
    }
  }
}

inline std::int64_t patch_rows(std::int64_t rows, std::int64_t fields, const NetworkShape& /*shape*/) {
  return rows + 3 * fields + 2;
}

/// A function's pass over patches; it is named for each type.
template <LanesFunction<float> in_float, LanesFunction<double> in_double>
PatchPass patch_pass() {
  using Float = hn::CappedTag<float, lanes>;
  using Double = hn::CappedTag<double, lanes>;
  return {all_replicas<float, sum_over_blocks<float, in_float, Float>, patch_rows>,
          all_replicas<double, sum_over_blocks<double, in_double, Double>, patch_rows>};
}

/// z or exp(z), z = sum w x + c; it needs no scratch.
template <bool exponential, typename Scalar, class D, class V = hn::Vec<D>>
V layer_lanes(D d, const PatchData<Scalar>& patches, const Scalar* HWY_RESTRICT weights, Scalar* HWY_RESTRICT gradient,
              Scalar* /*scratch*/ = nullptr) {
  const std::int64_t fields = patches.fields;
  const V bias = hn::Load(d, weights + fields * lanes);
  V bias_gradient = hn::Zero(d);
  V sum = hn::Zero(d);
  clear_rows(d, gradient, fields);
  const auto several = [&](std::int64_t p, auto constant) HWY_ATTR {
    constexpr std::int64_t size = constant;
    const Scalar* x = patches.input + p * fields;
    V z[size];
    for (auto& sum_of_products : z) { sum_of_products = bias; }
    for (std::int64_t k = 0; k < fields; ++k) {
      const V weight = hn::Load(d, weights + k * lanes);
      for (std::int64_t i = 0; i < size; ++i) { z[i] = hn::MulAdd(hn::Set(d, x[i * fields + k]), weight, z[i]); }
    }
    V by_z[size];  // half the derivative of the squared errors
    for (std::int64_t i = 0; i < size; ++i) {
      const V out = exponential ? exp_of(d, z[i]) : z[i];
      const V by_out = half_slope(d, patches, p + i, out, sum);
      by_z[i] = exponential ? hn::Mul(by_out, out) : by_out;
      bias_gradient = hn::Add(bias_gradient, by_z[i]);
    }
    for (std::int64_t k = 0; k < fields; ++k) {
      V g = hn::Load(d, gradient + k * lanes);
      for (std::int64_t i = 0; i < size; ++i) { g = hn::MulAdd(hn::Set(d, x[i * fields + k]), by_z[i], g); }
      hn::Store(g, d, gradient + k * lanes);
    }
  };
  std::int64_t p = 0;
  for (; p + 4 <= patches.count; p += 4) {  // four at once: a weight is loaded once for them
    several(p, std::integral_constant<std::int64_t, 4>());
  }
  for (; p < patches.count; ++p) { several(p, std::integral_constant<std::int64_t, 1>()); }
  hn::Store(bias_gradient, d, gradient + fields * lanes);
  return sum;
}

}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
