// What the kernels share: functions that Highway lacks, and passes over patches and images. Over patches a lane is a
// replica, and goes through the same operations in the same order whatever its neighbours are.
//
// A kernel's file names itself in HWY_TARGET_INCLUDE and includes this: then Highway compiles the file once for each
// instruction set, and the best is picked at run time. Hence the guard that opens again for each.

#include <hwy/foreach_target.h>
#if defined(CONV_MULT_KERNELS_VECTORS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef CONV_MULT_KERNELS_VECTORS_INL
#undef CONV_MULT_KERNELS_VECTORS_INL
#else
#define CONV_MULT_KERNELS_VECTORS_INL
#endif

#include <hwy/aligned_allocator.h>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>
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

/// Calls tile(i, size), the size as a constant of a type, as often as it fits, then with the next smaller one.
template <std::int64_t size, std::int64_t... smaller, class Tile>
HWY_INLINE void for_tiles(std::int64_t count, const Tile& tile, std::int64_t i = 0) {
  for (; i + size <= count; i += size) { tile(i, std::integral_constant<std::int64_t, size>()); }
  if constexpr (sizeof...(smaller) > 0) { for_tiles<smaller...>(count, tile, i); }
}

/// Of one vector of replicas: returns the sum of the squared errors and leaves half its gradient in place of zeros. A
/// row is a number for each lane; rows lie `lanes` apart. Scratch: 3 F rows and the planes of the shape, 0 at first.
template <typename Scalar, class D = hn::CappedTag<Scalar, lanes>>
using LanesFunction = hn::Vec<D> (*)(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient,
                                     Scalar* scratch);

/// One vector of replicas after the other, each over so many patches in one go; or, where there is a function of one
/// and a network's channels fill the vectors better, one replica after the other.
template <typename Scalar, LanesFunction<Scalar> function, std::int64_t together,
          LanesFunction<Scalar, hn::CappedTag<Scalar, 1>> of_one>
void all_replicas(const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* losses) {
  const hn::CappedTag<Scalar, lanes> all;
  const auto step = static_cast<std::int64_t>(hn::Lanes(all));
  const auto& shape = patches.shape;
  const bool alone =
      of_one != nullptr && std::min(step, patches.replicas) * shape.planes(shape.channels, step) <= shape.channels;
  const std::int64_t size = patches.rows * lanes;
  const std::int64_t scratch_size =
      size + (3 * patches.fields + shape.all_planes(alone ? step : 1) * shape.area()) * lanes;
  const auto scratch = hwy::AllocateAligned<Scalar>(static_cast<std::size_t>(scratch_size));
  std::fill_n(scratch.get(), scratch_size, Scalar{0});
  std::fill_n(gradient, (patches.replicas + lanes - 1) / lanes * size, Scalar{0});
  const auto pass = [&](auto d, auto of_vector, std::int64_t replica) HWY_ATTR {
    const auto at = replica / lanes * size + replica % lanes;
    auto sum = hn::Zero(d);
    for (std::int64_t begin = 0; begin < patches.count; begin += together) {
      auto block = patches;
      block.input += begin * patches.numbers;
      block.target += begin;
      block.root_count += begin;
      block.count = std::min(together, patches.count - begin);
      sum = hn::Add(sum, of_vector(d, block, weights + at, scratch.get(), scratch.get() + size));
      for (std::int64_t k = 0; k < size; k += lanes) {
        hn::Store(hn::Add(hn::Load(d, gradient + at + k), hn::Load(d, scratch.get() + k)), d, gradient + at + k);
        hn::Store(hn::Zero(d), d, scratch.get() + k);
      }
    }
    const bool mse = patches.mean_over > 0;
    const auto pixels = hn::Set(d, patches.mean_over);
    const auto loss = mse ? hn::Div(sum, pixels) : hn::Sqrt(sum);
    hn::Store(loss, d, losses + replica);
    // What half the gradient of the sum has to be divided by; of a loss of 0, where it is 0, not by that.
    const auto norm = hn::IfThenElse(hn::Eq(loss, hn::Zero(d)), hn::Set(d, Scalar{1}), loss);
    const auto divisor = mse ? hn::Mul(pixels, hn::Set(d, Scalar{0.5})) : norm;
    for (std::int64_t k = at; k < at + size; k += lanes) {
      hn::Store(hn::Div(hn::Load(d, gradient + k), divisor), d, gradient + k);
    }
    return static_cast<std::int64_t>(hn::Lanes(d));
  };
  for (std::int64_t replica = 0; replica < patches.replicas;) {
    replica += alone ? pass(hn::CappedTag<Scalar, 1>(), of_one, replica) : pass(all, function, replica);
  }
}

constexpr std::int64_t block_patches = 512;  // summed up in one go: float32 would lose digits on a million

