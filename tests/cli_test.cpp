// The contract of the command line, on the real executable.

#include <regex>
#include "executable.hpp"
#include "train/machine.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
class Cli : public Executable {};

TEST_F(Cli, WritesTheDocumentedFiles) {
  const auto outcome = expect_drawn("--size 20 --steps 50 --out r --figures png,svg,pdf");
  EXPECT_EQ(outcome.out.substr(0, 7), "variant");
  EXPECT_EQ(outcome.err.find("warning"), std::string::npos) << outcome.err;
  std::string names;
  for (const auto& [name, content] : files_in(folder_ / "r")) {
    names += name + ' ';
    EXPECT_FALSE(content.empty()) << name;
  }
  EXPECT_EQ(names,
            "a.png b.png config.toml error-baseline.png error-exp.png evaluation.csv figures/about.tsv "
            "figures/common.gp figures/heldout.gp figures/heldout.tsv figures/kernels.gp figures/kernels.tsv "
            "figures/loss.gp figures/loss.tsv figures/panel.f32 figures/panel.gp figures/panel.tsv figures/rows.tsv "
            "heldout.pdf heldout.png heldout.svg kernels.pdf kernels.png kernels.svg loss.csv loss.pdf loss.png "
            "loss.svg output-baseline.png output-exp.png panel.pdf panel.png panel.svg report.html runs.csv "
            "summary.json target.png weights.csv ");
  EXPECT_EQ(lines_of(read(folder_ / "r/loss.csv")), 1 + 2 * 51);
}

TEST_F(Cli, NoPictureOfAnOlderRunStays) {
  expect_drawn("--size 20 --steps 5 --figures png --out r");
  std::ofstream(folder_ / "r/output-mine.png") << "not ours";
  EXPECT_EQ(run("--size 20 --steps 5 --figures png --out r").err.find("replace"), std::string::npos);  // the same again
  const auto outcome = expect_drawn("--variant exp --out r " + std::string(small));
  EXPECT_EQ(outcome.err.find("conv_mult: 'r' holds a run of other settings"), 0U) << outcome.err;
  EXPECT_NE(outcome.err.find("(--variant: exp, not baseline,exp)"), std::string::npos) << outcome.err;
  EXPECT_TRUE(fs::exists(folder_ / "r/output-exp.png"));
  EXPECT_TRUE(fs::exists(folder_ / "r/output-mine.png"));
  for (const auto* name : {"output-baseline.png", "error-baseline.png", "loss.png", "panel.png"}) {
    EXPECT_FALSE(fs::exists(folder_ / "r" / name)) << name;
  }
}

TEST_F(Cli, TheFormOfTheDataIsThatAskedForAndThreadsAreNoMoreThanCores) {
  for (const std::string form : {"literal", "image", "patches"}) {
    ASSERT_EQ(run("--threads 512 --data " + form + " --out r " + small).code, 0);
    const auto summary = summary_of("r");
    for (const auto& row : summary["variants"]) { EXPECT_EQ(row["form"], form); }
    EXPECT_EQ(summary["threads"], usable_cores());
  }
}

