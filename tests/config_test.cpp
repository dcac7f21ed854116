// The command line, configuration files, config.toml and --help, through options/options.hpp.

#include <gtest/gtest.h>
#include "options/options.hpp"

namespace conv_mult {
namespace {
const Vocabulary vocabulary{{"baseline", "exp", "nmu", "npu", "stacked-exp"}, {"rectangles", "noise"}};

CommandLine parse(const Texts& arguments) { return parse_command_line(arguments, vocabulary, "conv_mult 1.2.3"); }

Config config_of(const Texts& arguments) { return parse(arguments).config; }
std::string toml_of(const Texts& arguments) { return conv_mult::toml_of(config_of(arguments)); }

/// A file that is gone with the test.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& content, const std::string& name = "")
      : path(testing::TempDir() + testing::UnitTest::GetInstance()->current_test_info()->name() + name) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string path;
};

/// Every complaint is one line and names the culprit and its value.
void expect_error(const Texts& arguments, const Texts& words) {
  try {
    parse(arguments);
    ADD_FAILURE() << "accepted: " << testing::PrintToString(arguments);
  } catch (const UsageError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    for (const auto& word : words) { EXPECT_PRED_FORMAT2(testing::IsSubstring, word, message); }
  }
}

/// What config.toml says then.
void expect_lines(const Texts& arguments, const Texts& lines) {
  const auto toml = '\n' + toml_of(arguments);
  for (const auto& line : lines) { EXPECT_PRED_FORMAT2(testing::IsSubstring, '\n' + line + '\n', toml); }
}

TEST(Config, DefaultsAreThoseOfTheStruct) { EXPECT_EQ(toml_of({}), conv_mult::toml_of(Config())); }

TEST(Config, ArgumentsGiveTheseLinesOfConfigToml) {
  for (const auto& [arguments, lines] : std::vector<std::pair<std::string, Texts>>{
           // Lists are repeatable or separated by commas, and name nothing twice.
           {"--variant exp --variant baseline", {R"(variant=["exp", "baseline"])"}},
           {"--variant exp baseline --quiet", {R"(variant=["exp", "baseline"])", "quiet=true"}},
           {"--variant=exp,baseline,exp", {R"(variant=["exp", "baseline"])"}},
           {"--variant all", {R"(variant=["baseline", "exp", "nmu", "npu", "stacked-exp"])"}},
           {"--depth 3,1,3 --optimizer sgd,adam", {"depth=[3, 1]", R"(optimizer=["sgd", "adam"])"}},
           // Of one value the last counts.
           {"--steps 5 --steps=6 --quiet=false --quiet", {"steps=6", "quiet=true"}},
           {"--size 7 8 --rect-a=0,0,1,1,-2", {"size=[7, 8]", "rect-a=[0, 0, 1, 1, -2]"}},
           // Numbers are decimal.
           {"--seed 010 --seeds +0020 --shard 02/010", {"seed=10", "seeds=20", R"(shard="2/10")"}},
           {"--size 007,011 --lr npu=00.5,01 --depth 03,3", {"size=[7, 11]", R"(lr=["npu=0.5", 1])", "depth=3"}},
           {"--heldout-values=-01e1,1e+01 --range 01,09.50", {"heldout-values=[-10, 10]", R"(range="1,9.5")"}},
           {"--nmu-sparsity 010,02,09 --steps=08", {"nmu-sparsity=[10, 2, 9]", "steps=8"}},
           {"--steps 1e3 --size 1e1,2.0", {"steps=1000", "size=[10, 2]"}},
           {"--seed 4294967295", {"seed=4294967295"}},
           {"--seed 4294967293 --seeds 3", {"seed=4294967293", "seeds=3"}},
           // The size scales the default rectangles.
           {"--size 200,50 --rect-b 1,2,3,4,5.5", {"rect-a=[40, 7, 90, 25, 1]", "rect-b=[1, 2, 3, 4, 5.5]"}},
           {"--size 30", {"size=[30, 30]"}},
           {"--size 1", {"rect-b=[0, 0, 1, 1, 2]"}},
           // A variant may have a rate of its own.
           {"--lr 0.1,npu=0.5,0.10", {R"(lr=[0.1, "npu=0.5"])"}},
           {"--lr npu=1", {R"(lr=["npu=1", 0.01])"}},
           {"--require-ratio 1 --lr 1,exp=2 baseline=1", {"require-ratio=1"}},
           // Noise has ranges and test ranges.
           {"--range -2,2 1,2 --test-range -6,-2,2,6 --test-range 2,6",
            {R"(range=["-2,2", "1,2"])", R"(test-range=["-6,-2,2,6", "2,6"])"}},
           {"--range 10,20 --range=-2,-1 --range=-1,2 --range=10,20",
            {R"(test-range=["20,40", "-4,-2", "-2,-1,2,4", "20,40"])"}},
           // Success is given, or the scene's.
           {"--success auto", {R"(success="auto")"}},
           {"--success 0.2", {"success=0.2"}},
           {"--success near-exact", {R"(success="near-exact")"}},
           {"--success near-exact=1e-4", {R"(success="near-exact=0.0001")"}},
           {"--success mse=1e-5", {R"(success="mse=1e-05")"}},
           // Schedules follow the number of steps.
           {"--steps 50000 --nmu-sparsity 2", {"check-every=1000", "nmu-sparsity=[2, 20000, 35000]"}},
           {"--nmu-sparsity 2,5,7 --check-every 3", {"check-every=3", "nmu-sparsity=[2, 5, 7]"}},
           {"--steps 0", {"check-every=1"}},
           // Many seeds are logged in about a hundred rows.
           {"--steps 3000", {"log-every=1"}},
           {"--steps 3000 --seeds 2", {"log-every=30"}},
           {"--steps 50 --seeds 2", {"log-every=1"}},
           {"--seeds 2 --log-every 7", {"log-every=7"}},
           // Models that are loaded are evaluated, unless steps are asked for.
           {"--load-model a.pt,b.pt", {R"(load-model=["a.pt", "b.pt"])", "steps=0"}},
           {"--load-model a.pt --steps 5", {"steps=5"}}}) {
    expect_lines(split(arguments, ' '), lines);
  }
}

TEST(Config, FilesGiveTheseLinesOfConfigToml) {
  for (const auto& [content, lines] : std::vector<std::pair<std::string, Texts>>{
           {"seed = \"010\"\nsize = \"007, 011\"\nlr = [\"010\"]\nrange = \"01,010\"\n",
            {"seed=10", "size=[7, 11]", "lr=10", R"(range="1,10")"}},
           {"range = [\"1,2\", \"-2,2\"]\ntest-range = [\"2,6\", \"-6,-2,2,6\"]\n",
            {R"(range=["1,2", "-2,2"])", R"(test-range=["2,6", "-6,-2,2,6"])"}},
           {"range = [-3, -2]\n", {R"(range="-3,-2")"}}}) {
    const TemporaryFile file(content);
    expect_lines({"--config", file.path}, lines);
  }
}

TEST(Config, ModelsThatAreLoadedSayWhatTheyAre) {
  const auto toml = toml_of({"--load-model", "a.pt"});
  EXPECT_EQ(toml.rfind("seed=0\n", 0), 0U);  // no variant, depth, width
  EXPECT_EQ(toml.find("kernel-size"), std::string::npos);
  for (const char* option : {"--variant=exp", "--depth=1", "--width=1", "--kernel-size=1"}) {
    expect_error({"--load-model", "a.pt", option}, {std::string(option).substr(0, 7), "--load-model"});
  }
  expect_error({"--load-model", "a.pt", "--seeds", "2"}, {"--load-model", "--seeds"});
}

TEST(Config, ADifferenceNamesTheSettingThatDecides) {
  const auto of = [](const Texts& ours, const Texts& theirs) {
    return difference(config_of(ours), config_of(theirs)).value_or("same");
  };
  const auto* const others = "--out x --figures none --quiet --resume --save-model --no-lock --require-ratio 2";
  EXPECT_EQ(of({}, split(others, ' ')), "same");
  EXPECT_EQ(of({"--seeds", "4"}, {"--seeds", "4", "--shard", "2/4"}), "--shard: 1/1, not 2/4");
  EXPECT_EQ(of({"--log-every", "5", "--steps", "100"}, {"--log-every", "5"}), "--steps: 100, not 3000");
  EXPECT_EQ(of({"--nmu-sparsity=1"}, {"--nmu-sparsity=2"}), "--nmu-sparsity: 1,1200,2100, not 2,1200,2100");
  EXPECT_EQ(of({"--load-model", "a,b", "--steps", "1"}, {"--steps", "1"}), "--load-model: a,b, not none");
  EXPECT_EQ(of({"--threads", "2"}, {}), "same");
}

TEST(Config, MergeTakesTheSettingsOfItsFirstFolderAndTheSeedsOfAll) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "conv_mult-merge, a";
  const auto other = folder / "other";
  std::filesystem::create_directories(other);
  const auto shard = config_of({"--seeds", "9", "--shard", "2/3", "--lr", "0.5", "--out", "x"});
  std::ofstream(folder / "config.toml") << conv_mult::toml_of(shard);
  std::ofstream(other / "config.toml") << "seed=9\nseeds=3\n";
  const auto merge = parse({"merge", folder.string(), other.string(), "--out=all", "--figures", "none", "--quiet"});
  EXPECT_EQ(merge.merge, (Texts{folder.string(), other.string()}));
  EXPECT_EQ(merge.config.out, "all");
  EXPECT_TRUE(merge.config.figures.empty());
  auto whole = shard;
  whole.seeds = 12;
  whole.shard = {};
  EXPECT_EQ(difference(merge.config, whole), std::nullopt);
  std::filesystem::remove_all(folder);
  expect_error({"merge"}, {"merge", "--out"});
  expect_error({"merge", "a"}, {"merge", "--out"});
  expect_error({"merge", "a", "-x", "--out", "b"}, {"not expected: -x"});
  expect_error({"merge", "no/such", "--out", "b"}, {"no/such/config.toml"});
}

