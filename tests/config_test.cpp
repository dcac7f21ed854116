#include "conv_mult/config.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <utility>

namespace conv_mult {
namespace {

CommandLine parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "conv_mult");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data(), "conv_mult 1.2.3");
}

/// A file that is gone with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content)
      : path_(testing::TempDir() + testing::UnitTest::GetInstance()->current_test_info()->name() + ".toml") {
    std::ofstream(path_) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
};

TEST(Config, DefaultsAreThoseOfTheStructs) {
  const auto config = parse({}).config;
  EXPECT_EQ(config.variants, (std::vector{Variant::baseline, Variant::exp}));
  EXPECT_EQ(config.training.steps, TrainingConfig{}.steps);
  EXPECT_EQ(config.scene.a.left, SceneConfig{}.a.left);
  EXPECT_EQ(config.output.figures, OutputConfig{}.figures);
  EXPECT_FALSE(config.output.require_ratio);
}

TEST(Config, ListsAreRepeatableOrSeparatedByCommas) {
  const auto repeated = parse({"--variant", "exp", "--variant", "baseline"}).config.variants;
  EXPECT_EQ(repeated, (std::vector{Variant::exp, Variant::baseline}));
  EXPECT_EQ(parse({"--variant", "exp,baseline,exp"}).config.variants, repeated);
  EXPECT_TRUE(parse({"--figures", "none"}).config.output.figures.empty());
}

TEST(Config, SizeScalesTheDefaultRectangles) {
  const auto config = parse({"--size", "200,50"}).config;
  EXPECT_EQ(config.scene.height, 200);
  EXPECT_EQ(config.scene.width, 50);
  EXPECT_EQ(config.scene.a.top, 40);
  EXPECT_EQ(config.scene.a.height, 90);
  EXPECT_EQ(config.scene.a.left, 7);
  EXPECT_EQ(parse({"--size", "30"}).config.scene.width, 30);
  const auto one = parse({"--size", "1"}).config.scene;
  EXPECT_EQ(one.a.top + one.a.height, 1);
}

TEST(Config, ShardsArePartsOfTheSeedsWithoutGapOrOverlap) {
  for (const std::int64_t shards : {1, 2, 3, 7, 10}) {
    std::int64_t next = 5;
    for (std::int64_t i = 1; i <= shards; ++i) {
      Config config;
      config.seeds = {5, 10};
      config.shard = {i, shards};
      const auto part = seeds_of_shard(config);
      EXPECT_EQ(part.first, next);
      EXPECT_GE(part.count, 10 / shards);
      EXPECT_LE(part.count, (10 + shards - 1) / shards);
      next += part.count;
    }
    EXPECT_EQ(next, 15);
  }
  const auto config = parse({"--seeds", "8", "--shard", "2/3"}).config;
  EXPECT_EQ(config.shard.index, 2);
  EXPECT_EQ(config.shard.count, 3);
}

TEST(Config, OptimizersAndRatesAreAGrid) {
  const auto grid = parse({"--optimizer", "sgd,adam", "--lr", "0.1,0.01,0.1"}).config.training;
  EXPECT_EQ(grid.optimizers, (std::vector{OptimizerKind::sgd, OptimizerKind::adam}));
  EXPECT_EQ(grid.learning_rates, (std::vector{0.1, 0.01}));
  EXPECT_TRUE(is_grid(grid));
  EXPECT_FALSE(is_grid(parse({}).config.training));
}

TEST(Config, RowsAreEveryCombinationThatMeansAnything) {
  EXPECT_EQ(parse({"--variant", "all"}).config.variants.size(), all_variants.size());
  const auto config = parse({"--variant", "exp,relu", "--depth", "2,3", "--width", "4,8", "--scene",
                             "rectangles,noise", "--range", "1,2", "--range=-3,-2"})
                          .config;
  const auto rows = rows_of(config);
  ASSERT_EQ(rows.size(), 3U * (1 + 4));  // exp has no depth
  EXPECT_EQ(rows[0].architecture.depth, 1);
  EXPECT_EQ(rows[1].architecture.depth, 2);
  EXPECT_EQ(rows[2].architecture.width, 8);
  EXPECT_EQ(rows[5].scene, 1U);
}

