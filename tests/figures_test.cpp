#include "output/figures.hpp"
#include <gtest/gtest.h>
#include <stb/stb_image.h>
#include <torch/torch.h>
#include "executable.hpp"
#include "util/pool.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
struct Picture {
  explicit Picture(const fs::path& path) {
    int channels = 0;
    unsigned char* bytes = stbi_load(path.c_str(), &width, &height, &channels, 3);
    for (int i = 0; bytes != nullptr && i < width * height; ++i) {
      pixels.push_back({bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2]});
    }
    stbi_image_free(bytes);
  }
  /// At so many CSS pixels from the top left.
  Rgb at(double x, double y) const {
    return pixels.at(static_cast<std::size_t>(std::lround(1.5 * y) * width + std::lround(1.5 * x)));
  }
  int width = 0, height = 0;
  std::vector<Rgb> pixels;
};

/// losses[i] is the loss at step i * stride; it diverges with its first loss that is not finite.
RunRecord a_run(std::int64_t seed, const std::vector<double>& losses, std::int64_t stride = 1) {
  RunRecord run;
  run.seed = seed;
  for (const double loss : losses) {
    run.curve.push_back({static_cast<std::int64_t>(run.curve.size()) * stride, loss});
  }
  run.weights = {0.5, -0.25, 1};
  if (std::isfinite(losses.back())) {
    run.final_loss = losses.back();
    run.split_losses = {losses.back(), 2 * losses.back()};
  }
  return run;
}

Spread all(double value) { return {value, value, value, value, value}; }

VariantResult a_row(const std::string& name, const std::vector<double>& losses, double floor,
                    const at::Tensor& output) {
  VariantResult row;
  row.variant = name;
  row.optimizer = "adam";
  row.learning_rate = 0.01;
  row.steps = 2;
  row.parameters = 3;
  row.shapes = {{"weight", {1, 2, 1, 1}}, {"bias", {1}}};
  row.seconds = 3;
  row.floor = floor;
  row.runs = {a_run(7, losses)};
  row.statistics.final_loss = all(losses.back());
  row.statistics.success = {0, 1, 0, 0, 0.7935};
  row.statistics.split_errors = {all(0.5), all(2)};
  row.output = output;
  return row;
}