/// A function's pass; the function is named for each type.
template <LanesFunction<float> in_float, LanesFunction<double> in_double, std::int64_t together = block_patches,
          LanesFunction<float, hn::CappedTag<float, 1>> one_float = nullptr,
          LanesFunction<double, hn::CappedTag<double, 1>> one_double = nullptr>
PatchPass patch_pass() {
  return {all_replicas<float, in_float, together, one_float>, all_replicas<double, in_double, together, one_double>};
}

/// Weights, a row for each field and perhaps one of biases after them, and where their gradient is summed up.
template <typename Scalar>
struct Kernel {
  const Scalar* weights;
  Scalar* gradient;
};

/// A unit of sums z = sum w x (+ c): `of` says which kernel each takes; if as the one before, over the next two
/// channels. unit(d, z, slope) leaves half the derivative of the squared errors by each z in its place; by the output
/// it is slope(output).
template <std::size_t... of, typename Scalar, class D, std::size_t count, class Unit, class V = hn::Vec<D>>
HWY_INLINE V sums_of_products(D d, const PatchData<Scalar>& patches, bool biased,
                              const Kernel<Scalar> (&kernels)[count], const Unit& unit) {
  constexpr std::size_t sums = sizeof...(of);
  [[maybe_unused]] static constexpr std::array<std::size_t, sums> kernel{of...};
  const std::int64_t fields = patches.fields;
  V biases[count];
  V bias_gradients[count];
  V sum = hn::Zero(d);
  for (std::size_t j = 0; j < count; ++j) {
    biases[j] = biased ? hn::Load(d, kernels[j].weights + fields * lanes) : hn::Zero(d);
    bias_gradients[j] = hn::Zero(d);
  }
  // A weight is loaded once for all of a tile, whose sums have to fit into 16 registers.
  for_tiles<sums == 1 ? 8 : 4, sums == 1 ? 4 : 1, 1>(patches.count, [&](std::int64_t p, auto tile) HWY_ATTR {
    constexpr std::size_t size = tile;
    const Scalar* numbers = patches.input + p * patches.numbers;
    // n: of the patch n / sums the sum n % sums. Nested loops, or z in the hands of unit, would keep it from registers.
    const auto x = [&](std::size_t n, std::int64_t k) HWY_ATTR {
      const bool next = n % sums > 0 && kernel[n % sums] == kernel[n % sums - 1];
      return hn::Set(d, numbers[static_cast<std::int64_t>(n / sums) * patches.numbers + (next ? fields : 0) + k]);
    };
    V z[size * sums];
    for (std::size_t n = 0; n < size * sums; ++n) { z[n] = biases[kernel[n % sums]]; }
    for (std::int64_t k = 0; k < fields; ++k) {
      V w[count];
      for (std::size_t j = 0; j < count; ++j) { w[j] = hn::Load(d, kernels[j].weights + k * lanes); }
      for (std::size_t n = 0; n < size * sums; ++n) { z[n] = hn::MulAdd(x(n, k), w[kernel[n % sums]], z[n]); }
    }
    V by_z[size][sums];
    for (std::size_t n = 0; n < size * sums; ++n) { by_z[n / sums][n % sums] = z[n]; }
    for (std::size_t i = 0; i < size; ++i) {
      unit(d, by_z[i],
           [&](V out) HWY_ATTR { return half_slope(d, patches, p + static_cast<std::int64_t>(i), out, sum); });
      for (std::size_t s = 0; s < sums; ++s) {
        bias_gradients[kernel[s]] = hn::Add(bias_gradients[kernel[s]], by_z[i][s]);
      }
    }
    if (patches.losses_only) { return; }
    for (std::int64_t k = 0; k < fields; ++k) {
      V g[count];
      for (std::size_t j = 0; j < count; ++j) { g[j] = hn::Load(d, kernels[j].gradient + k * lanes); }
      for (std::size_t n = 0; n < size * sums; ++n) {
        V& sum_of_kernel = g[kernel[n % sums]];
        sum_of_kernel = hn::MulAdd(x(n, k), by_z[n / sums][n % sums], sum_of_kernel);
      }
      for (std::size_t j = 0; j < count; ++j) { hn::Store(g[j], d, kernels[j].gradient + k * lanes); }
    }
  });
  for (std::size_t j = 0; biased && j < count; ++j) {
    hn::Store(bias_gradients[j], d, kernels[j].gradient + fields * lanes);
  }
  return sum;
}

/// A unit of sums that have a kernel each, one after the other, with biases if there are rows for them.
template <class Unit, std::size_t... of, typename Scalar, class D, class V = hn::Vec<D>>
V unit_lanes(D d, const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient, Scalar* /*scratch*/) {
  const std::int64_t size = patches.rows / static_cast<std::int64_t>(sizeof...(of)) * lanes;
  const auto at = [=](std::size_t kernel) { return static_cast<std::int64_t>(kernel) * size; };
  return sums_of_products<of...>(d, patches, size > patches.fields * lanes, {{weights + at(of), gradient + at(of)}...},
                                 Unit());
}

