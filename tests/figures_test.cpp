#include "conv_mult/report/figures.hpp"

#include <gtest/gtest.h>
#include <stb/stb_image.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

namespace conv_mult {
namespace {

using Pixel = std::array<unsigned char, 3>;

struct Picture {
  int width = 0, height = 0;
  std::vector<Pixel> pixels;
};

std::string read(const std::filesystem::path& path) {
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

VariantResult variant(const std::string& name, std::vector<double> losses, std::optional<double> floor,
                      Image output) {
  VariantResult result;
  result.variant = name;
  result.floor = floor;
  RunRecord run;
  run.seed = 7;
  if (std::isfinite(losses.back())) run.final_loss = losses.back();
  if (!std::isfinite(losses.back())) run.status = RunStatus::diverged;
  run.losses = std::move(losses);
  result.runs = {run};
  result.output = std::move(output);
  return result;
}

class Figures : public testing::Test {
 protected:
  void SetUp() override {
    directory =
        std::filesystem::temp_directory_path() /
        ("conv_mult 'figures' " + std::to_string(getpid()));  // a path that a shell would stumble over
    std::filesystem::create_directories(directory);
    result.header.target_norm = 4;
    result.header.a = {4, 4, {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};  // hot at the top left only
    result.header.b = {4, 4, std::vector<float>(16, 1)};
    result.header.target = result.header.a;
    result.variants = {variant("baseline", {9, 4, 3.25}, 3.125, result.header.b),
                       variant("log_exp", {8, 2, 0.5}, 0.0, result.header.a)};
  }

  void TearDown() override { std::filesystem::remove_all(directory); }

  /// Writes loss.csv as tables.cpp does, then the figures.
  std::vector<std::string> draw(const std::vector<FigureFormat>& formats) const {
    std::ofstream csv(directory / "loss.csv");
    csv << "variant,seed,step,loss\n";
    for (const VariantResult& each : result.variants) {
      for (std::size_t step = 0; step < each.runs[0].losses.size(); ++step) {
        csv << each.variant << ",7," << step << ',' << each.runs[0].losses[step] << '\n';
      }
    }
    csv.close();
    return write_figures(result, formats, directory);
  }

  std::string script(const std::string& name) const { return read(directory / "figures" / name); }

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
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"figures", "loss.csv", "loss.pdf", "loss.png", "loss.svg",
                                          "panel.pdf", "panel.png", "panel.svg"}));
  EXPECT_EQ(read(directory / "loss.pdf").substr(0, 5), "%PDF-");
  EXPECT_TRUE(contains(read(directory / "loss.svg"), "log_exp: final loss 0.5"));
  EXPECT_TRUE(contains(read(directory / "panel.svg"), "log_exp: loss 0.5"));
  EXPECT_TRUE(contains(read(directory / "panel.svg"), "12.5 %"));  // 0.5 of a norm of 4
}

TEST_F(Figures, LossHasAFloorOnlyWhereItIsPositive) {
  draw({FigureFormat::svg});
  const std::string text = script("loss.gp");
  EXPECT_TRUE(contains(text, "3.125 with lines"));
  EXPECT_TRUE(contains(text, "'baseline: best possible loss 3.125'"));
  EXPECT_FALSE(contains(text, "log_exp: best possible"));
  EXPECT_TRUE(contains(text, "strcol(1) eq 'log_exp' && strcol(2) eq '7'"));
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
  result.header.a = result.header.b = result.header.target = large;
  for (VariantResult& each : result.variants) each.output = large;
  EXPECT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  const std::string text = script("panel.gp");
  const std::string row = text.substr(text.find("$a << EOD\n") + 10);
  EXPECT_EQ(row.substr(0, row.find('\n')).size(), 2 * 134U - 1);
  EXPECT_EQ(row.substr(0, 6), "1 0 0 ");
}

TEST_F(Figures, PicturesAreNotBlank) {
  ASSERT_EQ(draw({FigureFormat::png}), std::vector<std::string>{});
  for (const char* name : {"loss.png", "panel.png"}) {
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
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Image nothing{4, 4, std::vector<float>(16, std::numeric_limits<float>::quiet_NaN())};
  result.header.target_norm = 0;
  result.variants = {variant("it's_wild", {9, 1e30, kInfinity}, std::nullopt, nothing),
                     variant("never", {std::nan("")}, std::nullopt, nothing)};
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});
  EXPECT_TRUE(contains(script("loss.gp"), "'it''s_wild: diverged'"));
  result.variants.erase(result.variants.begin());
  EXPECT_EQ(draw({FigureFormat::svg}), std::vector<std::string>{});  // no drawable loss at all
}

TEST_F(Figures, OneToEightVariantsAndThinImagesAreDrawn) {
  for (const Image& shape : {Image{1, 1, {2}}, Image{1, 3, {0, 1, 2}}, Image{3, 1, {0, 1, 2}}}) {
    result.header.a = result.header.b = result.header.target = shape;
    result.variants.clear();
    for (const char* name : {"a1", "b2", "c3", "d4", "e5", "f6", "g7", "h8"}) {
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
                                                "panel.png not drawn: gnuplot failed: no font"}));
  EXPECT_FALSE(exists("loss.png"));
}

}  // namespace
}  // namespace conv_mult