class Figures : public TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    out_ = folder_ / "it's a \"folder\" #1 $(x)";  // a path that a shell and gnuplot would stumble over
    fs::create_directories(out_);
    auto& scene = result_.scenes.emplace_back();
    scene.name = "rectangles";
    scene.splits = {{"train", "the scene\ntrained on", 1, 4, 16}, {"both", "other places\nand values", 16, 9, 256}};
    scene.success_error = 0.05;
    scene.a = scene.target = torch::tensor({5., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 3.}, at::kFloat)
                                 .view({4, 4});  // hot at the top left
    scene.b = torch::ones({4, 4});
    result_.variants = {a_row("baseline", {9, 4, 3.25}, 3.125, scene.b), a_row("exp", {8, 2, 0.5}, 0, scene.a)};
  }

  Notes draw(const std::vector<FigureFormat>& formats) const { return write_pictures(result_, formats, out_); }
  bool exists(const std::string& name) const { return fs::exists(out_ / name); }
  bool holds(const std::string& name, const std::string& words) const {
    return read(out_ / name).find(words) != std::string::npos;
  }

  /// The cells of one column of a table, one after the other.
  std::string column(const std::string& name, const std::string& wanted) const {
    const auto lines = split(read(out_ / "figures" / name), '\n');
    const auto names = split(lines[0], '\t');
    const auto index = static_cast<std::size_t>(std::find(names.begin(), names.end(), wanted) - names.begin());
    Texts cells;
    for (std::size_t i = 1; i < lines.size(); ++i) {
      if (!lines[i].empty()) { cells.push_back(split(lines[i], '\t').at(index)); }
    }
    return join(cells, " ");
  }

  /// Three seeds whose quartiles are the means of neighbours; a fourth diverges.
  void several_seeds() {
    result_.seeds = 4;
    result_.variants[0].runs.assign(4, result_.variants[0].runs[0]);
    VariantResult& row = result_.variants[1];
    row.runs = {a_run(1, {8, 4, 2}, 10), a_run(2, {12, 6, 3}, 10), a_run(3, {16, 10, 6}, 10),
                a_run(4, {20, INFINITY}, 10)};
    row.shown = 1;
    row.statistics.final_loss = Spread{3, 2.5, 4.5, 2, 6};
    row.statistics.success = {1, 4, 0.25, 0.0456, 0.6994};
    row.statistics.diverged = 1;
    row.statistics.split_errors = {Spread{0.75, 0.625, 1.125, 0.5, 1.5}, Spread{1500, 800, INFINITY, 9, INFINITY}};
  }

  /// Every optimizer x rate for each variant: rates of success 0, 1/8, 2/8 ...; the second row is the best.
  void grid_of(const Texts& variants, const Texts& optimizers, const std::vector<double>& rates) {
    result_.seeds = 8;
    result_.variants.clear();
    for (const std::string& name : variants) {
      for (std::size_t i = 0; i < optimizers.size() * rates.size(); ++i) {
        VariantResult& row = result_.variants.emplace_back(a_row(name, {9, 4, 2}, 1.5, scene().a));
        row.runs.assign(8, row.runs[0]);
        row.optimizer = optimizers[i / rates.size()];
        row.learning_rate = rates[i % rates.size()];
        row.best = i == 1;
        row.statistics.success = wilson(static_cast<std::int64_t>(i % 9), 8);
      }
    }
  }

  SceneResult& scene() { return result_.scenes.front(); }

  fs::path out_;
  ExperimentResult result_;
};

TEST_F(Figures, EveryFigureIsDrawnInEveryFormatAndRemovedAgain) {
  EXPECT_EQ(draw({}), Notes{});
  EXPECT_TRUE(exists("a.png") && !exists("figures"));
  std::ofstream(out_ / "own.png") << "not of this program";
  const ExperimentResult one_run = result_;
  grid_of({"baseline", "exp"}, {"adam", "sgd"}, {0.1, 0.001});
  result_.variants.back().depth = result_.variants.back().width = 2;  // others of exp have none
  result_.scenes.push_back(scene());
  ASSERT_EQ(draw({FigureFormat::png, FigureFormat::svg, FigureFormat::pdf}), Notes{});
  for (const std::string& name : figure_names) {
    const Picture picture(out_ / (name + ".png"));
    EXPECT_GT(std::set<Rgb>(picture.pixels.begin(), picture.pixels.end()).size(), 50U) << name;  // letters, too
    EXPECT_EQ(read(out_ / (name + ".pdf")).substr(0, 5), "%PDF-");
    EXPECT_TRUE(holds(name + ".svg", "font-family=\"DejaVu Sans, sans-serif\"")) << name;
    EXPECT_FALSE(holds(name + ".svg", "<title>gnuplot_plot")) << name;
  }
  result_ = one_run;
  remove_figures(out_);
  ASSERT_EQ(draw({FigureFormat::svg}), Notes{});
  for (const std::string& name : figure_names) {
    EXPECT_EQ(exists(name + ".svg"), name == "loss" || name == "panel" || name == "heldout" || name == "kernels")
        << name;
  }
  remove_figures(out_);
  EXPECT_TRUE(fs::is_empty(out_ / "figures") && exists("own.png"));
}

TEST_F(Figures, AfterASignalNoneIsBegun) {
  stop_signal = SIGTERM;
  const auto notes = draw({FigureFormat::png});
  stop_signal = 0;
  ASSERT_EQ(notes.size(), 4U);
  EXPECT_EQ(notes.count("loss.png not drawn: interrupted"), 1U);
  EXPECT_FALSE(exists("loss.png"));
}