TEST(Config, AVariantMayHaveARateOfItsOwn) {
  const auto config = parse({"--variant", "nmu,npu", "--lr", "0.001,npu=0.005"}).config;
  const auto rows = rows_of(config);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].training.learning_rate, 0.001);
  EXPECT_EQ(rows[1].training.learning_rate, 0.005);
  EXPECT_FALSE(is_grid(config.training));
  EXPECT_TRUE(is_grid(parse({"--lr", "npu=1,npu=2"}).config.training));
  EXPECT_EQ(parse({"--lr", "npu=1"}).config.training.learning_rates, TrainingGrid().learning_rates);
}

TEST(Config, NoiseHasRangesAndTestRanges) {
  const auto noise_of = [](std::vector<const char*> arguments) {
    return parse(std::move(arguments)).config.noise;
  };
  const auto expect = [](const Interval& interval, double low, double high) {
    EXPECT_EQ(interval.low, low);
    EXPECT_EQ(interval.high, high);
  };
  const auto two =
      noise_of({"--range", "-2,2", "--range", "1,2", "--test-range", "-6,-2,2,6", "--test-range", "2,6"});
  ASSERT_EQ(two.size(), 2U);
  expect(two[0].range, -2, 2);
  ASSERT_EQ(two[0].test_range.size(), 2U);
  expect(two[0].test_range[1], 2, 6);
  expect(two[1].test_range[0], 2, 6);
  expect(noise_of({"--range", "10,20"})[0].test_range[0], 20, 40);
  expect(noise_of({"--range=-2,-1"})[0].test_range[0], -4, -2);
  const auto around_zero = noise_of({"--range=-1,2"})[0].test_range;
  ASSERT_EQ(around_zero.size(), 2U);
  expect(around_zero[0], -2, -1);
  expect(around_zero[1], 2, 4);
  const TemporaryFile strings("range = [\"1,2\", \"-2,2\"]\ntest-range = [\"2,6\", \"-6,-2,2,6\"]\n");
  EXPECT_EQ(noise_of({"--config", strings.path()})[1].test_range.size(), 2U);
  const TemporaryFile numbers("range = [-3, -2]\n");
  expect(noise_of({"--config", numbers.path()})[0].range, -3, -2);
}

TEST(Config, SuccessDependsOnTheSceneUnlessItIsGiven) {
  const auto success = [](std::vector<const char*> arguments) {
    return parse(std::move(arguments)).config.success;
  };
  EXPECT_EQ(success({}).rectangles, 0.05);
  EXPECT_FALSE(success({}).noise);
  EXPECT_EQ(success({"--success", "0.2"}).noise, 0.2);
  EXPECT_FALSE(success({"--success", "near-exact"}).rectangles);
}

TEST(Config, SchedulesFollowTheNumberOfSteps) {
  const auto config = parse({"--steps", "50000"}).config;
  EXPECT_EQ(config.check_every, 1000);
  EXPECT_EQ(config.training.sparsity.from, 20000);
  EXPECT_EQ(config.training.sparsity.to, 35000);
  const auto given = parse({"--nmu-sparsity", "2,5,7", "--check-every", "3"}).config;
  EXPECT_EQ(given.training.sparsity.strength, 2);
  EXPECT_EQ(given.training.sparsity.to, 7);
  EXPECT_EQ(given.check_every, 3);
  const auto defaults = parse({}).config.training.sparsity;
  EXPECT_EQ(defaults.from, Sparsity().from);
  EXPECT_EQ(defaults.to, Sparsity().to);
}

TEST(Config, ManySeedsAreLoggedInAboutAHundredRows) {
  EXPECT_EQ(parse({"--steps", "3000"}).config.output.log_every, 1);
  EXPECT_EQ(parse({"--steps", "3000", "--seeds", "2"}).config.output.log_every, 30);
  EXPECT_EQ(parse({"--steps", "50", "--seeds", "2"}).config.output.log_every, 1);
  EXPECT_EQ(parse({"--seeds", "2", "--log-every", "7"}).config.output.log_every, 7);
}

TEST(Config, SettingsThatDecideTheNumbersAreToldFromTheRest) {
  const auto settings = [](std::vector<const char*> arguments) {
    return deciding_settings(parse(std::move(arguments)).resolved_toml, false);
  };
  EXPECT_EQ(settings({}), settings({"--out", "elsewhere", "--figures", "none", "--quiet", "--resume"}));
  EXPECT_EQ(settings({"--seeds", "4"}), settings({"--seeds", "4", "--shard", "2/4"}));
  EXPECT_NE(settings({}), settings({"--steps", "7"}));
  EXPECT_NE(settings({}), settings({"--heldout-seed", "7"}));
}

