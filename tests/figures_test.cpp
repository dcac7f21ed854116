#include "conv_mult/report/figures.hpp"

#include <gtest/gtest.h>
#include <stb/stb_image.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <tuple>

namespace conv_mult {
namespace {

using Pixel = std::array<unsigned char, 3>;

struct Picture {
  int width = 0, height = 0;
  std::vector<Pixel> pixels;
};

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Picture decode(const std::filesystem::path& path) {
  Picture picture;
  int channels = 0;
  unsigned char* bytes = stbi_load(path.c_str(), &picture.width, &picture.height, &channels, 3);
  if (bytes == nullptr) return picture;
  for (int i = 0; i < picture.width * picture.height; ++i) {
    picture.pixels.push_back({bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2]});
  }
  stbi_image_free(bytes);
  return picture;
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// losses[i] is the loss at step i * stride; it diverges with its first loss that is not finite.
RunRecord drawn_run(std::int64_t seed, const std::vector<double>& losses, std::int64_t stride = 1) {
  RunRecord run;
  run.seed = seed;
  for (const double loss : losses) {
    run.curve.push_back({static_cast<std::int64_t>(run.curve.size()) * stride, loss});
  }
  run.last_step = run.curve.back().step;
  if (std::isfinite(losses.back())) {
    run.final_loss = losses.back();
    run.split_losses = {losses.back(), 2 * losses.back()};
  } else {
    run.status = RunStatus::diverged;
  }
  return run;
}

VariantResult variant(const std::string& name, const std::vector<double>& losses, std::optional<double> floor,
                      Image output) {
  VariantResult row;
  row.variant = name;
  row.optimizer = "adam";
  row.learning_rate = 0.01;
  row.steps = 2;
  row.floor = floor;
  row.runs = {drawn_run(7, losses)};
  if (const auto loss = row.runs[0].final_loss) {
    row.statistics.final_loss = Spread{*loss, *loss, *loss, *loss, *loss};
  } else {
    row.statistics.diverged = 1;
  }
  row.statistics.success = {0, 1, 0, 0, 0.7935};
  row.output = std::move(output);
  row.statistics.split_errors = {Spread{0.5, 0.5, 0.5, 0.5, 0.5}, Spread{2, 2, 2, 2, 2}};
  return row;
}

class Figures : public testing::Test {
 protected:
  void SetUp() override {
    directory =
        std::filesystem::temp_directory_path() /
        ("conv_mult 'figures' " + std::to_string(getpid()));  // a path that a shell would stumble over
    std::filesystem::create_directories(directory);
    SceneResult rectangles;
    rectangles.name = "rectangles";
    rectangles.splits = {{"train", 1, 4, 16}, {"both", 16, 9, 256}};
    rectangles.success_norm = 0.2;
    rectangles.success_error = 0.05;
    rectangles.a = {4, 4, {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};  // hot at the top left only
    rectangles.b = {4, 4, std::vector<float>(16, 1)};
    rectangles.target = rectangles.a;
    result.header.scenes = {rectangles};
    result.variants = {variant("baseline", {9, 4, 3.25}, 3.125, rectangles.b),
                       variant("log_exp", {8, 2, 0.5}, 0.0, rectangles.a)};
  }

  void TearDown() override { std::filesystem::remove_all(directory); }

  std::vector<std::string> draw(const std::vector<FigureFormat>& formats) const {
    return write_figures(result, formats, directory);
  }

  std::string script(const std::string& name) const { return text_of(directory / "figures" / name); }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      names.insert(entry.path().filename());
    }
    return names;
  }