TEST_F(Figures, ScriptsAreRunByHand) {
  ASSERT_EQ(draw({FigureFormat::png}), Notes{});
  const std::string png = read(out_ / "loss.png");
  fs::rename(out_, folder_ / "moved");
  fs::remove(folder_ / "moved/loss.png");
  const std::string in = "cd '" + (folder_ / "moved/figures").string() + "' && ";
  ASSERT_EQ(std::system((in + "gnuplot loss.gp && gnuplot -e \"format='svg'\" loss.gp").c_str()), 0);
  EXPECT_EQ(read(folder_ / "moved/loss.png"), png);
  EXPECT_NE(read(folder_ / "moved/loss.svg").find(">exp: 0.5<"), std::string::npos);
}

TEST_F(Figures, TablesHoldTheNumbersOfSeveralSeeds) {
  several_seeds();
  ASSERT_EQ(draw({FigureFormat::svg}), Notes{});
  EXPECT_EQ(column("loss.tsv", "row"), "baseline baseline baseline exp exp exp");
  EXPECT_EQ(column("loss.tsv", "step"), "0 1 2 0 10 20");
  EXPECT_EQ(column("loss.tsv", "median"), "9 4 3.25 14 6 3");  // of four, then of the three that go on
  EXPECT_EQ(column("loss.tsv", "q1"), "9 4 3.25 11 5 2.5");
  EXPECT_EQ(column("loss.tsv", "q3"), "9 4 3.25 17 8 4.5");
  EXPECT_EQ(column("rows.tsv", "mishaps"), "- \\n1 diverged");
  EXPECT_EQ(column("rows.tsv", "floor"), "3.125 0");
  EXPECT_EQ(column("rows.tsv", "seed"), "7 2");
  EXPECT_EQ(column("rows.tsv", "seed_error"), "0.8125 0.75");  // 3 of a norm of 4
  EXPECT_EQ(column("rows.tsv", "max"), "3.25 6");
  EXPECT_EQ(column("rows.tsv", "high"), "79.35 69.94");
  EXPECT_EQ(column("dots.tsv", "loss"), "3.25 3.25 3.25 3.25 2 3 6");
  EXPECT_EQ(column("heldout.tsv", "median"), "0.5 2 0.75 1500");
  EXPECT_EQ(column("heldout.tsv", "q3"), "0.5 2 1.125 1e+300");
  EXPECT_EQ(column("kernels.tsv", "title"), "weight, a weight, b bias weight, a weight, b bias");
  EXPECT_EQ(column("kernels.tsv", "value"), "0.5 -0.25 1 0.5 -0.25 1");
  const std::multimap<std::string, std::string> words{
      {"loss.svg", "median of 4 seeds"}, {"loss.svg", ">baseline: 3.25, best possible 3.125 (dashed)<"},
      {"panel.svg", ">exp: loss 3<"},    {"loss.svg", ">exp: 3, 1 diverged<"},
      {"panel.svg", ">seed 2<"},         {"panel.svg", "shown: the seed of median final loss"},
      {"panel.svg", ">75.0 %<"},         {"distribution.svg", "output ≡ 0"},
      {"distribution.svg", ">1 of 4<"},  {"distribution.svg", ">1 diverged<"},
      {"heldout.svg", ">1500<"},         {"distribution.svg", "relative error ≤ 5 %"},
      {"heldout.svg", ">0.75<"},         {"heldout.svg", "median and quartiles of 4 seeds"}};
  for (const auto& [figure, text] : words) { EXPECT_TRUE(holds(figure, text)) << figure << ": " << text; }
  EXPECT_FALSE(holds("loss.svg", "exp: 3, best possible"));  // its floor is 0
}