TEST(Config, TheCommandLineWinsOverFilesAndALaterFileOverAnEarlierOne) {
  const TemporaryFile first(
      "steps = 7\nlr = 0.5\nvariant = ['exp']\nrect-a = [1, 2, 3, 4, 5.5]\nfigures = 'none'\nquiet = true\n");
  expect_lines({"--config", first.path, "--steps", "8", "--variant", "baseline"},
               {"steps=8", R"(variant="baseline")", "rect-a=[1, 2, 3, 4, 5.5]", R"(figures="none")", "quiet=true"});
  const TemporaryFile second("lr = [0.1, \"npu=0.2\"]\nseed = 3\n", "2");
  const Texts of_both{"steps=7", "seed=3", R"(lr=[0.1, "npu=0.2"])"};
  expect_lines({"--config", first.path, "--config", second.path}, of_both);
  expect_lines({"--config", first.path, second.path}, of_both);
}

TEST(Config, ConfigTomlReadsBack) {
  for (const Texts& arguments : std::vector<Texts>{
           {},
           split("--size 60,70 --lr 0.003 --variant exp baseline --figures svg --quiet --kernel-size 5 --optimizer sgd "
                 "--rect-b 0,0,60,70,-1.5 --require-ratio 2 --dtype float64 --data image --out a --device=cuda:3",
                 ' '),
           split("--scene noise --range 1,2 --range=-2,2 --lr npu=0.1,0.2 --depth 1,4 --resample --loss mse "
                 "--success near-exact --variant all --seeds=7 --shard=2/7",
                 ' '),
           {"--out", "'\"\\\t\n # \xc3\xa4", "--success", "1e-30", "--rect-a", "0,0,1,1,1e-320", "--range=-1e38,1e38"},
           {"--load-model", "1.5", "0x1", "true", "--out", "007", "--save-model=true"}}) {
    const auto toml = toml_of(arguments);
    const TemporaryFile file(toml);
    EXPECT_EQ(toml_of({"--config", file.path}), toml);
    EXPECT_EQ(difference(config_of({"--config", file.path}), config_of(arguments)), std::nullopt);
    EXPECT_EQ(config_of({"--config", file.path}).out, config_of(arguments).out);
  }
}

