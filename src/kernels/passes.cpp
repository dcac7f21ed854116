// The pass over an image, in which a lane is a pixel, and the optimizers' step.

#define HWY_TARGET_INCLUDE "kernels/passes.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
constexpr std::int64_t block_pixels = 512;  // of a row: their slopes stay in the first cache

/// Adds to the first `sums_wanted` of six sums the products of the slopes with the inputs at six offsets; `count` is
/// whole vectors. Six sums at once: that many hide the latency of the additions.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE void six_products(D d, const Scalar* HWY_RESTRICT slopes, std::int64_t count,
                             const Scalar* HWY_RESTRICT input, const std::int64_t* offsets, double* sums,
                             std::int64_t sums_wanted) {
  V products[6];
  for (auto& product : products) { product = hn::Zero(d); }
  for (std::int64_t x = 0; x < count; x += static_cast<std::int64_t>(hn::Lanes(d))) {
    const V slope = hn::Load(d, slopes + x);
    for (int i = 0; i < 6; ++i) { products[i] = hn::MulAdd(slope, hn::LoadU(d, input + offsets[i] + x), products[i]); }
  }
  for (int i = 0; i < sums_wanted; ++i) { sums[i] += hn::GetLane(hn::SumOfLanes(d, products[i])); }
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
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    const std::int64_t row = tap / (k * k) * (image.height + k - 1) + tap / k % k;
    offsets.push_back(row * image.stride + tap % k);
  }
  offsets.resize(offsets.size() + 5, 0);  // there is a six from each
  HWY_ALIGN Scalar slopes[block_pixels];

  const V bias = hn::Set(d, weights[taps]);
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t left = 0; left < image.width; left += block_pixels) {
      const std::int64_t pixels = std::min(block_pixels, image.width - left);
      const Scalar* input = image.input + row * image.stride + left;
      const Scalar* target = image.target + row * image.stride + left;
      V squares = hn::Zero(d);
      V bias_gradient = hn::Zero(d);
      for (std::int64_t x = 0; x < pixels; x += 4 * step) {  // four at once: a weight is spread once for them
        V z[4] = {bias, bias, bias, bias};
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          const V weight = hn::Set(d, weights[tap]);
          const Scalar* at = input + offsets[static_cast<std::size_t>(tap)] + x;
          for (int i = 0; i < 4; ++i) { z[i] = hn::MulAdd(weight, hn::LoadU(d, at + i * step), z[i]); }
        }
        for (int i = 0; i < 4; ++i) {
          const std::int64_t first = x + i * step;
          const V out = exponential ? exp_of(d, z[i]) : z[i];
          V error = hn::Sub(out, hn::LoadU(d, target + first));
          V slope = exponential ? hn::Mul(error, out) : error;
          if (first + step > pixels) {  // beyond the end of the row
            const auto inside = hn::FirstN(d, static_cast<std::size_t>(std::max<std::int64_t>(0, pixels - first)));
            error = hn::IfThenElseZero(inside, error);
            slope = hn::IfThenElseZero(inside, slope);
          }
          squares = hn::MulAdd(error, error, squares);
          bias_gradient = hn::Add(bias_gradient, slope);
          hn::Store(slope, d, slopes + first);
        }
      }
      const std::int64_t whole = (pixels + step - 1) / step * step;
      for (std::int64_t tap = 0; tap < taps; tap += 6) {
        six_products(d, slopes, whole, input, offsets.data() + tap, sums + 1 + tap,
                     std::min<std::int64_t>(6, taps - tap));
      }
      sums[0] += hn::GetLane(hn::SumOfLanes(d, squares));
      sums[1 + taps] += hn::GetLane(hn::SumOfLanes(d, bias_gradient));
    }
  }
}

ImagePass linear_image() { return {image_rows<false, float>, image_rows<false, double>}; }
ImagePass exponential_image() { return {image_rows<true, float>, image_rows<true, double>}; }

/// A step of torch::optim's optimizers in one pass over the numbers, in its order of operations, for its very bits.
template <typename Scalar>
void update(const OptimizerStep& step, std::int64_t count, Scalar* HWY_RESTRICT weights,
            const Scalar* HWY_RESTRICT gradient, Scalar* HWY_RESTRICT mean, Scalar* HWY_RESTRICT square) {
  const hn::CappedTag<Scalar, lanes> d;
  const auto all = [&](double value) HWY_ATTR { return hn::Set(d, static_cast<Scalar>(value)); };
  const auto minus_rate = all(-step.rate);
  const auto of_mean = all(step.mean_decay);
  const auto of_gradient = all(1 - step.mean_decay);
  const auto of_square = all(step.square_decay);
  const auto of_gradient_square = all(1 - step.square_decay);
  const auto root_correction = all(step.root_correction);
  const auto epsilon = all(step.epsilon);
  const auto kept = all(step.kept);
  for (std::int64_t i = 0; i < count; i += static_cast<std::int64_t>(hn::Lanes(d))) {
    const auto slope = hn::Load(d, gradient + i);
    auto weight = hn::Mul(hn::Load(d, weights + i), kept);
    if (step.square_decay == 0) {
      hn::Store(hn::MulAdd(slope, minus_rate, weight), d, weights + i);
      continue;
    }
    auto along = slope;
    if (step.mean_decay > 0) {
      along = hn::MulAdd(slope, of_gradient, hn::Mul(hn::Load(d, mean + i), of_mean));
      hn::Store(along, d, mean + i);
    }
    const auto squares =
        hn::MulAdd(hn::Mul(of_gradient_square, slope), slope, hn::Mul(hn::Load(d, square + i), of_square));
    hn::Store(squares, d, square + i);
    const auto root = hn::Add(hn::Div(hn::Sqrt(squares), root_correction), epsilon);
    weight = hn::Add(weight, hn::Div(hn::Mul(minus_rate, along), root));
    hn::Store(weight, d, weights + i);
  }
}

UpdatePass optimizer() { return {update<float>, update<double>}; }
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
CONV_MULT_EXPORT_PASS(UpdatePass, optimizer)
CONV_MULT_EXPORT_PASS(ImagePass, linear_image)
CONV_MULT_EXPORT_PASS(ImagePass, exponential_image)
}  // namespace conv_mult
#endif