TEST_F(Figures, ACurveIsWhereItsNumbersAre) {
  result_.variants[1].runs = {a_run(0, {8, 1, 1, 1, 1, 8}, 1)};
  result_.variants[0].steps = 5;
  ASSERT_EQ(draw({FigureFormat::png}), Notes{});
  const Picture picture(out_ / "loss.png");
  // loss.gp's box: 500 wide from (78, 46) on, and 64 to the bottom; the axis spans 1 to 9 by 1.4 either way.
  const double height = picture.height / 1.5 - 110;
  const double y = 46 + height * std::log(9 * 1.4 / 1) / std::log(9 * 1.4 * 1.4);
  const double x = 78 + 500 * (2.5 + 0.05) / 5.05;
  EXPECT_EQ(picture.at(x, y), (Rgb{0xD5, 0x5E, 0x00}));
  EXPECT_EQ(picture.at(x, y - 4), (Rgb{255, 255, 255}));
}

TEST_F(Figures, MapsHaveTheColoursOfTheHeatMaps) {
  result_.variants[1].output = torch::zeros({4, 4});
  result_.variants[1].output[0] = torch::tensor({1000.F, NAN, -3.F, 0.F});
  result_.variants[1].output[3][3] = 2.5;
  ASSERT_EQ(draw({FigureFormat::png}), Notes{});
  const Picture panel(out_ / "panel.png");
  for (const auto& [map, column, row, error, value] : {std::tuple{0, 0, 0, false, 5.0},  // row 0 is at the top
                                                       {0, 0, 3, false, 0},
                                                       {0, 3, 3, false, 3},
                                                       {1, 2, 1, false, 1},
                                                       {4, 0, 0, false, 1000},
                                                       {4, 1, 0, false, NAN},
                                                       {4, 2, 0, false, -3},
                                                       {4, 3, 3, false, 2.5},
                                                       {4, 0, 0, true, 995},
                                                       {3, 0, 0, true, -4}}) {
    // panel.gp's maps: 210 wide and high, 236 apart, from (44, 51) on; those of errors 291 lower.
    const Rgb got = panel.at(44 + 236 * map + 52.5 * (column + 0.5), 51 + 291 * error + 52.5 * (row + 0.5));
    const Rgb wanted = error ? colour_of(value, error_scale(result_), diverging_colours)
                             : colour_of(value, shared_scale(scene()), sequential_colours);
    for (const std::size_t i : {0U, 1U, 2U}) {
      EXPECT_NEAR(got[i], wanted[i], 3) << map << error << column << row;  // gnuplot's palette has 256 colours
    }
  }
}

TEST_F(Figures, LargeImagesAreAveragedAndThinOnesAreDrawn) {
  auto large = torch::zeros({2, 402});  // blocks of 3 x 3, of which there are 2 x 3, so 134 of them
  large[0][0] = 3;
  const auto thin = torch::tensor({1.F, 2.F, 2.F});
  for (const auto& shape : {large, torch::full({1, 1}, 2.F), thin.view({1, 3}), thin.view({3, 1})}) {
    scene().a = scene().b = scene().target = result_.variants[0].output = result_.variants[1].output = shape;
    EXPECT_EQ(draw({FigureFormat::png}), Notes{});
    const std::string floats = read(out_ / "figures/panel.f32");
    const std::size_t width = std::stoul(column("panel.tsv", "width"));
    ASSERT_EQ(floats.size(), 7 * 4 * width * std::stoul(column("panel.tsv", "height")));
    float first = 0;
    std::memcpy(&first, floats.data(), sizeof first);
    EXPECT_EQ(first, shape.numel() > 3 ? 0.5F : 1 + (shape.size(0) == shape.size(1)));
    const double middle = 44 + (shape.size(1) > 1 || shape.size(0) == 1 ? 105 : 84);  // a column in 168 pixels
    EXPECT_NE(Picture(out_ / "panel.png").at(middle, 51 + 3), (Rgb{255, 255, 255})) << shape.size(1);
  }
}

