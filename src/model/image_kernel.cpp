// The image: a lane is a pixel.

#include <algorithm>
#include <vector>

#include "conv_mult/model/fused_kernel.hpp"

// Highway includes this file once for each instruction set and picks the best at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/image_kernel.cpp"
#include <hwy/foreach_target.h>
// Then:
#include <hwy/highway.h>

#include "kernel_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {

constexpr std::int64_t block_pixels = 512;  // of a row: their slopes stay in the first cache

/// Adds to sums[0], ..., sums[5] the products of the slopes with the inputs at six offsets; `count` is whole
/// vectors. Six sums at once: that many hide the latency of the additions.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE void six_products(D d, const Scalar* HWY_RESTRICT slopes, std::int64_t count,
                             const Scalar* HWY_RESTRICT input, const std::int64_t* offsets, double* sums) {
  V s0 = hn::Zero(d);
  V s1 = hn::Zero(d);
  V s2 = hn::Zero(d);
  V s3 = hn::Zero(d);
  V s4 = hn::Zero(d);
  V s5 = hn::Zero(d);
  for (std::int64_t x = 0; x < count; x += static_cast<std::int64_t>(hn::Lanes(d))) {
    const V slope = hn::Load(d, slopes + x);
    s0 = hn::MulAdd(slope, hn::LoadU(d, input + offsets[0] + x), s0);
    s1 = hn::MulAdd(slope, hn::LoadU(d, input + offsets[1] + x), s1);
    s2 = hn::MulAdd(slope, hn::LoadU(d, input + offsets[2] + x), s2);
    s3 = hn::MulAdd(slope, hn::LoadU(d, input + offsets[3] + x), s3);
    s4 = hn::MulAdd(slope, hn::LoadU(d, input + offsets[4] + x), s4);
    s5 = hn::MulAdd(slope, hn::LoadU(d, input + offsets[5] + x), s5);
  }
  const auto add = [&](V s, int i) HWY_ATTR { sums[i] += hn::GetLane(hn::SumOfLanes(d, s)); };
  add(s0, 0);
  add(s1, 1);
  add(s2, 2);
  add(s3, 3);
  add(s4, 4);
  add(s5, 5);
}

template <bool exponential, typename Scalar>
void image_rows(const ImageData<Scalar>& image, std::int64_t begin, std::int64_t end, const Scalar* weights,
                double* sums) {
  const hn::CappedTag<Scalar, lanes> d;
  using V = hn::Vec<decltype(d)>;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t k = image.kernel_size;
  const std::int64_t taps = 2 * k * k;
  std::vector<std::int64_t> offsets;  // of each weight's input from that of weight 0
  for (std::int64_t channel = 0; channel < 2; ++channel) {
    for (std::int64_t y = 0; y < k; ++y) {
      for (std::int64_t x = 0; x < k; ++x) {
        offsets.push_back((channel * (image.height + k - 1) + y) * image.stride + x);
      }
    }
  }
  // To whole sixes: what the others sum up is thrown away.
  const std::int64_t padded_taps = (taps + 5) / 6 * 6;
  offsets.resize(static_cast<std::size_t>(padded_taps), 0);
  std::vector<double> gradient(static_cast<std::size_t>(padded_taps), 0);
  HWY_ALIGN Scalar slopes[block_pixels];

  const V bias = hn::Set(d, weights[taps]);
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t left = 0; left < image.width; left += block_pixels) {
      const std::int64_t pixels = std::min(block_pixels, image.width - left);
      const Scalar* input = image.input + row * image.stride + left;
      const Scalar* target = image.target + row * image.stride + left;
      V squares = hn::Zero(d);
      V bias_gradient = hn::Zero(d);
      const auto finish = [&](std::int64_t x, V z) HWY_ATTR {
        const V out = exponential ? exp_of(d, z) : z;
        V error = hn::Sub(out, hn::LoadU(d, target + x));
        V slope = exponential ? hn::Mul(error, out) : error;
        if (x + step > pixels) {  // beyond the end of the row
          const auto inside = hn::FirstN(d, static_cast<std::size_t>(std::max<std::int64_t>(0, pixels - x)));
          error = hn::IfThenElseZero(inside, error);
          slope = hn::IfThenElseZero(inside, slope);
        }
        squares = hn::MulAdd(error, error, squares);
        bias_gradient = hn::Add(bias_gradient, slope);
        hn::Store(slope, d, slopes + x);
      };
      for (std::int64_t x = 0; x < pixels; x += 4 * step) {  // four at once: a weight is spread once for them
        V z0 = bias;
        V z1 = bias;
        V z2 = bias;
        V z3 = bias;
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          const V weight = hn::Set(d, weights[tap]);
          const Scalar* at = input + offsets[static_cast<std::size_t>(tap)] + x;
          z0 = hn::MulAdd(weight, hn::LoadU(d, at), z0);
          z1 = hn::MulAdd(weight, hn::LoadU(d, at + step), z1);
          z2 = hn::MulAdd(weight, hn::LoadU(d, at + 2 * step), z2);
          z3 = hn::MulAdd(weight, hn::LoadU(d, at + 3 * step), z3);
        }
        finish(x, z0);
        finish(x + step, z1);
        finish(x + 2 * step, z2);
        finish(x + 3 * step, z3);
      }
      const std::int64_t whole = (pixels + step - 1) / step * step;
      for (std::int64_t tap = 0; tap < padded_taps; tap += 6) {
        six_products(d, slopes, whole, input, offsets.data() + tap, gradient.data() + tap);
      }
      sums[0] += hn::GetLane(hn::SumOfLanes(d, squares));
      sums[1 + taps] += hn::GetLane(hn::SumOfLanes(d, bias_gradient));
    }
  }
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    sums[1 + tap] += gradient[static_cast<std::size_t>(tap)];
  }
}

void float_image(bool exponential, const ImageData<float>& image, std::int64_t begin, std::int64_t end,
                 const float* weights, double* sums) {
  (exponential ? image_rows<true, float> : image_rows<false, float>)(image, begin, end, weights, sums);
}

void double_image(bool exponential, const ImageData<double>& image, std::int64_t begin, std::int64_t end,
                  const double* weights, double* sums) {
  (exponential ? image_rows<true, double> : image_rows<false, double>)(image, begin, end, weights, sums);
}

}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {

HWY_EXPORT(float_image);
HWY_EXPORT(double_image);

void image_pass(bool exponential, const ImageData<float>& image, std::int64_t begin, std::int64_t end,
                const float* weights, double* sums) {
  HWY_DYNAMIC_DISPATCH(float_image)(exponential, image, begin, end, weights, sums);
}

void image_pass(bool exponential, const ImageData<double>& image, std::int64_t begin, std::int64_t end,
                const double* weights, double* sums) {
  HWY_DYNAMIC_DISPATCH(double_image)(exponential, image, begin, end, weights, sums);
}

}  // namespace conv_mult
#endif
