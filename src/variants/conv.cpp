// One convolution of both channels, alone and with exp before or after it; and the product unit of Durbin & Rumelhart
// 1989, "Product Units: A Computationally Powerful and Biologically Plausible Extension to Backpropagation Networks".

#include "variants/common.hpp"
#define HWY_TARGET_INCLUDE "variants/conv.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
PatchPass linear() { return patch_pass<unit_lanes<Layer<false>, 0>, unit_lanes<Layer<false>, 0>>(); }
PatchPass exponential() { return patch_pass<unit_lanes<Layer<true>, 0>, unit_lanes<Layer<true>, 0>>(); }
ImagePass linear_image() { return image_pass<1, Layer<false>>(); }
ImagePass exponential_image() { return image_pass<1, Layer<true>>(); }
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
namespace {
CONV_MULT_EXPORT_PASS(PatchPass, linear)
CONV_MULT_EXPORT_PASS(PatchPass, exponential)
CONV_MULT_EXPORT_PASS(ImagePass, linear_image)
CONV_MULT_EXPORT_PASS(ImagePass, exponential_image)

/// What exp can come close to without end, on a scene of two values each, one of them 0: ||min(target, 0)||. With large
/// centre weights and bias the output is 0 where a or b is, and any positive constant elsewhere.
std::optional<double> floor_of_exp(const Dataset& data, const Size& size) {
  const std::int64_t centre = size.kernel_size / 2;
  for (const auto& channel : data.input.unbind(1)) {
    const auto values = data.form == DataForm::patches ? channel.select(1, centre).select(1, centre) : channel;
    const auto filled = values.masked_select(values.ne(0));
    if (filled.numel() > 0 && !filled.eq(filled[0]).all().item<bool>()) { return std::nullopt; }
  }
  const auto negative = data.target.clamp_max(0).to(at::kDouble);
  return (data.root_count.defined() ? negative * data.root_count.to(at::kDouble) : negative).norm().item<double>();
}

template <bool exponential>
Variant layer(Variant v, decltype(v.floor) floor = nullptr) {
  v.floor = floor;
  v.parameters = [](const Size& size) { return conv2d(2, 1, size.kernel_size); };
  v.output = [](const Weights& weights, const Dataset& data, const Size& size) {
    const auto z = convolution(weights, 0, true, data, size);
    return exponential ? z.exp() : z;
  };
  v.patch_pass = exponential ? exponential_pass : linear_pass;
  v.image_pass = exponential ? exponential_image_pass : linear_image_pass;
  return v;
}
}  // namespace

/// The post's plain layer. Its floor is attained: see best_affine.
const Variant variants::baseline = [] {
  Variant v = layer<false>({"baseline", "Σ w x + c", 0x0072B2, 7}, best_affine);
  v.selection = [](const Weights& weights) { return weights[0]; };
  v.affine = true;
  return v;
}();

/// The post's trick, since exp(u + v) = exp(u) exp(v).
const Variant variants::exp = layer<true>({"exp", "exp(Σ w x + c)", 0xD55E00, 5}, floor_of_exp);

/// The product unit without its sign, and with a factor e^c. Exact with centre weights 1, the others and c 0.
const Variant variants::log_exp = [] {
  Variant v = layer<true>({"log-exp", "exp(Σ w log(|x| + 10⁻⁷) + c)", 0x009E73, 9});
  v.encode = logarithms;
  v.selection = [](const Weights& weights) { return weights[0]; };
  v.solution = [](const Size& size) { return Weights{at_centre(1, 1, size), at::zeros({1, 1}, at::kDouble)}; };
  return v;
}();

/// The real part of the product of x^w, x < 0 being |x| e^(i pi). Exact with centre weights 1, the others 0.
const Variant variants::product_unit = [] {
  Variant v{"product-unit", "exp(Σ w log(|x| + 10⁻⁷)) cos(π Σ w n), n = (x < 0)", 0x117733, 8};
  v.encode = [](const Scene& scene) { return at::cat({logarithms(scene), negatives(scene)}, 1); };
  v.parameters = [](const Size& size) { return conv2d(2, 1, size.kernel_size, "", false); };
  v.output = [](const Weights& weights, const Dataset& data, const Size& size) {
    const auto sum_over = [&](std::int64_t first_channel) {
      return convolution(weights, 0, false, {data.form, data.input.narrow(1, first_channel, 2), data.target}, size);
    };
    return sum_over(0).exp() * (c10::pi<double> * sum_over(2)).cos();
  };
  v.selection = [](const Weights& weights) { return weights[0]; };
  v.solution = [](const Size& size) { return Weights{at_centre(1, 1, size)}; };
  return v;
}();
}  // namespace conv_mult
#endif