TEST_F(Figures, WhatNoAxisHasAPlaceForIsDrawn) {
  several_seeds();
  result_.variants.push_back(result_.variants[1]);
  result_.variants.back().depth = result_.variants.back().width = 2;
  result_.variants.back().best = false;
  result_.scenes.push_back(scene());
  SceneResult& noise = result_.scenes.back();
  noise.name = "noise -2 to -1";
  noise.test = "-6 to -2 and 2 to 6";
  noise.success_error.reset();
  noise.splits.back().name = "outside";
  for (const std::optional<Spread>& spread : std::initializer_list<std::optional<Spread>>{
           Spread{NAN, NAN, NAN, INFINITY, INFINITY}, Spread{2.5e9, 0, INFINITY, 0, INFINITY}, all(0), all(NAN),
           std::nullopt, Spread{5e29, 2e29, 7e29, 1e-30, 1e30}}) {
    for (VariantResult& row : result_.variants) {  // in one row, then in both
      row.statistics.split_errors = {spread, spread};
      row.statistics.final_loss = spread;
      row.statistics.first_success = row.statistics.sparsity_error = spread.value_or(all(NAN)).median;
      row.runs = {a_run(1, {9, 1e30, INFINITY}), a_run(2, {INFINITY}), a_run(3, {0, 0}), a_run(4, {NAN})};
      row.seconds = 0;
      EXPECT_EQ(draw({FigureFormat::svg}), Notes{});
    }
  }
  scene().splits[0].target_norm = 0;
  for (VariantResult& row : result_.variants) {
    row.runs = {a_run(1, {INFINITY}), a_run(2, {NAN})};  // all diverged at once
    row.output = torch::full({4, 4}, NAN);
    row.statistics = {};
    row.statistics.split_errors.resize(2);
  }
  EXPECT_EQ(draw({FigureFormat::png, FigureFormat::svg}), Notes{});
}

TEST_F(Figures, NamesAreNoCommandsAndManyVariantsHaveRoom) {
  for (const char* name :
       {"it's_wild", "a\"b", "$(x)`y`", "{Bold x}_2", "'; system \"touch hacked\"; '", "ä€", "nmu"}) {
    result_.variants.push_back(a_row(name, {3, 2}, 1.0, scene().a));
    EXPECT_EQ(draw({FigureFormat::svg}), Notes{}) << name;
  }
  EXPECT_TRUE(holds("loss.svg", ">it's_wild: 2, best possible 1 (dashed)<"));
  EXPECT_TRUE(holds("heldout.svg", ">{Bold x}_2<"));
  EXPECT_FALSE(exists("figures/hacked"));
}