  /// Three seeds whose quartiles are the means of neighbours; a fourth diverges.
  void several_seeds() {
    result.variants[0].runs.assign(4, result.variants[0].runs[0]);
    result.variants[0].statistics.success = {0, 4, 0, 0, 0.4899};
    VariantResult& row = result.variants[1];
    row.runs = {drawn_run(1, {8, 4, 2}, 10), drawn_run(2, {12, 6, 3}, 10), drawn_run(3, {16, 10, 6}, 10),
                drawn_run(4, {20, kInfinity}, 10)};
    row.shown = 1;
    row.statistics.final_loss = Spread{3, 2.5, 4.5, 2, 6};
    row.statistics.success = {1, 4, 0.25, 0.0456, 0.6994};
    row.statistics.diverged = 1;
    row.statistics.split_errors = {Spread{0.75, 0.625, 1.125, 0.5, 1.5},
                                   Spread{1500, 800, kInfinity, 9, kInfinity}};
    result.header.seeds = 4;
  }

  /// Every optimizer x rate for each variant: rates of success 0, 1/8, 2/8 ...; the second row is the best.
  void grid_of(const std::vector<std::string>& variants, const std::vector<std::string>& optimizers,
               const std::vector<double>& rates) {
    result.grid = true;
    result.variants.clear();
    for (const std::string& name : variants) {
      for (std::size_t i = 0; i < optimizers.size() * rates.size(); ++i) {
        VariantResult row = variant(name, {9, 4, 2}, 1.5, scene().a);
        row.optimizer = optimizers[i / rates.size()];
        row.learning_rate = rates[i % rates.size()];
        row.best = i == std::min<std::size_t>(1, optimizers.size() * rates.size() - 1);
        if (!row.best) row.output = {};
        row.statistics.final_loss = Spread{2, 2, 2, 2, 2};
        const double share = static_cast<double>(i % 9) / 8;
        row.statistics.success = {static_cast<std::int64_t>(i % 9), 8, share, share * 0.9, share * 0.9 + 0.1};
        result.variants.push_back(row);
      }
    }
  }

  SceneResult& scene() { return result.header.scenes.front(); }

  bool exists(const std::string& name) const { return std::filesystem::exists(directory / name); }