TEST_F(Cli, EveryConfigurationRunsAndShowsWhatItIsThereFor) {
  for (const auto& entry : fs::directory_iterator(CONV_MULT_SOURCE_DIR "/configs")) {
    const auto name = entry.path().stem().string();
    if (checked_build && name == "price") { continue; }  // wide networks
    // Those that take minutes are cut short, and in a checked build so are all.
    const std::set<std::string> minutes{"instability", "practice", "price", "units", "single-module"};
    const bool is_long = minutes.count(name) == 1 || (checked_build && name != "smoke");
    expect_drawn("--config '" + entry.path().string() + "' --out " + name +
                 (is_long ? " --seeds 3 --threads 1 --steps " + std::string(checked_build ? "2" : "20") : ""));
  }
  EXPECT_TRUE(checked_build || fs::exists(folder_ / "price/price.png"));
  for (const auto* file : {"instability/outcomes.png", "units/units.png", "single-module/units.png", "blog/panel.pdf",
                           "sweep/distribution.png", "stability/grid.svg", "practice/loss.png", "smoke/summary.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / file)) << file;
  }
  const std::string smoke = "--config smoke/config.toml --resume --quiet --require-ratio ";
  EXPECT_EQ(run(smoke + "0.2").code, 0);
  expect_failure(smoke + "1e-9", "--require-ratio 1e-09", 3);
  const auto stability = summary_of("stability")["variants"];
  EXPECT_EQ(stability.size(), 2U * 2 * 3);
  if (checked_build) { return; }  // in two steps there is no telling
  // exp at one learning rate works, at another it dies, and plain SGD fails at both.
  for (const auto& row : stability) {
    if (row["variant"] != "exp") { continue; }
    const bool adam = row["optimizer"] == "adam";
    EXPECT_EQ(row["success"]["of"], 100);
    if (!adam) { EXPECT_EQ(row["success"]["count"], 0); }
    if (adam && row["learning_rate"] == 0.01) { EXPECT_GE(row["success"]["count"], 95); }
    if (adam && row["learning_rate"] == 0.1) { EXPECT_GE(row["dead"], 50); }
  }
  const auto errors = summary_of("blog")["variants"][1]["evaluation"];  // exp's: it learns an AND gate, no product
  EXPECT_LE(errors["train"]["median"], 0.05);
  EXPECT_GE(errors["values"]["median"], 1);  // an output of zero would score 1
}

TEST_F(Cli, TheVersionGoesToStdout) {
  const auto version = expect_drawn("--version").out;
  EXPECT_EQ(version.rfind("conv_mult 1.0.0 (LibTorch ", 0), 0U) << version;
  EXPECT_NE(version.find("CUDA"), std::string::npos);
}

TEST_F(Cli, WrongUsageIsOneLineAndWritesNothing) {
  expect_usage_error("--no-such-option", "--no-such-option");
  std::ofstream(folder_ / "bad.toml") << "stepz = 7\n";
  expect_usage_error("--config bad.toml", "stepz");
  expect_usage_error("--seeds 4 --shard 1/5", "number of seeds");
  expect_usage_error("--heldout-values 3,1", "3,1");
  expect_usage_error("merge nowhere", "nowhere");
  // Where a GPU is at hand, a device number that cannot exist takes the place of the missing device.
  const bool has_gpu = run("--device cuda --out probe " + std::string(small)).code == 0;
  expect_usage_error(has_gpu ? "--device cuda:99" : "--device cuda", "cuda");
}

TEST_F(Cli, ADivergedRunIsAResult) {
  const auto table = expect_drawn("--optimizer sgd --lr 1e30 --out r --figures png --size 20").out;
  EXPECT_NE(table.find("diverged at step"), std::string::npos) << table;
  const auto runs = read(folder_ / "r/runs.csv");
  EXPECT_NE(runs.find("\nbaseline,0,diverged,1,,,\n"), std::string::npos) << runs;
}

TEST_F(Cli, AnInterruptedRunKeepsWhatItHas) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU}) {
    Process process(folder_, "--variant baseline --steps 100000000 --out r");
    process.wait_for_training();
    const auto outcome = process.end(signal);
    EXPECT_EQ(outcome.code, 128 + signal) << outcome.err;
    EXPECT_NE(outcome.err.find("interrupted before a block of seeds was finished"), std::string::npos) << outcome.err;
    EXPECT_EQ(summary_of("r")["status"], "interrupted");
    EXPECT_NE(read(folder_ / "r/runs.csv").find("\nbaseline,0,interrupted,"), std::string::npos);
    const auto curve = read(folder_ / "r/loss.csv");
    EXPECT_NE(curve.find("\nbaseline,0,0,"), std::string::npos) << curve;
    EXPECT_EQ(curve.back(), '\n');
    fs::remove_all(folder_ / "r");
  }
}

// As nohup does, and a script's `&`.
TEST_F(Cli, ASignalThatWasIgnoredAtTheStartStaysIgnored) {
  Process process(folder_, "--steps 100000000 --out r", R"(sh -c 'trap "" HUP INT USR1; exec "$0" "$@"')");
  process.wait_for_training();
  for (const int signal : {SIGINT, SIGUSR1}) { EXPECT_TRUE(process.ignores(signal)) << signal; }
  // With Debian 13's LibTorch comes a library that takes SIGHUP before main() sees that it was ignored.
  if (process.ignores(SIGHUP)) { process.send(SIGHUP); }
  for (const int signal : {SIGINT, SIGUSR1, SIGTERM}) { process.send(signal); }
  EXPECT_EQ(process.wait().code, 143);
}