TEST_F(Figures, GridCellsHaveTheColourOfTheirRate) {
  grid_of({"exp"}, {"adam", "sgd"}, {0.1, 0.001});  // in the figure, rates increase
  result_.variants[0].statistics.success = {8, 8, 1, 0.68, 1};
  result_.variants[1].statistics.success = {0, 8, 0, 0, 0.32};
  result_.variants[1].statistics.dead = 3;
  ASSERT_EQ(draw({FigureFormat::png, FigureFormat::svg}), Notes{});
  EXPECT_EQ(column("rows.tsv", "x"), "0 1 0 1");
  EXPECT_EQ(column("rows.tsv", "rate"), "0 100 37.5 25");
  const Picture grid(out_ / "grid.png");  // cells of 100 x 82 from (78.4, 80) on; no text 5 pixels into each
  EXPECT_EQ(grid.at(78.4 + 5, 85), sequential_colours.front());
  EXPECT_EQ(grid.at(178.4 + 5, 85), sequential_colours.back());
  EXPECT_NEAR(grid.at(178.4 + 5, 167)[1], colour_of(25, {0, 100}, sequential_colours)[1], 2);
  for (const char* words : {"68–100 %", "3 dead", "learning rate", ">0.001<", ">sgd<"}) {
    EXPECT_TRUE(holds("grid.svg", words)) << words;
  }
  EXPECT_FALSE(holds("loss.svg", "sgd"));  // only the best row
  EXPECT_TRUE(holds("panel.svg", "adam, lr 0.001, seed 7"));
  grid_of({"a", "b", "c"}, {"adam", "adamw", "sgd"}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  EXPECT_EQ(draw({FigureFormat::png}), Notes{});
}

TEST_F(Figures, ManyRunsAreThinnedToDotsThatKeepTheExtremes) {
  result_.seeds = 1000;
  result_.variants[1].runs.clear();
  for (int seed = 0; seed < 1000; ++seed) result_.variants[1].runs.push_back(a_run(seed, {9.0, 1000.0 - seed}));
  ASSERT_EQ(draw({FigureFormat::png}), Notes{});
  const std::string dots = column("dots.tsv", "loss");
  EXPECT_EQ(std::count(dots.begin(), dots.end(), ' '), 300);  // 300 dots, and one of the other row
  EXPECT_EQ(dots.substr(0, 7) + dots.substr(dots.size() - 5), "3.25 1  1000");
}

TEST_F(Figures, UnitsOutcomesAndPriceHoldTheirNumbers) {
  result_.seeds = 2;
  result_.scenes.push_back(scene());
  result_.scenes[1].success_error.reset();
  VariantResult deep = result_.variants[1];
  deep.depth = 2;
  deep.width = 8;
  deep.runs.assign(8, deep.runs[0]);
  deep.statistics.success = {3, 8, 0.375, 0.1368, 0.6943};
  deep.statistics.diverged = 2;
  deep.statistics.dead = 1;
  VariantResult unit = result_.variants[1];
  unit.scene = 1;
  unit.statistics.first_success = 1500;
  unit.statistics.sparsity_error = 2.5e-6;
  result_.variants.insert(result_.variants.end(), {deep, unit});
  result_.variants[2].best = false;
  ASSERT_EQ(draw({FigureFormat::svg}), Notes{});
  EXPECT_EQ(column("rows.tsv", "unit"), "1 2 0 2");  // 0: not the best
  EXPECT_EQ(column("rows.tsv", "step"), "nan nan nan 1500");
  EXPECT_EQ(column("rows.tsv", "sparsity"), "nan nan nan 2.5e-06");
  EXPECT_TRUE(holds("units.svg", "a near-exact product on the others"));
  EXPECT_EQ(column("rows.tsv", "success") + ", " + column("rows.tsv", "no_success"), "0 0 3 0, 1 1 2 1");
  EXPECT_EQ(column("rows.tsv", "vanished") + ", " + column("rows.tsv", "diverged"), "0 0 1 0, 0 0 2 0");
  EXPECT_EQ(column("rows.tsv", "label"), "- - 2×8 -");
  EXPECT_EQ(column("rows.tsv", "seconds"), "3 3 0.375 3");
  result_.variants = {deep};  // nothing to compare with
  remove_figures(out_);
  ASSERT_EQ(draw({FigureFormat::svg}), Notes{});
  EXPECT_FALSE(exists("price.svg"));
}

TEST_F(Figures, AVariantHasTheSameMarkInEveryRun) {
  ASSERT_EQ(draw({FigureFormat::svg}), Notes{});
  const std::string both = column("rows.tsv", "colour");
  result_.variants.erase(result_.variants.begin());
  ASSERT_EQ(draw({FigureFormat::svg}), Notes{});
  EXPECT_EQ(both, std::to_string(0x0072B2) + " " + column("rows.tsv", "colour"));
  std::set<std::pair<std::uint32_t, int>> marks;
  for (const auto* variant : all_variants) marks.insert({variant->colour, variant->point});
  EXPECT_EQ(marks.size(), all_variants.size());
}
}  // namespace
}  // namespace conv_mult
