#include "conv_mult/model/model_file.hpp"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace conv_mult {
namespace {

Model sample(Variant variant, at::ScalarType dtype) {
  const bool deep = is_deep(variant);
  return make_model({variant, 3, deep ? 3 : 1, deep ? 2 : 1}, {7, 1}, dtype, at::kCPU);
}

TEST(ModelFile, EveryVariantComesBackToTheLastBit) {
  for (const auto variant : all_variants) {
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      const auto model = sample(variant, dtype);
      const auto saved = parse_model_file(model_file(model));
      EXPECT_EQ(saved.architecture.variant, variant);
      EXPECT_EQ(saved.architecture.kernel_size, 3);
      EXPECT_EQ(saved.architecture.depth, model.architecture.depth);
      EXPECT_EQ(saved.architecture.width, model.architecture.width);
      EXPECT_TRUE(at::equal(at::tensor(saved.weights, at::kDouble), weights_of(model)[0]));
    }
  }
}

/// What is damaged is refused in one line, or was nothing that counts. Returns whether it was refused.
bool is_refused(const std::string& content, const SavedModel& whole) {
  try {
    const auto read = parse_model_file(content);
    EXPECT_EQ(read.weights, whole.weights);
    EXPECT_EQ(read.architecture.variant, whole.architecture.variant);
    EXPECT_EQ(read.architecture.kernel_size, whole.architecture.kernel_size);
    return false;
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return true;
  }
}

TEST(ModelFile, NoFlippedBitChangesAModel) {
  for (const auto variant : {Variant::exp, Variant::relu, Variant::nalu}) {
    const auto content = model_file(sample(variant, at::kFloat));
    const auto whole = parse_model_file(content);
    std::size_t kept = 0;
    for (std::size_t bit = 0; bit < 8 * content.size(); ++bit) {
      auto damaged = content;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      kept += is_refused(damaged, whole) ? 0 : 1;
    }
    EXPECT_LT(kept, 8 * 26U);  // in the seal itself
  }
}

TEST(ModelFile, NoPartIsAnotherModel) {
  const auto content = model_file(sample(Variant::nmu, at::kDouble));
  const auto whole = parse_model_file(content);
  for (std::size_t size = 0; size < content.size(); ++size) {
    EXPECT_TRUE(is_refused(content.substr(0, size), whole) || size + 26 >= content.size()) << size;
  }
}

}  // namespace
}  // namespace conv_mult