TEST(Config, MergeTakesTheSettingsOfItsFirstFolder) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "conv_mult-merge";
  std::filesystem::create_directories(folder);
  const auto shard = parse({"--seeds", "9", "--shard", "2/3", "--lr", "0.5", "--out", "x"});
  std::ofstream(folder / "config.toml") << shard.resolved_toml;
  const auto name = folder.string();
  const auto merge = parse({"merge", name.c_str(), "other", "--out", "all", "--figures", "none"});
  EXPECT_EQ(merge.merge, (std::vector<std::string>{name, "other"}));
  EXPECT_EQ(merge.config.seeds.count, 9);
  EXPECT_EQ(merge.config.shard.count, 1);
  EXPECT_EQ(merge.config.output.directory, "all");
  EXPECT_TRUE(merge.config.output.figures.empty());
  EXPECT_EQ(deciding_settings(merge.resolved_toml, false), deciding_settings(shard.resolved_toml, false));
  std::filesystem::remove_all(folder);
}

TEST(Config, TheCommandLineWinsOverTheFile) {
  const TemporaryFile file(
      "steps = 7\nlr = 0.5\nvariant = [\"exp\"]\nrect-a = [1, 2, 3, 4, 5.5]\nfigures = \"none\"\n");
  const auto config = parse({"--config", file.path(), "--steps", "8", "--variant", "baseline"}).config;
  EXPECT_EQ(config.training.steps, 8);
  EXPECT_EQ(config.training.learning_rates, std::vector{0.5});
  EXPECT_EQ(config.variants, std::vector{Variant::baseline});
  EXPECT_EQ(config.scene.a.width, 4);
  EXPECT_EQ(config.scene.a.value, 5.5);
  EXPECT_TRUE(config.output.figures.empty());
}

TEST(Config, TheResolvedConfigurationReadsBack) {
  const auto first =
      parse({"--size",    "60,70",    "--lr",           "0.003",           "--variant", "exp",
             "--figures", "svg",      "--quiet",        "--kernel-size",   "5",         "--optimizer",
             "sgd",       "--rect-b", "0,0,60,70,-1.5", "--require-ratio", "2",         "--variant",
             "baseline",  "--dtype",  "float64",        "--data",          "image",     "--out",
             "a b"});
  const TemporaryFile file(first.resolved_toml);
  const auto second = parse({"--config", file.path()});
  EXPECT_EQ(second.resolved_toml, first.resolved_toml);
  EXPECT_EQ(second.config.scene.width, 70);
  EXPECT_EQ(second.config.scene.a.height, first.config.scene.a.height);
  EXPECT_EQ(second.config.scene.b.value, -1.5);
  EXPECT_EQ(second.config.variants, first.config.variants);
  EXPECT_EQ(second.config.training.optimizers, std::vector{OptimizerKind::sgd});
  EXPECT_EQ(second.config.machine.dtype, Dtype::float64);
  EXPECT_EQ(second.config.output.figures, first.config.output.figures);
  EXPECT_EQ(second.config.output.require_ratio, 2);
  EXPECT_EQ(second.config.output.directory, "a b");
  EXPECT_TRUE(second.config.output.quiet);

  const auto noise =
      parse({"--scene", "noise", "--range", "1,2", "--range=-2,2", "--lr", "npu=0.1,0.2", "--depth", "1,4",
             "--resample", "--loss", "mse", "--success", "near-exact", "--variant", "all"});
  const TemporaryFile noise_file(noise.resolved_toml);
  const auto again = parse({"--config", noise_file.path()});
  EXPECT_EQ(again.resolved_toml, noise.resolved_toml);
  EXPECT_TRUE(again.config.resample);
  EXPECT_EQ(again.config.noise[1].test_range.size(), 2U);
  EXPECT_EQ(rows_of(again.config).size(), rows_of(noise.config).size());

  const auto defaults = parse({});
  const TemporaryFile defaults_file(defaults.resolved_toml);
  EXPECT_EQ(parse({"--config", defaults_file.path()}).resolved_toml, defaults.resolved_toml);
}

TEST(Config, HelpAndVersionAreMessages) {
  EXPECT_NE(parse({"--help"}).message->find("--rect-a"), std::string::npos);
  EXPECT_EQ(parse({"--version"}).message, "conv_mult 1.2.3");
}

/// Every complaint is one line and names the culprit and its value.
void expect_error(const std::vector<const char*>& arguments, const std::vector<std::string>& words) {
  try {
    parse(arguments);
    ADD_FAILURE() << "accepted: " << testing::PrintToString(arguments);
  } catch (const UsageError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const auto& word : words) {
      EXPECT_NE(message.find(word), std::string::npos) << "'" << word << "' is not in: " << message;
    }
  }
}