// The bytes of f8cf891.
TEST(Config, ConfigTomlIsWhatItWas) {
  EXPECT_EQ(toml_of(split("--seeds 5 --lr 0.1 npu=1 --figures none --quiet --out o --require-ratio 0.5", ' ')),
            R"(variant=["baseline", "exp"]
depth=2
seed=0
seeds=5
shard="1/1"
success="auto"
kernel-size=3
bias=false
data="auto"
scene="rectangles"
size=[100, 100]
rect-a=[20, 15, 45, 50, 1]
rect-b=[40, 35, 40, 45, 2]
range="1,2"
test-range="2,4"
scene-seed=0
resample=false
scale=[0, 1]
crop=[0, 0, 0, 0]
shrink=1
heldout-scenes=10
heldout-seed=1
heldout-values=[0.5, 4]
steps=3000
optimizer="adam"
lr=[0.1, "npu=1"]
lr-decay="none"
loss="l2"
nmu-sparsity=[10, 1200, 2100]
npu-l1=[0, 0, 10000]
check-every=60
device="auto"
threads=0
dtype="float32"
out="o"
figures="none"
no-report=false
log-every=30
save-model=false
require-ratio=0.5
quiet=true
)");
}

TEST(Config, HelpAndVersionAreMessages) {
  EXPECT_EQ(parse({"--version"}).message, "conv_mult 1.2.3");
  EXPECT_EQ(parse({"-h", "--nonsense"}).message, parse({"--help"}).message);
  EXPECT_NE(parse({"merge", "--help"}).message->find("--out DIR"), std::string::npos);
  EXPECT_NE(parse({"--help"}).message->find("baseline, exp,"), std::string::npos);
}