/// The unit of one sum, or of exp of it.
template <bool exponential>
struct Layer {
  template <class D, class V, class Slope>
  HWY_INLINE void operator()(D d, V (&z)[1], const Slope& slope) const {
    const V out = exponential ? exp_of(d, z[0]) : z[0];
    z[0] = exponential ? hn::Mul(slope(out), out) : slope(out);
  }
};

constexpr std::int64_t block_pixels = 512;  // of a row: their slopes stay in the first cache

/// The same unit, of `count` kernels one after the other, over rows of an image: here a lane is a pixel.
template <std::int64_t count, class Unit, typename Scalar>
void image_rows(const ImageData<Scalar>& image, std::int64_t begin, std::int64_t end, const Scalar* weights,
                double* sums) {
  const hn::CappedTag<Scalar, lanes> d;
  using V = hn::Vec<decltype(d)>;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t k = image.kernel_size;
  const std::int64_t taps = 2 * k * k;
  const std::int64_t numbers = image.numbers / count;  // of a kernel
  const bool biased = numbers > taps;
  std::vector<std::int64_t> offsets;  // of each weight's input from that of weight 0
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    const std::int64_t row = tap / (k * k) * (image.height + k - 1) + tap / k % k;
    offsets.push_back(row * image.stride + tap % k);
  }
  HWY_ALIGN Scalar slopes[count][block_pixels];
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t left = 0; left < image.width; left += block_pixels) {
      const std::int64_t pixels = std::min(block_pixels, image.width - left);
      const Scalar* input = image.input + row * image.stride + left;
      const Scalar* target = image.target + row * image.stride + left;
      V squares = hn::Zero(d);
      V bias_gradients[count] = {};
      for (std::int64_t x = 0; x < pixels; x += 4 * step) {  // four at once: a weight is spread once for them
        V z[4 * count];                                      // see above
        for (std::int64_t n = 0; n < 4 * count; ++n) {
          z[n] = hn::Set(d, biased ? weights[n % count * numbers + taps] : 0);
        }
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          const Scalar* at = input + offsets[static_cast<std::size_t>(tap)] + x;
          V w[count];
          for (std::int64_t j = 0; j < count; ++j) { w[j] = hn::Set(d, weights[j * numbers + tap]); }
          for (std::int64_t n = 0; n < 4 * count; ++n) {
            z[n] = hn::MulAdd(w[n % count], hn::LoadU(d, at + n / count * step), z[n]);
          }
        }
        V by_z[4][count];
        for (std::int64_t n = 0; n < 4 * count; ++n) { by_z[n / count][n % count] = z[n]; }
        for (int i = 0; i < 4; ++i) {
          const std::int64_t first = x + i * step;
          const auto rest = static_cast<std::size_t>(std::max<std::int64_t>(0, pixels - first));  // of the row
          const auto within = [&](V v) HWY_ATTR {
            return first + step > pixels ? hn::IfThenElseZero(hn::FirstN(d, rest), v) : v;
          };
          Unit()(d, by_z[i], [&](V out) HWY_ATTR {
            const V error = within(hn::Sub(out, hn::LoadU(d, target + first)));
            squares = hn::MulAdd(error, error, squares);
            return error;
          });
          for (std::int64_t j = 0; j < count; ++j) {
            const V slope = within(by_z[i][j]);
            bias_gradients[j] = hn::Add(bias_gradients[j], slope);
            hn::Store(slope, d, slopes[j] + first);
          }
        }
      }
      const std::int64_t whole = (pixels + step - 1) / step * step;
      sums[0] += hn::GetLane(hn::SumOfLanes(d, squares));
      for (std::int64_t j = 0; j < count; ++j) {
        double* of_kernel = sums + 1 + j * numbers;
        for_tiles<6, 2>(taps, [&](std::int64_t tap, auto tile) HWY_ATTR {  // six hide the latency of additions
          constexpr std::int64_t size = tile;
          V products[size] = {};
          for (std::int64_t x = 0; x < whole; x += step) {
            const V slope = hn::Load(d, slopes[j] + x);
            for (std::int64_t i = 0; i < size; ++i) {
              const Scalar* at = input + offsets[static_cast<std::size_t>(tap + i)] + x;
              products[i] = hn::MulAdd(slope, hn::LoadU(d, at), products[i]);
            }
          }
          for (std::int64_t i = 0; i < size; ++i) { of_kernel[tap + i] += hn::GetLane(hn::SumOfLanes(d, products[i])); }
        });
        if (biased) { of_kernel[taps] += hn::GetLane(hn::SumOfLanes(d, bias_gradients[j])); }
      }
    }
  }
}

template <std::int64_t count, class Unit>
ImagePass image_pass() {
  return {image_rows<count, Unit, float>, image_rows<count, Unit, double>};
}
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
