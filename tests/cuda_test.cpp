// The GPU against the CPU, on the real executable: where there is no GPU, skipped.

#include <torch/cuda.h>
#include "executable.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
/// Variant, seed and step with the loss, of every line of loss.csv.
using Losses = std::vector<std::pair<std::string, double>>;

class Cuda : public Executable {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) { GTEST_SKIP() << "this machine has no GPU"; }
    Executable::SetUp();
  }

  Losses losses(const std::string& arguments) const {
    const auto outcome = run("--quiet --figures none --out r --steps 20 --log-every 1 " + arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << outcome.err;
    Losses losses;
    std::istringstream file(read(folder_ / "r/loss.csv"));
    std::string line;
    for (std::getline(file, line); std::getline(file, line);) {
      const auto comma = line.rfind(',');
      losses.emplace_back(line.substr(0, comma), std::strtod(line.c_str() + comma + 1, nullptr));
    }
    return losses;
  }
};

// For twenty steps, in which what rounding begins grows: in float32 to some per cent where a ReLU hangs on it, later,
// and with large steps of SGD, in float64, too. So float64 is the test, float32 a look.
TEST_F(Cuda, LossesAreThoseOfTheCpu) {
  for (const char* what : {"--data auto", "--data image", "--data literal", "--loss mse", "--seeds 70",
                           "--depth 3 --width 4", "--scene noise --size 20", "--scene noise --data image --size 20",
                           "--scene noise --resample --loss mse --kernel-size 1 --size 8,16",
                           "--optimizer adam,adamw,rmsprop,sgd --lr 1e-4"}) {
    for (const auto& [dtype, tolerance] : {std::pair{"float64", 1e-9}, {"float32", 0.1}}) {
      const std::string arguments = std::string("--variant all --dtype ") + dtype + ' ' + what + " --device ";
      SCOPED_TRACE(arguments);
      const auto expected = losses(arguments + "cpu");
      const auto actual = losses(arguments + "cuda");
      ASSERT_GE(expected.size(), all_variants.size() * 21);  // unless some run diverged
      ASSERT_EQ(actual.size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(actual[i].first, expected[i].first);
        EXPECT_TRUE(std::isfinite(expected[i].second)
                        ? std::abs(actual[i].second - expected[i].second) <= tolerance * expected[i].second
                        : !std::isfinite(actual[i].second))
            << expected[i].first << ": " << actual[i].second << ", not " << expected[i].second;
      }
    }
  }
}

TEST_F(Cuda, ARunIsRepeatedToTheLastBit) {
  for (const char* what : {"--data auto", "--data image", "--scene noise --resample --size 20"}) {
    const auto arguments = std::string("--variant all --device cuda ") + what;
    EXPECT_EQ(losses(arguments), losses(arguments)) << what;
  }
}
}  // namespace
}  // namespace conv_mult
