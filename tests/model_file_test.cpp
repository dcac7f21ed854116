#include <stdexcept>
#include <tuple>
#include "cases.hpp"
#include "executable.hpp"

namespace conv_mult {
namespace {
bool operator==(const Size& a, const Size& b) {
  return std::tie(a.kernel_size, a.depth, a.width, a.bias) == std::tie(b.kernel_size, b.depth, b.width, b.bias);
}

class ModelFile : public EachVariant {};
CONV_MULT_FOR_EACH_VARIANT(ModelFile);

TEST_P(ModelFile, ComesBackToTheLastBit) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto model = make_model(architecture(), {7, 1}, dtype, at::kCPU);
    const auto saved = parse_model_file(model_file(model));
    EXPECT_EQ(saved.architecture.variant, &variant_);
    EXPECT_TRUE(saved.architecture.size == architecture().size);
    EXPECT_TRUE(torch::equal(torch::tensor(saved.weights, at::kDouble), weights_of(model)[0]));
  }
}

/// What is damaged is refused in one line, or was nothing that counts. Returns whether it was refused.
bool is_refused(const std::string& content, const SavedModel& whole) {
  try {
    const auto read = parse_model_file(content);
    EXPECT_EQ(read.weights, whole.weights);
    EXPECT_EQ(read.architecture.variant, whole.architecture.variant);
    EXPECT_TRUE(read.architecture.size == whole.architecture.size);
    return false;
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return true;
  }
}

TEST_P(ModelFile, NoPartAndNoFlippedBitIsAnotherModel) {
  const auto content = model_file(make_model(architecture(), {7, 1}, at::kFloat, at::kCPU));
  const auto whole = parse_model_file(content);
  const std::size_t stride = checked_build ? 7 : 1;
  std::size_t kept = 0;
  for (std::size_t bit = 0; bit < 8 * content.size(); bit += stride) {
    auto damaged = content;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    kept += is_refused(damaged, whole) ? 0 : 1;
  }
  EXPECT_LT(kept, 8 * 26U);  // in the seal itself
  for (std::size_t size = 0; size < content.size(); size += stride) {
    EXPECT_TRUE(is_refused(content.substr(0, size), whole) || size + 26 >= content.size()) << size;
  }
}
}  // namespace
}  // namespace conv_mult
