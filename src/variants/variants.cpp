#include "variants/variant.hpp"

namespace conv_mult {
const std::vector<const Variant*> all_variants{
    &variants::baseline, &variants::exp,          &variants::log_exp,     &variants::nmu,  &variants::nalu,
    &variants::nac_mul,  &variants::npu,          &variants::stacked_exp, &variants::relu, &variants::bilinear,
    &variants::square,   &variants::product_unit, &variants::snmu,        &variants::inalu};

const Variant* find_variant(std::string_view name) {
  const auto found = std::find_if(all_variants.begin(), all_variants.end(),
                                  [&](const Variant* variant) { return variant->name == name; });
  return found == all_variants.end() ? nullptr : *found;
}
}  // namespace conv_mult
