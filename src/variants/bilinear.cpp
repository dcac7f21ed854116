// The product of two convolutions: a gated linear unit without its sigmoid (Dauphin et al. 2017, "Language Modeling
// with Gated Convolutional Networks", section 2).

#include "variants/common.hpp"
#define HWY_TARGET_INCLUDE "variants/bilinear.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
/// (sum v x + c) (sum w x + d), of z the two sums.
struct Product {
  template <class D, class V, class Slope>
  HWY_INLINE void operator()(D /*d*/, V (&z)[2], const Slope& slope) const {
    const auto [left, right] = z;
    const V by_out = slope(hn::Mul(left, right));
    z[0] = hn::Mul(by_out, right);
    z[1] = hn::Mul(by_out, left);
  }
};

PatchPass bilinear() { return patch_pass<unit_lanes<Product, 0, 1>, unit_lanes<Product, 0, 1>>(); }
ImagePass bilinear_image() { return image_pass<2, Product>(); }
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
CONV_MULT_EXPORT_PASS(PatchPass, bilinear)
CONV_MULT_EXPORT_PASS(ImagePass, bilinear_image)

/// Without biases, unless asked for: with them a (b - d a + d) fits a scene in which a is 0 or 1 as well. Exact with a
/// centre weight of 1 for a in one and for b in the other.
const Variant variants::bilinear = [] {
  Variant v{"bilinear", "(Σ v x) (Σ w x)", 0x332288, 10, Takes::patches_and_images};
  v.may_have_bias = true;
  v.parameters = [](const Size& size) {
    return conv2d(2, 1, size.kernel_size, "1.", size.bias, conv2d(2, 1, size.kernel_size, "0.", size.bias));
  };
  v.output = [](const Weights& w, const Dataset& data, const Size& size) {
    return convolution(w, 0, size.bias, data, size) * convolution(w, size.bias ? 2 : 1, size.bias, data, size);
  };
  v.exact_width = 1;
  v.solution = [](const Size& size) {
    const auto of_a = at_centre(1, 0, size);
    const auto of_b = at_centre(0, 1, size);
    const auto none = at::zeros({1, 1}, at::kDouble);
    return size.bias ? Weights{of_a, none, of_b, none} : Weights{of_a, of_b};
  };
  v.patch_pass = bilinear_pass;
  v.image_pass = bilinear_image_pass;
  return v;
}();
}  // namespace conv_mult
#endif