TEST(Config, NumbersOutOfAnyRangeAreRefused) {
  for (const auto& [option, values] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"--lr", {"nan", "inf", "-inf", "0", "-0.1", "1e400", "", "0.1,nan", "exp=", "cubic=1", "0.1x"}},
           {"--success", {"nan", "inf", "-1", "0", "", "almost"}},
           {"--rect-a",
            {"0,0,0,5,1", "0,0,5,0,1", "0,0,5,5,nan", "0,0,5,5,inf", "0,0,5,5,1e400", "0,0,5,5,-1e39",
             "-1,0,5,5,1", "1e30,0,5,5,1", "0.5,0,5,5,1", "0,0,101,5,1", "0,0,5,5", "0,0,5,5,1,1",
             "9223372036854775807,0,5,5,1", "99,99,2,2,1"}},
           {"--range", {"1,1", "2,1", "nan,1", "1,inf", "1", "1,2,3", "a,b"}},
           {"--test-range", {"1,1", "1,2,3"}},
           {"--heldout-values", {"1,1", "inf,1", "nan,2", "1"}},
           {"--size", {"0", "-5", "99999999999", "1e3", "3.5", "10,0", "1,2,3", "nan"}},
           {"--seeds", {"0", "-1", "1e3", "99999999999999999999", ""}},
           {"--seed", {"-1", "18446744073709551616"}},
           {"--steps", {"-1", "1e9", "100000001", "nan"}},
           {"--kernel-size", {"0", "2", "-3", "33", "9999999999999999999999"}},
           {"--depth", {"0", "65", "-1"}},
           {"--width", {"0", "1025"}},
           {"--shard", {"0/1", "2/1", "1/0", "-1/1", "1", "1/1/1", "a/b"}},
           {"--threads", {"0", "-1", "1025"}},
           {"--device", {"gpu", "cuda:-1", "cuda:x", ""}},
           {"--nmu-sparsity", {"-1", "nan", "1,2", "1,5,2", "1,2,1e300", "1,-1,2"}},
           {"--require-ratio", {"0", "-1", "nan"}},
           {"--log-every", {"0", "-1"}},
           {"--check-every", {"0"}},
           {"--scene-seed", {"-1", "4294967296"}},
           {"--figures", {"gif", "none,png", ""}}}) {
    for (const auto& value : values) {
      const auto argument = option + '=' + value;
      expect_error({argument.c_str()}, {option});
    }
  }
}