TEST(Config, HelpHasALineForEachOptionAndFitsATerminal) {
  for (const bool merging : {false, true}) {
    const auto help = merging ? *parse({"merge", "--help"}).message : *parse({"--help"}).message;
    for (const auto& line : split(help, '\n')) { EXPECT_LE(line.size(), 80U) << line; }
    for (const auto& option : merging ? merge_table() : option_table(vocabulary)) {
      const auto line = help.find((option.name == "help" ? "\n  -h, --" : "\n  --") + option.name + ' ');
      ASSERT_NE(line, std::string::npos) << option.name;
      EXPECT_NE(help.substr(line, help.find('\n', line + 1) - line).find("  " + option.help), std::string::npos)
          << option.name;
    }
  }
}

TEST(Config, ComplaintsNameOptionAndValueAndWhatIsAllowed) {
  for (const auto& [option, allowed, values] : std::vector<std::tuple<std::string, std::string, Texts>>{
           {"--variant", "all, baseline, exp, nmu", {"cubic", "", "exp,", "Exp"}},
           {"--optimizer", "adam, adamw, rmsprop, sgd", {"lion"}},
           {"--loss", "l2, mse", {"l1"}},
           {"--data", "auto, patches, image, literal", {"video"}},
           {"--dtype", "float32, float64", {"int8"}},
           {"--scene", "rectangles, noise", {"circles"}},
           {"--lr",
            "a number above 0, or NAME=X",
            {"nan", "inf", "-inf", "0", "-0.1", "1e400", "", "0.1,nan", "exp=", "=1", "cubic=1", "npu=x", "0.1x"}},
           {"--success", "near-exact", {"nan", "inf", "-1", "0", "", "almost", "mse", "mse=0", "near-exact=", "x=1"}},
           {"--rect-a",
            "T,L,H,W,V",
            {"0,0,0,5,1", "0,0,5,0,1", "0,0,5,5,nan", "0,0,5,5,inf", "0,0,5,5,1e400", "0,0,5,5,-1e39", "-1,0,5,5,1",
             "1e30,0,5,5,1", "0.5,0,5,5,1", "0,0,1.5,5,1", "0,0,5,5", "0,0,5,5,1,1", "9223372036854775807,0,5,5,1",
             "0,0,5,5,x"}},
           {"--range", "LO below HI", {"1,1", "2,1", "nan,1", "1,inf", "1", "1,2,3", "1,2,3,4", "a,b", "1,1e39"}},
           {"--test-range", "LO,HI[,LO,HI...] within ±2e+38", {"1,1", "1,2,3", "1", "", "1,3e38"}},
           {"--heldout-values", "LO,HI within ±1e+38", {"1,1", "inf,1", "nan,2", "1", "1,2,3"}},
           {"--size", "H[,W]", {"0", "-5", "99999999999", "3.5", "10,0", "1,2,3", "nan", "5,,", ""}},
           {"--seeds", "from 1 to 100000000", {"0", "-1", "99999999999999999999", ""}},
           {"--seed",
            "a whole number from 0 to 4294967295: PyTorch takes 32 bits",
            {"-1", "4294967296", "18446744073709551616", "0x10", "1_0", "1e", "1,0", "1 0", "١"}},
           {"--steps", "from 0 to 100000000", {"-1", "1e9", "100000001", "nan", "many", "1.5"}},
           {"--kernel-size", "odd number from 1 to 31", {"0", "2", "4", "-3", "33", "9999999999999999999999"}},
           {"--depth", "from 1 to 64", {"0", "65", "-1"}},
           {"--width", "from 1 to 1024", {"0", "1025"}},
           {"--shard", "I <= N", {"0/1", "2/1", "1/0", "-1/1", "1", "1/1/1", "a/b", "1/2"}},
           {"--threads", "from 0 to 1024", {"-1", "1025"}},
           {"--device", "cuda:N", {"gpu", "tpu", "cuda:-1", "cuda:x", "cuda:", "cuda:100", ""}},
           {"--npu-l1", "START,END,EVERY", {"1e-7", "2,1,1", "0,1,0"}},
           {"--nmu-sparsity", "STRENGTH[,FROM,TO]", {"-1", "nan", "1,2", "1,5,2", "1,2,1e300", "1,-1,2"}},
           {"--require-ratio", "a number above 0", {"0", "-1", "nan"}},
           {"--log-every", "from 1 to", {"0", "-1"}},
           {"--check-every", "from 1 to", {"0"}},
           {"--scene-seed", "from 0 to 4294967295", {"-1", "4294967296"}},
           {"--heldout-scenes", "from 0 to 1000", {"-1", "1001"}},
           {"--quiet", "true or false", {"maybe", "2"}},
           {"--out", "UTF-8", {"", "\xff"}},
           {"--load-model", "UTF-8", {""}},
           {"--figures", "none, png, svg, pdf", {"gif", "none,png", "png,none", ""}}}) {
    for (const auto& value : values) {
      expect_error({option + '=' + value},
                   value.empty() ? Texts{option + ": 1 required"} : Texts{option + ": '" + value + "'", allowed});
    }
  }
}