TEST_F(Cli, AnInterruptedSweepIsResumedToTheSameBytes) {
  // One thread has blocks of 1,024 seeds; the signal comes after the first.
  const int seeds = checked_build ? 3072 : 20480;
  const std::string sweep = "--variant exp --threads 1 --seeds " + std::to_string(seeds) +
                            " --steps 200 --log-every 100 --heldout-scenes 0 --size 20 --figures none ";
  Process process(folder_, sweep + "--out part");
  process.wait_for_lines("part/summary.json", 1);
  const auto interrupted = process.end(SIGUSR1);
  ASSERT_EQ(interrupted.code, 128 + SIGUSR1) << interrupted.err;
  const auto summary = summary_of("part");
  EXPECT_EQ(summary["status"], "interrupted");
  const std::int64_t finished = summary["variants"][0]["success"]["of"];
  EXPECT_GE(finished, 1024);
  EXPECT_LT(finished, seeds);
  EXPECT_EQ(finished % 1024, 0);
  EXPECT_NE(interrupted.err.find("interrupted: the finished blocks of seeds are in 'part'"), std::string::npos);
  expect_failure(sweep + "--steps 201 --resume --out part", "other settings", 2);
  ASSERT_EQ(run(sweep + "--resume --out part").code, 0);
  ASSERT_EQ(run(sweep + "--out whole").code, 0);
  expect_same_results("part", "whole");
}

// Shards, neighbours, what takes more seeds once it is finished, and what is run again from their settings.
TEST_F(Cli, ManyWaysLeadToTheSameSeeds) {
  const std::string sweep = "--variant exp,nmu,bilinear --lr 0.01,0.1 --seed 2 " + std::string(small);
  const auto seven = sweep + "--seeds 7 --log-every 20 ";
  const auto whole = expect_drawn(seven + "--out whole");
  for (const std::string i : {"1", "2", "3"}) { expect_drawn(seven + "--shard " + i + "/3 --out part" + i); }
  const auto merged = expect_drawn("merge part2 part1 part3 --out merged");
  const auto without_times = [](const std::string& table) {
    return std::regex_replace(table, std::regex(R"(\s+(\d+\.\d\d(?=\s))?)"), " ");
  };
  EXPECT_EQ(without_times(merged.out), without_times(whole.out));
  expect_usage_error("merge part1 part3", "seed 5 are in none");
  expect_drawn("--config merged/config.toml --out again");
  expect_drawn(sweep + "--out low --seeds 3 --log-every 20");
  expect_drawn(sweep + "--out high --seed 5 --seeds 4 --log-every 20");  // of --seed the last counts
  expect_drawn("merge high low --out joined");
  for (const std::string seeds : {"1 --log-every 20", "4", "7"}) {
    expect_drawn(sweep + "--out grown --resume --seeds " + seeds);
  }
  expect_failure(sweep + "--out grown --resume --seeds 6", "; --seeds: 6, not 7", 2);
  const auto settings_of = [&](const std::string& folder) {
    return std::regex_replace(read(folder_ / folder / "config.toml"), std::regex("out=.*"), "");
  };
  for (const auto* folder : {"merged", "again", "joined", "grown"}) {
    expect_same_results(folder, "whole");
    EXPECT_EQ(settings_of(folder), settings_of("whole")) << folder;
  }
}

// Each under the defaults; none crashes the others, whatever the scene, the form of the data and the dtype.
TEST_F(Cli, AllVariantsShareATable) {
  for (const std::string scene : {"--size 20 ", "--size 20 --data image ", "--size 12 --data literal --kernel-size 5 ",
                                  "--data patches --size 20 ", "--kernel-size 1 --dtype float64 ",
                                  "--scene noise --size 6 ", "--scene noise --resample --loss mse --size 6 ",
                                  "--scene noise,rectangles --range 1,2 --range=-2,-1 --size 12 "}) {
    const auto table = expect_drawn("--variant all --seeds 2 --steps 20 --figures png --out r " + scene).out;
    for (const auto* variant : {"baseline", "exp", "log-exp", "nmu", "nalu", "nac-mul", "npu", "stacked-exp", "relu"}) {
      EXPECT_NE(table.find(std::string("\n") + variant + ' '), std::string::npos) << scene << variant;
      EXPECT_TRUE(fs::exists(folder_ / "r" / ("output-" + std::string(variant) + ".png"))) << scene << variant;
    }
    const auto summary = summary_of("r");
    EXPECT_EQ(summary["variants"].size() % all_variants.size(), 0U);
    for (const auto& row : summary["variants"]) { EXPECT_EQ(row["success"]["of"], 2) << scene << row["variant"]; }
    fs::remove_all(folder_ / "r");
  }
}