  std::filesystem::path directory;
  ExperimentResult result;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Figures, NoFormatMeansNothingIsDone) {
  EXPECT_TRUE(write_figures(result, {}, directory).empty());
  EXPECT_TRUE(std::filesystem::is_empty(directory));
}

TEST_F(Figures, AllFormatsAreDrawnAndNothingElseIsLeft) {
  EXPECT_EQ(draw({FigureFormat::png, FigureFormat::svg, FigureFormat::pdf}), std::vector<std::string>{});
  EXPECT_EQ(files(),
            (std::set<std::string>{"figures", "heldout.pdf", "heldout.png", "heldout.svg", "loss.pdf",
                                   "loss.png", "loss.svg", "panel.pdf", "panel.png", "panel.svg"}));
  EXPECT_EQ(text_of(directory / "loss.pdf").substr(0, 5), "%PDF-");
  EXPECT_TRUE(contains(text_of(directory / "loss.svg"), "log_exp: final loss 0.5"));
  EXPECT_TRUE(contains(text_of(directory / "panel.svg"), "log_exp: loss 0.5"));
  EXPECT_TRUE(contains(text_of(directory / "panel.svg"), "12.5 %"));  // 0.5 of a norm of 4
}

TEST_F(Figures, LossHasAFloorOnlyWhereItIsPositive) {
  draw({FigureFormat::svg});
  const std::string text = script("loss.gp");
  EXPECT_TRUE(contains(text, "3.125 with lines"));
  EXPECT_TRUE(contains(text, "'baseline: best possible loss 3.125'"));
  EXPECT_FALSE(contains(text, "log_exp: best possible"));
  EXPECT_TRUE(contains(text, "$curve2 << EOD\n0 8 8 8\n1 2 2 2\n2 0.5 0.5 0.5\nEOD\n"));
  EXPECT_TRUE(contains(text, "set logscale y"));
}

TEST_F(Figures, PanelCarriesItsDataClampedToTheSharedScale) {
  result.variants[1].output.pixels[3] = 1000;
  result.variants[1].output.pixels[4] = std::numeric_limits<float>::quiet_NaN();
  draw({FigureFormat::svg});
  const std::string text = script("panel.gp");
  EXPECT_TRUE(contains(text, "$a << EOD\n5 0 0 0\n0 0 0 0\n0 0 0 0\n0 0 0 0\nEOD\n"));
  EXPECT_TRUE(contains(text, "$output2 << EOD\n5 0 0 5\n1e99 0 0 0\n"));
  EXPECT_TRUE(contains(text, "$error1 << EOD\n-4 1 1 1\n1 1 1 1\n"));
  EXPECT_TRUE(contains(text, "set cbrange [0:5]"));
  EXPECT_TRUE(contains(text, "set cbrange [-1000:1000]"));
}

TEST_F(Figures, PanelAveragesLargeImages) {
  Image large{2, 402, std::vector<float>(804, 0)};  // 402 columns: blocks of 3, so 134 of them
  large.pixels[0] = 3;
  scene().a = scene().b = scene().target = large;
  for (VariantResult& each : result.variants) each.output = large;
  EXPECT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  const std::string text = script("panel.gp");
  const std::string row = text.substr(text.find("$a << EOD\n") + 10);
  EXPECT_EQ(row.substr(0, row.find('\n')).size(), 2 * 134U - 1);
  EXPECT_EQ(row.substr(0, 6), "1 0 0 ");
}

TEST_F(Figures, PicturesAreNotBlank) {
  ASSERT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  for (const char* name : {"loss.png", "panel.png", "heldout.png"}) {
    const Picture picture = decode(directory / name);
    ASSERT_GT(picture.width, 1000) << name;
    const std::set<Pixel> colours(picture.pixels.begin(), picture.pixels.end());
    EXPECT_GT(colours.size(), 50U) << name;
  }
}

TEST_F(Figures, RowZeroIsAtTheTop) {
  ASSERT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  const Picture panel = decode(directory / "panel.png");
  // The leftmost pixel of each end of viridis belongs to the map of a: its first cell, and the cells below
  // that.
  const auto leftmost = [&](const Pixel& colour) {
    std::array<int, 2> best{panel.width, panel.height};
    for (int y = 0; y < panel.height; ++y) {
      for (int x = 0; x < panel.width; ++x) {
        if (panel.pixels[static_cast<std::size_t>(y * panel.width + x)] == colour && x < best[0])
          best = {x, y};
      }
    }
    return best;
  };
  const auto hot = leftmost({253, 231, 37}), cold = leftmost({68, 1, 84});
  ASSERT_LT(hot[0], panel.width / 6);
  ASSERT_LT(cold[0], panel.width / 6);
  EXPECT_NEAR(hot[0], cold[0], 4);
  EXPECT_LT(hot[1], cold[1]);
  EXPECT_LT(hot[1], panel.height / 4);
}

TEST_F(Figures, DivergedAndMissingValuesAreDrawn) {
  const Image nothing{4, 4, std::vector<float>(16, std::numeric_limits<float>::quiet_NaN())};
  scene().splits[0].target_norm = 0;
  result.variants = {variant("it's_wild", {9, 1e30, kInfinity}, std::nullopt, nothing),
                     variant("never", {std::nan("")}, std::nullopt, nothing)};
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  EXPECT_TRUE(contains(script("loss.gp"), "'it''s_wild: diverged'"));
  result.variants.erase(result.variants.begin());
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});  // no drawable loss at all
}

TEST_F(Figures, OneToNineVariantsAndThinImagesAreDrawn) {
  for (const Image& shape : {Image{1, 1, {2}}, Image{1, 3, {0, 1, 2}}, Image{3, 1, {0, 1, 2}}}) {
    scene().a = scene().b = scene().target = shape;
    result.variants.clear();
    for (const char* name : {"a1", "b2", "c3", "d4", "e5", "f6", "g7", "h8", "i9"}) {
      result.variants.push_back(variant(name, {3, 2}, 1.0, shape));
      EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{}) << name;
    }
  }
}