TEST(Config, ComplaintsNameTheCulprit) {
  expect_error({"--no-such-option"}, {"--no-such-option"});
  expect_error({"stray"}, {"stray"});
  expect_error({"--variant", "cubic"}, {"--variant", "cubic", "baseline, exp"});
  expect_error({"--optimizer", "lion"}, {"--optimizer", "lion", "adamw"});
  expect_error({"--data", "video"}, {"--data", "video", "patches"});
  expect_error({"--dtype", "int8"}, {"--dtype", "int8", "float64"});
  expect_error({"--device", "tpu"}, {"--device", "tpu", "cuda:N"});
  expect_error({"--device", "cuda:x"}, {"--device", "cuda:x"});
  expect_error({"--figures", "gif"}, {"--figures", "gif", "svg"});
  expect_error({"--figures", "png,none"}, {"--figures", "none"});
  expect_error({"--steps", "many"}, {"--steps", "many"});
  expect_error({"--steps", "-1"}, {"--steps", "-1"});
  expect_error({"--steps", "1.5"}, {"--steps", "1.5"});
  expect_error({"--steps"}, {"--steps"});
  expect_error({"--seed", "-1"}, {"--seed", "-1"});
  expect_error({"--lr", "0"}, {"--lr", "0"});
  expect_error({"--lr", "nan"}, {"--lr", "nan"});
  expect_error({"--lr", "1e999"}, {"--lr", "1e999"});
  expect_error({"--threads", "0"}, {"--threads", "0"});
  expect_error({"--kernel-size", "4"}, {"--kernel-size", "4", "odd"});
  expect_error({"--kernel-size", "-3"}, {"--kernel-size", "-3"});
  expect_error({"--size", "0"}, {"--size", "0"});
  expect_error({"--size", "2,3,4"}, {"--size", "2,3,4"});
  expect_error({"--size", "10000000000"}, {"--size", "10000000000"});
  expect_error({"--log-every", "0"}, {"--log-every", "0"});
  expect_error({"--rect-a", "1,2,3"}, {"--rect-a", "1,2,3"});
  expect_error({"--rect-a", "1,2,3,4,5,6"}, {"--rect-a", "1,2,3,4,5,6"});
  expect_error({"--rect-a", "60,0,50,10,1"}, {"--rect-a", "60..109", "100x100"});
  expect_error({"--rect-b", "-1,0,5,5,1"}, {"--rect-b", "-1"});
  expect_error({"--rect-b", "0,0,0,5,1"}, {"--rect-b", "height 0"});
  expect_error({"--rect-b", "0,0,1.5,5,1"}, {"--rect-b", "1.5"});
  expect_error({"--rect-b", "0,0,5,5,inf"}, {"--rect-b", "inf"});
  expect_error({"--rect-b", "0,0,5,5,x"}, {"--rect-b", "x"});
  expect_error({"--range", "2,1"}, {"--range", "2,1"});
  expect_error({"--range", "1,2,3,4"}, {"--range", "1,2,3,4"});
  expect_error({"--range", "1,inf"}, {"--range", "inf"});
  expect_error({"--test-range", "1"}, {"--test-range", "'1'"});
  expect_error({"--range", "1,2", "--test-range", "2,3", "--test-range", "4,5"}, {"--test-range", "2", "1"});
  expect_error({"--lr", "cubic=1"}, {"--lr", "cubic"});
  expect_error({"--lr", "npu=x"}, {"--lr", "'x'"});
  expect_error({"--success", "perfect"}, {"--success", "perfect", "near-exact"});
  expect_error({"--loss", "l1"}, {"--loss", "l1", "mse"});
  expect_error({"--scene", "circles"}, {"--scene", "circles", "noise"});
  expect_error({"--depth", "0"}, {"--depth", "0"});
  expect_error({"--nmu-sparsity", "1,5,4"}, {"--nmu-sparsity", "1,5,4"});
  expect_error({"--nmu-sparsity", "1,5"}, {"--nmu-sparsity", "1,5"});
  expect_error({"--nmu-sparsity", "1,5,1e300"}, {"--nmu-sparsity", "1e+300"});
  expect_error({"--nmu-sparsity", "nan"}, {"--nmu-sparsity", "nan"});
  expect_error({"--resample"}, {"--resample", "noise"});
  expect_error({"--scene", "noise", "--heldout-scenes", "0"}, {"--heldout-scenes", "0", "noise"});
  expect_error({"--require-ratio", "-1"}, {"--require-ratio", "-1"});
  expect_error({"--require-ratio", "1", "--variant", "exp"}, {"--require-ratio", "exp"});
  expect_error({"--config", "/no/such/file.toml"}, {"/no/such/file.toml"});
}

// Each of them once ended the program, in a build with assertions or sanitizers.
TEST(Config, WhatTheParserWouldNotBeAskedIsAComplaint) {
  for (const char* text :
       {"steps = 1\n[#", "[[#", "[a.#]", "a.# = 1", "= 1", "\xC3\xA4 = 1", "steps = \xC3\xA4",
        "steps = 1\xC3\xA4", "steps = 1 \xE3\x80\x81", "[\xC3\xA4]", "seeds = [1 \xEF\xBB\xBE]",
        "out = \"\"\"\\\xC3\xA4\"\"\"", "out = \"\"\"\\\n \xC3\xA4\"\"\"", "\xEF\xBB\xBF\xEF\xBB\xBF",
        "out = '\xC3", "out = '\xC3'", "# \xFF", "\x80"}) {
    const TemporaryFile file(text);
    expect_error({"--config", file.path()}, {"--config: "});
  }
  const TemporaryFile letters("\xEF\xBB\xBFout = '\xC3\xA4\\'  # \xC3\xA4\n\"variant\" = 'exp'");
  EXPECT_EQ(parse({"--config", letters.path()}).config.output.directory, "\xC3\xA4\\");
}

TEST(Config, ComplaintsAboutTheFileNameTheKey) {
  const TemporaryFile unknown("stepz = 7\n");
  expect_error({"--config", unknown.path()}, {"unknown key 'stepz'"});
  const TemporaryFile section("[training]\nsteps = 7\n");
  expect_error({"--config", section.path()}, {"unknown key 'training'"});
  const TemporaryFile bad("steps = \"many\"\n");
  expect_error({"--config", bad.path()}, {"steps", "many"});
}

}  // namespace
}  // namespace conv_mult