// Scenes and depths are part of what a run is called. One layer or unit has the same bits in any company.
TEST_F(Cli, ScenesAndSizesAreMergedAndResumed) {
  const std::string noise =
      "--scene noise --range 1,2 --range=-2,2 --resample --loss mse --size 6 --steps 30 --seeds 4 --figures none "
      "--lr 0.01,relu=0.02 --depth 1,2 --width 2 ";
  expect_usage_error(noise + "--scene rectangles", "--resample");
  const auto sweep = noise + "--variant nmu,log-exp,relu,stacked-exp ";
  ASSERT_EQ(run(sweep + "--out whole").code, 0);
  for (const std::string i : {"1", "2"}) { expect_drawn(sweep + "--shard " + i + "/2 --out part" + i); }
  ASSERT_EQ(run("merge part1 part2 --out merged").code, 0);
  ASSERT_EQ(run("merge whole --out resumed").code, 0);  // nothing left to train
  expect_same_results("resumed", "whole");
  for (const std::string file : {"loss.csv", "evaluation.csv", "weights.csv"}) {
    const auto shallow = [&](const fs::path& out) {  // the lines of networks are empty
      return std::regex_replace(read(folder_ / out / file), std::regex("(relu|stacked-exp),.*"), "");
    };
    EXPECT_EQ(shallow("merged"), shallow("whole")) << file;
    EXPECT_NE(shallow("whole").find("\nlog-exp,"), std::string::npos) << file;
  }
  EXPECT_EQ(read(folder_ / "whole/loss.csv").substr(0, 40), "variant,scene,depth,width,seed,step,loss");
}

// On [1, 2] with one weight for each input the NMU finds the product, and the affine layer its closed form.
TEST_F(Cli, TheLiteraturesTaskTellsAProductFromItsApproximation) {
  expect_drawn(
      "--scene noise --range 1,2 --test-range 2,6 --kernel-size 1 --size 1,128 --resample --loss mse --seeds 8 "
      "--variant baseline,nmu --steps 6000 --lr 0.003,baseline=0.01 --out r --figures none");
  const auto summary = summary_of("r");
  const auto& baseline = summary["variants"][0];
  EXPECT_EQ(baseline["success"]["count"], 0);
  EXPECT_NEAR(baseline["floor"], 1.0 / 144, 1e-12);
  const auto& nmu = summary["variants"][1];
  EXPECT_EQ(nmu["success"]["count"], 8);
  EXPECT_EQ(nmu["first_success"]["never"], 0);
  EXPECT_EQ(nmu["first_success"]["median"].get<int>() % 60, 0);  // between two of every 120th
  EXPECT_LE(nmu["sparsity_error"], 1e-4);
}

// The script computes the loss from the definitions in Python.
TEST_F(Cli, PythonReadsSavedModelsAndGetsTheSameLosses) {
  for (const std::string bias : {"", "--bias "}) {
    ASSERT_EQ(run(bias + "--variant all --dtype float64 --steps 50 --figures none --save-model --out r").code, 0);
    run_python(folder_, "load_models.py r/*.pt >losses");
    std::map<std::string, double> losses;
    std::istringstream lines(read(folder_ / "losses"));
    for (std::string name; lines >> name;) { lines >> losses[name]; }
    const auto summary = summary_of("r");
    EXPECT_EQ(losses.size(), all_variants.size());
    for (const auto& row : summary["variants"]) {
      const double loss = row["final_loss"]["median"];
      EXPECT_NEAR(losses[row["variant"]] / loss, 1, 1e-10) << row["variant"];
    }
  }
}

TEST_F(Cli, ModelsThatPythonSavedAreTheSame) {
  const std::string scene = "--size 20 --figures none --no-report ";
  ASSERT_EQ(run(scene + "--bias --variant all --steps 50 --save-model --out r").code, 0);
  run_python(folder_, "save_models.py r/*.pt");
  for (const std::string kind : {"again", "module", "parameters", "double"}) {
    std::string files;
    for (const auto* variant : all_variants) { files += ",r/" + kind + "/model-" + variant->name + ".pt"; }
    expect_drawn(scene + "--load-model " + files.substr(1) + " --out " + kind);
    for (const auto* name : {"evaluation.csv", "weights.csv"}) {
      EXPECT_EQ(read(folder_ / kind / name), read(folder_ / "r" / name)) << kind;
    }
  }
}

