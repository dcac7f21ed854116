#include <random>
#include "executable.hpp"
#include "options/options.hpp"
#include "output/records.hpp"
#include "util/files.hpp"

namespace conv_mult {
namespace {
/// In each row a run that ended, one that diverged and one that was interrupted.
ExperimentResult three_runs(bool grid = false) {
  auto result = sample();
  if (grid) { std::tie(result.variants[0].variant, result.variants[0].learning_rate) = std::pair("exp", 0.1); }
  for (auto& row : result.variants) {
    row.runs = {run_of(0, {8, 7, 0.25, 5.1F}, 3), run_of(1, {8, NAN}, 3), run_of(2, {8, 7}, 3)};
    row.statistics = statistics_of(row.runs, result.scenes.front());
  }
  return result;
}

/// The rows of the plan, not begun.
ExperimentResult begun(bool grid) {
  auto result = three_runs(grid);
  for (auto& row : result.variants) {
    row.runs.clear();
    row.seconds = 0;
  }
  return result;
}

Config read_settings(const fs::path& file) {
  const Vocabulary words{{"baseline", "exp"}, {"rectangles"}};
  return parse_command_line({"--config", file}, words, "").config;
}

/// So many steps of five seeds from 10 on.
Config settings(std::int64_t steps, std::int64_t shard, std::int64_t shards = 2) {
  Config config;
  config.seed = 10;
  config.seeds = 5;
  config.steps = steps;
  config.shard = {shard, shards};
  return config;
}

/// What an Error says that this throws.
template <typename Error>
std::string complaint(const std::function<void()>& call) {
  try {
    call();
    return "none";
  } catch (const Error& error) { return error.what(); }
}

class Resume : public TemporaryFolder {
 protected:
  static void write(const ExperimentResult& result, const fs::path& folder, const Config& config = settings(3, 1)) {
    OutputFolder(folder, toml_of(config), true).write(result);
  }

  static ExperimentResult read_results(const fs::path& folder, bool grid = false) {
    auto result = begun(grid);
    add_results(folder, result);
    return result;
  }

