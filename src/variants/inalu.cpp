// The improved unit of Schlör, Ring & Hotho 2020, "iNALU: Improved Neural Arithmetic Logic Unit".

#include "variants/common.hpp"

namespace conv_mult {
/// NALU with weights for each of its paths, a gate that sees no data, and the sign. Gradients are clipped, and a
/// penalty, the mean of max(20 - |w|, 0) / 20, keeps weights from 0. The authors' new start of stuck runs is left out.
const Variant variants::inalu = [] {
  Variant v{"inalu", "g Σ V x + (1 − g) exp(min(Σ W log max(|x|, 10⁻⁷), 20)) Π (1 + (sgn x − 1) |W|)", 0x999933, 14,
            Takes::patches};
  v.encode = [](const Scene& scene) {  // a, b, log(max(|x|, 1e-7)) and sgn x - 1, which are 0 in padding
    const auto images = plain(scene);
    return at::cat({images, images.abs().clamp_min(1e-7).log(), images.sign() - 1}, 1);
  };
  v.parameters = [](const Size& size) {
    std::vector<Parameter> all{{"g", {1}, 0, 0.2, true}};
    for (const auto* path : {"_sum", "_product"}) {
      all.push_back({std::string("w") + path, {size.fields()}, 0.88, 0.2, true});
      all.push_back({std::string("m") + path, {size.fields()}, 0.5, 0.2, true});
    }
    return all;
  };
  v.output = [](const Weights& weights, const Dataset& data, const Size& /*size*/) {
    const auto gate = weights[0].sigmoid().t();
    const auto w = nac_weight(weights, 3);
    const auto exponent = at::matmul(channel_pair(data, 2), w.t());
    const auto sign = product(1 + channel_pair(data, 4).unsqueeze(1) * w.abs());
    return as_output(gate * at::matmul(channel_pair(data, 0), nac_weight(weights, 1).t()) +
                     (1 - gate) * exponent.masked_fill(exponent.gt(20), 20).exp() * sign);
  };
  v.clip = 0.1;
  v.regularise = [](const Weights& weights, double strength) {
    for (const auto& w : weights) {
      w.grad().sub_(w.sign() * w.abs().lt(20), strength / (20 * static_cast<double>(w.size(1))));
    }
  };
  v.selection = [](const Weights& weights) { return nac_weight(weights, 3); };
  v.exact_width = 1;
  v.solution = [](const Size& size) {
    const auto none = at_centre(0, size);
    return Weights{at::full({1, 1}, -1000, at::kDouble), none, none, at_centre(40, size), at_centre(40, size)};
  };
  return v;
}();
}  // namespace conv_mult