TEST_F(Figures, WithoutGnuplotTheScriptsAreKept) {
  const std::string path = getenv("PATH");
  const auto empty = directory / "empty";
  std::filesystem::create_directories(empty);
  setenv("PATH", empty.c_str(), 1);
  const auto warnings = draw({FigureFormat::png, FigureFormat::svg});
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(warnings, std::vector<std::string>{
                          "gnuplot not found: figures/*.gp and loss.csv are written, no figure drawn"});
  EXPECT_TRUE(exists("figures/loss.gp"));
  EXPECT_TRUE(exists("figures/panel.gp"));
  EXPECT_FALSE(exists("loss.png"));
}

TEST_F(Figures, AnyWordOfGnuplotIsAFailure) {
  const std::string path = getenv("PATH");
  const auto tools = directory / "tools";
  std::filesystem::create_directories(tools);
  std::ofstream(tools / "gnuplot") << "#!/bin/sh\necho no font >&2\n";
  std::filesystem::permissions(tools / "gnuplot", std::filesystem::perms::owner_all);
  setenv("PATH", tools.c_str(), 1);
  const auto warnings = draw({FigureFormat::png});
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(warnings, (std::vector<std::string>{"loss.png not drawn: gnuplot failed: no font",
                                                "panel.png not drawn: gnuplot failed: no font",
                                                "heldout.png not drawn: gnuplot failed: no font"}));
  EXPECT_FALSE(exists("loss.png"));
}

TEST_F(Figures, EveryFigureAppliesToAGridOfManySeedsSizesAndScenes) {
  grid_of({"baseline", "log_exp"}, {"adam", "sgd"}, {0.1, 0.001});
  result.header.seeds = 2;
  result.sizes = true;
  result.header.scenes.push_back(result.header.scenes.front());
  for (VariantResult& row : result.variants) row.runs.assign(2, row.runs[0]);
  EXPECT_EQ(draw({FigureFormat::png, FigureFormat::svg, FigureFormat::pdf}), std::vector<std::string>{});
  std::set<std::string> names{"figures"};
  for (const std::string& name : figure_names) {
    EXPECT_TRUE(exists("figures/" + name + ".gp"));
    for (const char* format : {".png", ".svg", ".pdf"}) names.insert(name + format);
  }
  EXPECT_EQ(files(), names);
}

TEST_F(Figures, WhatAnEarlierRunLeftIsRemoved) {
  std::filesystem::create_directories(directory / "figures");
  for (const char* name : {"figures/grid.gp", "grid.png", "distribution.svg", "loss.pdf", "own.png"}) {
    std::ofstream(directory / name) << "old";
  }
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  EXPECT_EQ(files(), (std::set<std::string>{"figures", "heldout.svg", "loss.svg", "own.png", "panel.svg"}));
  EXPECT_FALSE(exists("figures/grid.gp"));
}

TEST_F(Figures, LossOfSeveralSeedsIsTheMedianWithinQuartiles) {
  several_seeds();
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  const std::string text = script("loss.gp");
  // At step 0 over all four; then over the three that go on.
  EXPECT_TRUE(contains(text, "$curve2 << EOD\n0 14 11 17\n10 6 5 8\n20 3 2.5 4.5\nEOD\n"));
  EXPECT_TRUE(contains(text, "'log_exp: median final loss 3, 1 diverged'"));
  EXPECT_TRUE(contains(text, "median of 4 seeds"));
}

TEST_F(Figures, AGridShowsTheBestRows) {
  grid_of({"exp"}, {"adam", "sgd"}, {0.001, 0.0001});
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  const std::string loss = script("loss.gp");
  EXPECT_TRUE(contains(loss, "'exp, adam, lr 0.0001: final loss 2'"));
  EXPECT_FALSE(contains(loss, "sgd"));
  EXPECT_FALSE(contains(script("panel.gp"), "sgd"));
  EXPECT_FALSE(contains(script("panel.gp"), "$output2"));
  EXPECT_FALSE(contains(script("heldout.gp"), "sgd"));
  EXPECT_TRUE(contains(text_of(directory / "panel.svg"), "adam, lr 0.0001"));
}