TEST(Config, ComplaintsSayWhatDoesNotFit) {
  expect_error({"stray", "--no-such", "-x", "other=1"}, {"stray --no-such -x other=1"});
  expect_error({"--steps", "1", "2", "--", "--quiet"}, {": 2 -- --quiet"});
  expect_error({"--steps"}, {"--steps", "missing"});
  expect_error({"--seed", "--1"}, {"--seed", "'--1'", "whole number from 0 to 4294967295"});
  expect_error({"--seed", "4294967293", "--seeds", "4"}, {"--seed", "4294967293", "4294967295", "32 bits"});
  expect_error({"--rect-a", "60,0,50,10,1"}, {"--rect-a", "60..109", "100x100"});
  expect_error({"--size", "30", "--rect-b", "0,0,5,31,1"}, {"--rect-b", "0..30", "30x30"});
  expect_error({"--range", "1,2", "--test-range", "2,3", "--test-range", "4,5"}, {"--test-range", "2", "1"});
  expect_error({"--require-ratio", "1", "--variant", "exp"}, {"--require-ratio", "exp"});
  for (const char* many : {"--optimizer=adam,sgd", "--lr=1,2", "--lr=exp=1,exp=2", "--scene=noise,rectangles"}) {
    expect_error({"--require-ratio", "1", many}, {"--require-ratio", "one row"});
  }
}