  ExperimentResult read_earlier_run(const Config& config) const {
    auto result = begun(false);
    add_earlier_run(folder_, config, read_settings, result);
    return result;
  }
};

TEST_F(Resume, FinishedRunsComeBackToTheLastBit) {
  const auto parts = [](const RunRecord& run) {
    return std::tie(run.seed, run.status, run.last_step, run.final_loss, run.first_success_step, run.weights,
                    run.split_losses);
  };
  for (const bool grid : {false, true}) {
    const auto expected = three_runs(grid);
    write(expected, folder_);
    const auto actual = read_results(folder_, grid);
    ASSERT_EQ(actual.variants.size(), 2U);
    for (std::size_t row = 0; row < 2; ++row) {
      const auto& v = actual.variants[row];
      EXPECT_TRUE(v == expected.variants[row]) << v.variant << ' ' << v.learning_rate;
      EXPECT_EQ(v.seconds, 0.5);
      ASSERT_EQ(v.runs.size(), 2U);  // the interrupted one has to run again
      for (std::size_t i = 0; i < 2; ++i) {
        const auto& run = v.runs[i];
        const auto& original = expected.variants[row].runs[i];
        EXPECT_EQ(parts(run), parts(original));
        ASSERT_EQ(run.curve.size(), original.curve.size());
        EXPECT_EQ(run.curve.back().step, original.curve.back().step);
        EXPECT_TRUE(i == 1 ? std::isnan(run.curve[1].loss) : run.curve[2].loss == original.curve[2].loss);
      }
    }
  }
}

// Whatever bit of whatever file is wrong, the file is named and no number comes back wrong.
TEST_F(Resume, NoFlippedBitGoesUnnoticed) {
  write(three_runs(true), folder_);
  std::mt19937 random(1);
  for (const std::string file : {"loss.csv", "weights.csv", "evaluation.csv", "summary.json", "config.toml"}) {
    const auto text = read_file(folder_ / file);
    std::vector<std::string> damaged{"", text.substr(0, text.size() / 2), text.substr(0, text.find('\n', 60) + 1)};
    for (std::size_t at = 0; at < text.size(); at += 1 + random() % 8) {
      damaged.push_back(text);
      damaged.back()[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
    }
    const auto named = [&] { return complaint<std::runtime_error>([&] { read_results(folder_, true); }); };
    for (const auto& content : damaged) {
      write_file(folder_ / file, content);
      EXPECT_NE(named().find(file), std::string::npos) << content << named();
    }
    fs::remove(folder_ / file);
    EXPECT_NE(named().find(file), std::string::npos) << named();
    write_file(folder_ / file, text);
  }
}

// What is killed between the first file and the last has finished what runs.csv and summary.json name.
TEST_F(Resume, FilesOfTwoMomentsGoTogether) {
  auto earlier = three_runs();
  for (auto& row : earlier.variants) { row.runs.resize(1); }
  const std::vector<std::string> files{"loss.csv", "evaluation.csv", "weights.csv", "runs.csv"};
  std::map<std::string, std::string> before;
  for (std::size_t renamed = 0; renamed <= files.size(); ++renamed) {
    OutputFolder out(folder_, "", true);
    out.write(earlier);
    for (const auto& file : files) { before[file] = read_file(folder_ / file); }
    out.write(three_runs());
    for (std::size_t i = renamed; i < files.size(); ++i) { write_file(folder_ / files[i], before[files[i]]); }
    EXPECT_EQ(read_results(folder_).variants[1].runs.size(), renamed == files.size() ? 2U : 1U) << renamed;
  }
}

// What is killed, or fails, between the first file and the last must not leave a summary of other tables.
TEST_F(Resume, ARunThatCannotGoOnLeavesNoSummaryOfAnOlderOne) {
  write(three_runs(), folder_);
  fs::remove(folder_ / "loss.csv");
  fs::create_directories(folder_ / "loss.csv/in the way");
  EXPECT_THROW(write(three_runs(true), folder_), std::runtime_error);
  EXPECT_FALSE(fs::exists(folder_ / "summary.json"));
}

TEST_F(Resume, ResumingWantsTheSameSettings) {
  EXPECT_TRUE(read_earlier_run(settings(3, 1)).variants[0].runs.empty());  // nothing there yet
  auto elsewhere = settings(3, 1);
  elsewhere.out = "b";
  write_file(folder_ / "config.toml", toml_of(settings(3, 1)));
  EXPECT_TRUE(read_earlier_run(elsewhere).variants[0].runs.empty());
  write(three_runs(), folder_);
  EXPECT_EQ(read_earlier_run(elsewhere).variants[1].runs.size(), 2U);
  for (const auto& [other, words] :
       {std::pair{settings(4, 1), "--steps: 4, not 3"}, {settings(3, 2), "--shard: 2/2, not 1/2"}}) {
    const auto said = complaint<UsageError>([this, &config = other] { read_earlier_run(config); });
    EXPECT_NE(said.find(words), std::string::npos) << said;
  }
}

TEST_F(Resume, ARowThatTheSettingsDoNotAskForIsNamed) {
  write(three_runs(), folder_);
  auto result = begun(false);
  result.variants.pop_back();
  EXPECT_THROW(add_results(folder_, result), std::runtime_error);
}

TEST_F(Resume, ShardsMustCoverEverySeedOnce) {
  const auto shard = [&](const std::string& name, std::int64_t first, std::int64_t count) {
    auto part = three_runs();
    for (auto& row : part.variants) {
      row.runs.clear();
      for (std::int64_t i = 0; i < count; ++i) { row.runs.push_back(run_of(first + i, {8, 7, 6, 5}, 3)); }
    }
    write(part, folder_ / name, settings(3, name == "front" ? 1 : 2));
    return (folder_ / name).string();
  };
  const auto front = shard("front", 10, 2);
  const auto back = shard("back", 12, 3);
  const auto join = [](const std::vector<std::string>& folders, std::int64_t steps = 3) {
    auto result = begun(false);
    add_shards(folders, settings(steps, 1, 1), read_settings, result);
    return result;
  };
  const auto whole = join({back, front});
  ASSERT_EQ(whole.variants[1].runs.size(), 5U);
  EXPECT_EQ(whole.variants[1].runs[0].seed, 10);
  EXPECT_EQ(whole.variants[1].seconds, 1);
  const auto refusal = [&](const std::vector<std::string>& folders, std::int64_t steps = 3) {
    return complaint<UsageError>([&] { join(folders, steps); });
  };
  EXPECT_EQ(refusal({front}), "merge: the finished runs of seed 12 are in none of the folders");
  EXPECT_EQ(refusal({front, back, front}), "merge: the finished runs of seed 10 are in two of the folders");
  EXPECT_NE(refusal({front, back}, 4).find("other settings"), std::string::npos);
}
}  // namespace
}  // namespace conv_mult