TEST_F(Figures, PanelSaysWhichSeedItShows) {
  several_seeds();
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  const std::string panel = text_of(directory / "panel.svg");
  EXPECT_TRUE(contains(panel, "log_exp: loss 3<"));
  EXPECT_TRUE(contains(panel, ">seed 2<"));
  EXPECT_TRUE(contains(panel, "shown: the seed of median final loss"));
  EXPECT_TRUE(contains(panel, "75.0 %"));  // 3 of a norm of 4
}

TEST_F(Figures, DistributionHoldsTheStatisticsOfEveryRow) {
  several_seeds();
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  const std::string text = script("distribution.gp");
  EXPECT_TRUE(contains(text,
                       "$rows << EOD\n1 3.25 3.25 3.25 3.25 3.25 3.125 0 0 48.99 29362\n"
                       "2 3 2.5 4.5 2 6 0 25 4.56 69.94 13983232\nEOD\n"));
  const std::string picture = text_of(directory / "distribution.svg");
  for (const char* words : {"output ≡ 0", "1 of 4", "1 diverged", "relative error ≤ 5 %"}) {
    EXPECT_TRUE(contains(picture, words)) << words;
  }
}

TEST_F(Figures, ManyRunsAreThinnedToDotsThatKeepTheExtremes) {
  VariantResult& row = result.variants[1];
  row.runs.clear();
  result.header.seeds = 1000;
  for (int seed = 0; seed < 1000; ++seed) row.runs.push_back(drawn_run(seed, {9.0, 1.0 + seed}));
  row.statistics.final_loss = Spread{500.5, 250.75, 750.25, 1, 1000};
  row.statistics.success = {1, 1000, 0.001, 0.0002, 0.0056};
  EXPECT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  const std::string text = script("distribution.gp");
  const auto begin = text.find("$dots << EOD\n") + 13;
  const std::string dots = text.substr(begin, text.find("EOD", begin) - begin);
  EXPECT_EQ(std::count(dots.begin(), dots.end(), '\n'), 301);  // and one of the other row
  EXPECT_TRUE(contains(dots, "\n1 2.100 "));
  EXPECT_TRUE(contains(dots, "\n1000 2."));
  EXPECT_TRUE(contains(text, "'1 of 1000'"));
}

TEST_F(Figures, HeldoutHoldsMediansAndQuartilesOfTheSplits) {
  several_seeds();
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  const std::string text = script("heldout.gp");
  EXPECT_TRUE(contains(text, "$errors1 << EOD\n0.850 0.5 0.5 0.5 0.5 \"0.5\"\n1.850 2 2 2 2 \"2\"\nEOD\n"));
  EXPECT_TRUE(contains(text,
                       "$errors2 << EOD\n1.150 0.75 0.625 1.125 1.125 \"0.75\"\n"
                       "2.150 1500 800 1e+300 1e+300 \"1500\"\nEOD\n"));
  EXPECT_TRUE(contains(text, "success = 0.05\n"));
  const std::string picture = text_of(directory / "heldout.svg");
  for (const char* words :
       {"Is it multiplication?", "the scene", "and values", "16 scenes", "median and quartiles of 4 seeds"}) {
    EXPECT_TRUE(contains(picture, words)) << words;
  }
}