TEST_F(Cli, ALoadedModelIsTheRunThatSavedIt) {
  const std::string scene = "--size 20 --figures none ";
  ASSERT_EQ(run(scene + "--variant exp,npu,relu --depth 3 --steps 50 --save-model --out saved").code, 0);
  const std::string files = "--load-model saved/model-exp.pt,saved/model-npu.pt,saved/model-relu.pt ";
  ASSERT_EQ(run(scene + files + "--save-model --out loaded").code, 0);
  for (const auto* name : {"evaluation.csv", "weights.csv", "output-relu.png", "model-npu.pt"}) {
    EXPECT_TRUE(read(folder_ / "saved" / name) == read(folder_ / "loaded" / name)) << name;
  }
  ASSERT_EQ(run("--config loaded/config.toml --out again").code, 0);
  EXPECT_EQ(read(folder_ / "again/loss.csv"), read(folder_ / "loaded/loss.csv"));
  // With steps it is trained on.
  ASSERT_EQ(run(scene + files + "--steps 3 --out on").code, 0);
  const auto loaded = read(folder_ / "loaded/loss.csv");
  EXPECT_NE(read(folder_ / "on/loss.csv").find(loaded.substr(loaded.find("exp"), 12)), std::string::npos);
  expect_usage_error("--load-model saved/model-exp.pt,loaded/model-exp.pt", "both of exp");
  fs::resize_file(folder_ / "saved/model-exp.pt", 700);
  for (const std::string file : {"saved/model-exp.pt", "saved/config.toml", "saved", "nowhere.pt"}) {
    const auto words = expect_failure("--out r --load-model " + file, file).err;
    EXPECT_EQ(words.find("torch"), std::string::npos) << words;  // in our words
    EXPECT_FALSE(fs::exists(folder_ / "r"));
  }
}

TEST_F(Cli, AProgressLineNeverWraps) {
  const std::string wipe = "\r\x1b[K";
  for (const std::size_t width : {1U, 20U, 500U}) {
    Process process(folder_, "--steps 100000000 --variant stacked-exp --depth 3,1 --out r",
                    "sh -c 'stty columns " + std::to_string(width) + " <&2; exec \"$@\"' sh");
    process.wait_for(wipe);
    auto words = process.end(SIGTERM).err;
    std::size_t longest = 0;
    for (auto end = words.find(wipe); end != std::string::npos; end = words.find(wipe)) {
      const auto line = words.substr(0, end);
      longest = std::max(longest, line.size() - static_cast<std::size_t>(std::count(line.begin(), line.end(), '\xC3')));
      words.erase(0, end + wipe.size());
    }
    EXPECT_LT(longest, width);
    EXPECT_GE(longest, std::min<std::size_t>(width - 1, 40));
  }
}

TEST_F(Cli, ALogHasALineForEachRowAndNoEscapeSequences) {
  for (const auto* dumb : {"env TERM=dumb", "env -u TERM", "env NO_COLOR=1", ""}) {
    const auto arguments = "--out r " + std::string(small);
    const auto words = *dumb == 0 ? run(arguments).err : Process(folder_, arguments, dumb).wait().err;
    EXPECT_EQ(words.find('\x1b'), std::string::npos) << words;
    for (const auto* row : {"conv_mult: baseline: trained in ", "conv_mult: exp: trained in "}) {
      EXPECT_NE(words.find(row), std::string::npos) << words;
    }
    EXPECT_EQ(lines_of(words), 3) << words;  // and where the files are
  }
}

TEST_F(Cli, QuietLeavesStderrEmptyAndTheTableAlone) {
  const auto spoken = run("--out r " + std::string(small)).out;
  const auto quiet = run("--quiet --out r " + std::string(small));
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(lines_of(quiet.out), 3) << quiet.out;
  const auto row = summary_of("r")["variants"][0];
  EXPECT_NE(spoken.find("\n\nbaseline: " + row["verdict"].get<std::string>() + "\n"), std::string::npos) << spoken;
}
}  // namespace
}  // namespace conv_mult