TEST(Config, ComplaintsAboutAFileNameTheKey) {
  for (const auto& [content, words] :
       std::vector<std::pair<std::string, Texts>>{{"stepz = 7\n", {"unknown key 'stepz'"}},
                                                  {"resume = true\n", {"unknown key 'resume'"}},
                                                  {"help = true\n", {"unknown key 'help'"}},
                                                  {"[training]\nsteps = 7\n", {"unknown key 'training'"}},
                                                  {"steps = \"many\"\n", {"--steps", "many", "ComplaintsAboutAFile"}},
                                                  {"steps = [1, 2]\n", {"--steps", "1,2"}},
                                                  {"out = [\"a\", \"b\"]\n", {"--out", "a,b"}},
                                                  {"out = \"a\\u0000b\"\n", {"--out"}},
                                                  {"steps = []\n", {"'steps'", "empty"}},
                                                  {"steps = 1979-05-27\n", {"'steps'", "date"}},
                                                  {"steps = 7\nsteps = 8\n", {"line 2"}},
                                                  {"steps = 07\n", {"line 1"}},
                                                  {std::string(1 << 20, '#') + "#", {"1 MiB"}}}) {
    const TemporaryFile file(content);
    expect_error({"--config", file.path}, words);
  }
  expect_error({"--config", "/no/such/file.toml"}, {"--config", "/no/such/file.toml"});
  expect_error({"--config", testing::TempDir()}, {"--config", testing::TempDir()});
}

// Each of them once ended the program, in a build with assertions or sanitizers.
TEST(Config, WhatTheParserWouldNotBeAskedIsAComplaint) {
  for (const char* text : {"steps = 1\n[#", "[[#", "[a.#]", "a.# = 1", "= 1", "\xC3\xA4 = 1", "steps = \xC3\xA4",
                           "steps = 1\xC3\xA4", "steps = 1 \xE3\x80\x81", "[\xC3\xA4]", "seeds = [1 \xEF\xBB\xBE]",
                           "out = \"\"\"\\\xC3\xA4\"\"\"", "out = \"\"\"\\\n \xC3\xA4\"\"\"",
                           "\xEF\xBB\xBF\xEF\xBB\xBF", "out = '\xC3", "out = '\xC3'", "# \xFF", "\x80"}) {
    const TemporaryFile file(text);
    expect_error({"--config", file.path}, {"--config: "});
  }
  const TemporaryFile letters("\xEF\xBB\xBFout = '\xC3\xA4\\'  # \xC3\xA4\n\"variant\" = 'exp'");
  EXPECT_EQ(config_of({"--config", letters.path}).out, "\xC3\xA4\\");
}
}  // namespace
}  // namespace conv_mult