TEST_F(Figures, HeldoutErrorsMayBeInfiniteZeroOrMissing) {
  auto& errors = result.variants[1].statistics.split_errors;
  const double nan = std::nan("");
  const std::vector<std::pair<std::optional<Spread>, std::string>> cases{
      {Spread{nan, nan, nan, kInfinity, kInfinity}, "1e+300 1e+300 1e+300 1e+300 \"∞\"\n"},
      {Spread{2.5e9, 0, kInfinity, 0, kInfinity}, "2.5e+09 0 1e+300 1e+300 \"2.5e+09\"\n"},
      {Spread{0, 0, 0, 0, 0}, "0 0 0 0 \"0\"\n"},
      {Spread{150, 99.6, 999.6, 9, 1e4}, "150 99.6 999.6 999.6 \"150\"\n"},
      {Spread{999.6, 1, 2000, 1, 2000}, "999.6 1 2000 2000 \"1000\"\n"},
      {Spread{4e-7, 1e-9, 1, 0, 2}, "4e-07 1e-09 1 1 \"4e-07\"\n"},
      {std::nullopt, "nan nan nan 0 \"–\"\n"},
      {Spread{nan, nan, nan, nan, nan}, "nan nan nan 0 \"–\"\n"}};
  for (const auto& [spread, expected] : cases) {
    errors[1] = spread;
    EXPECT_EQ(draw({FigureFormat::png, FigureFormat::svg}), std::vector<std::string>{}) << expected;
    EXPECT_TRUE(contains(script("heldout.gp"), expected)) << expected;
  }
}

TEST_F(Figures, GridCellsHaveTheColourOfTheirRate) {
  grid_of({"exp"}, {"adam", "sgd"}, {0.1, 0.001});  // in the figure, rates increase
  result.variants[0].statistics.success = {8, 8, 1, 0.68, 1};
  result.variants[1].statistics.success = {0, 8, 0, 0, 0.32};
  for (VariantResult& row : result.variants) row.runs.assign(8, row.runs[0]);
  result.variants[1].statistics.dead = 3;
  result.variants[1].statistics.diverged = 2;
  ASSERT_EQ(draw({FigureFormat::png, FigureFormat::svg}), std::vector<std::string>{});
  EXPECT_TRUE(contains(script("grid.gp"),
                       "$cells << EOD\n2 1 100 \"100 %\" \"68–100 %\\n\"\n"
                       "1 1 0 \"0 %\" \"0–32 %\\n2 diverged\\n3 dead\"\n2 2 25 "));
  EXPECT_TRUE(contains(script("grid.gp"), "set xtics scale 0 ('0.001' 1, '0.1' 2)"));
  const Picture grid = decode(directory / "grid.png");
  ASSERT_EQ(grid.width, 960);
  // Cells of 200 x 164 pixels from (156, 160) on; 10 pixels into each, where no text stands.
  const auto at = [&](int column, int row) {
    return grid
        .pixels[static_cast<std::size_t>((160 + 164 * row + 10) * grid.width + 156 + 200 * column + 10)];
  };
  EXPECT_EQ(at(0, 0), (Pixel{68, 1, 84}));
  EXPECT_EQ(at(1, 0), (Pixel{253, 231, 37}));
  EXPECT_NEAR(at(0, 1)[0], 38, 8);  // 3/8
  const Pixel quarter = at(1, 1);   // 2.25 stops of 9 on: between (62, 74, 137) and (49, 104, 142)
  EXPECT_NEAR(quarter[0], 62 - 13 / 4.0, 2);
  EXPECT_NEAR(quarter[1], 74 + 30 / 4.0, 2);
  EXPECT_NEAR(quarter[2], 137 + 5 / 4.0, 2);
  const std::string picture = text_of(directory / "grid.svg");
  for (const char* words : {"68–100 %", "3 dead", "2 diverged", "learning rate"}) {
    EXPECT_TRUE(contains(picture, words)) << words;
  }
}

