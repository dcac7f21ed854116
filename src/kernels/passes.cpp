// The optimizers' step.

#define HWY_TARGET_INCLUDE "kernels/passes.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
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
  const auto epsilon = all(1e-8);
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
}  // namespace conv_mult
#endif