TEST_F(Figures, GridsOfEverySizeAreDrawn) {
  for (const auto& [variants, optimizers, rates] :
       std::vector<std::tuple<std::vector<std::string>, std::vector<std::string>, std::vector<double>>>{
           {{"exp"}, {"adam"}, {0.01}},
           {{"baseline", "it's_exp"}, {"adam", "adamw", "rmsprop", "sgd"}, {0.1, 0.01, 0.001}},
           {{"a", "b", "c"}, {"adam", "sgd"}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}) {
    grid_of(variants, optimizers, rates);
    result.header.seeds = 2;
    for (VariantResult& row : result.variants) row.runs.push_back(drawn_run(8, {9, 4, 3}));
    EXPECT_EQ(draw({FigureFormat::png, FigureFormat::svg, FigureFormat::pdf}), std::vector<std::string>{});
  }
}

TEST_F(Figures, SeveralSeedsWithoutAnythingToDrawAreDrawn) {
  const std::vector<FigureFormat> formats{FigureFormat::png, FigureFormat::svg, FigureFormat::pdf};
  result.variants.erase(result.variants.begin());
  VariantResult& row = result.variants[0];
  result.header.seeds = 2;
  row.runs = {drawn_run(1, {kInfinity}), drawn_run(2, {kInfinity})};  // all diverged at once
  row.output = {};
  row.statistics = {};
  row.statistics.split_errors.resize(2);
  row.statistics.diverged = 2;
  row.statistics.success = {0, 2, 0, 0, 0.66};
  EXPECT_EQ(draw(formats), std::vector<std::string>{});
  EXPECT_TRUE(contains(script("loss.gp"), "'log_exp: 2 diverged'"));

  row.runs = {drawn_run(1, {9, 1e30, kInfinity}), drawn_run(2, {8, kInfinity})};  // all diverged, later
  EXPECT_EQ(draw(formats), std::vector<std::string>{});
  EXPECT_TRUE(contains(script("loss.gp"), "$curve1 << EOD\n0 8.5 8.25 8.75\n1 1e+30 1e+30 1e+30\nEOD\n"));

  row.runs = {drawn_run(1, {0, 0}), drawn_run(2, {0, 0})};  // all losses 0
  row.statistics.final_loss = Spread{0, 0, 0, 0, 0};
  row.statistics.diverged = 0;
  EXPECT_EQ(draw(formats), std::vector<std::string>{});
  EXPECT_TRUE(contains(script("loss.gp"), "'log_exp: median final loss 0'"));

  row.runs = {drawn_run(1, {9, 1e-30}), drawn_run(2, {9, 1e30})};  // the widest of boxes
  row.statistics.final_loss = Spread{5e29, 2e29, 7e29, 1e-30, 1e30};
  EXPECT_EQ(draw(formats), std::vector<std::string>{});

  scene().splits[0].target_norm = 0;
  EXPECT_EQ(draw(formats), std::vector<std::string>{});
}

TEST_F(Figures, UnitsHoldTheBestRowOfEveryVariantOnEveryScene) {
  SceneResult noise = result.header.scenes.front();
  noise.name = "noise -2 to -1";
  noise.test = "-6 to -2";
  noise.success_error.reset();
  noise.splits.back().name = "outside";
  result.header.scenes.push_back(noise);
  result.header.seeds = 10;
  VariantResult worse = result.variants[1];
  VariantResult unit = result.variants[1];
  worse.best = false;
  worse.statistics.success = {1, 10, 0.1, 0.0179, 0.4042};
  unit.scene = 1;
  unit.statistics.success = {9, 10, 0.9, 0.5958, 0.9821};
  unit.statistics.first_success = 1500;
  unit.statistics.sparsity_error = 2.5e-6;
  unit.statistics.split_errors.back() = Spread{0.004, 0.002, kInfinity, 0.001, kInfinity};
  result.variants.push_back(worse);
  result.variants.push_back(unit);
  EXPECT_EQ(draw({FigureFormat::png, FigureFormat::svg}), std::vector<std::string>{});
  const std::string text = script("units.gp");
  // Two variants: places 0.08 to either side of the scene's.
  EXPECT_NE(text.find("\n2.080 90 59.58 98.21 1500 2.5e-06 0.004 0.002 1e+300\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n0.920 0 0 79.35 nan nan 2 2 2\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("1.79"), std::string::npos);  // the worse row's interval
  EXPECT_NE(text.find("-2 to -1"), std::string::npos);
  EXPECT_NE(text.find("a near-exact product on noise"), std::string::npos);
  result.variants.back().statistics = {};  // nothing to show: no panel for what no row has
  result.variants.back().statistics.split_errors.resize(2);
  EXPECT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  EXPECT_EQ(script("units.gp").find("Sparsity error"), std::string::npos);
}

TEST_F(Figures, OutcomesAddUpToAllRuns) {
  result.sizes = true;
  VariantResult& row = result.variants[1];
  row.depth = 3;
  row.width = 2;
  row.runs.assign(8, row.runs[0]);
  row.statistics.success = {3, 8, 0.375, 0.1368, 0.6943};
  row.statistics.diverged = 2;
  row.statistics.dead = 1;
  EXPECT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  const std::string text = script("outcomes.gp");
  const auto block = [&](const std::string& name) {
    const auto begin = text.find("$" + name + " << EOD\n");
    return text.substr(begin, text.find("EOD\n", begin + name.size() + 10) - begin);
  };
  EXPECT_NE(block("success").find("\n2 0 37.5 3 \"3\"\n"), std::string::npos) << block("success");
  EXPECT_NE(block("no_success").find("\n2 37.5 62.5 2 \"2\"\n"), std::string::npos);
  EXPECT_NE(block("output_vanished").find("\n2 62.5 75 1 \"1\"\n"), std::string::npos);
  EXPECT_NE(block("diverged").find("\n2 75 100 2 \"2\"\n"), std::string::npos);
  EXPECT_NE(text.find("'log_exp 3×2'"), std::string::npos);
}

TEST_F(Figures, PriceHasParametersTimeAndBothErrors) {
  result.sizes = true;
  result.header.seeds = 2;
  for (VariantResult& row : result.variants) {
    row.runs.assign(2, row.runs[0]);
    row.parameters = 19;
    row.seconds = 3;
  }
  VariantResult deep = result.variants[1];
  deep.depth = 2;
  deep.width = 8;
  deep.parameters = 225;
  deep.seconds = 0;  // too fast to tell
  deep.statistics.split_errors = {Spread{0.25, 0.125, 0.5, 0, 1}, std::nullopt};
  result.variants.push_back(deep);
  EXPECT_EQ(draw({FigureFormat::png, FigureFormat::svg}), std::vector<std::string>{});
  const std::string text = script("price.gp");
  EXPECT_NE(text.find("\n225 0 0.25 0.125 0.5 nan nan nan\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n19 1.5 0.5 0.5 0.5 2 2 2\n"), std::string::npos);
  EXPECT_NE(text.find("set label '2×8'"), std::string::npos);
  result.variants = {deep};  // nothing to compare with
  EXPECT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  EXPECT_FALSE(exists("price.png"));
  EXPECT_TRUE(exists("outcomes.png"));
}

TEST_F(Figures, NoiseAndMeanSquaresAreNamed) {
  result.header.loss = "mse";
  SceneResult& scene = result.header.scenes.front();
  scene.splits = {{"inside", 10, 4, 160}, {"outside", 10, 9, 160}};
  scene.test = "2 to 6";
  scene.success_error.reset();
  result.header.seeds = 2;
  for (VariantResult& row : result.variants) row.runs.assign(2, row.runs[0]);
  EXPECT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  EXPECT_NE(script("loss.gp").find("mean squared error"), std::string::npos);
  EXPECT_NE(script("distribution.gp").find("a near-exact product"), std::string::npos);
  EXPECT_NE(script("distribution.gp").find("(0.1)"), std::string::npos);  // 4^2 / 160: the loss of 0
  EXPECT_NE(script("heldout.gp").find("2 to 6"), std::string::npos);
}

}  // namespace
}  // namespace conv_mult
