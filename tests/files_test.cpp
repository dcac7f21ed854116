// The user's own images: what is read of them, what is refused, what is made of them.

#include <torch/torch.h>
#include "cases.hpp"
#include "executable.hpp"
#include "options/options.hpp"

namespace conv_mult {
namespace {
using namespace std::string_literals;

const Interval unit;

at::Tensor numbers(const std::vector<double>& values, std::int64_t height) {
  return torch::tensor(values, at::kDouble).view({1, 1, height, -1});
}

void write(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

/// A plain PGM of whole numbers up to 10.
std::string pgm(const at::Tensor& image) {
  const auto flat = image.contiguous();
  const auto* const begin = flat.data_ptr<double>();
  return fmt::format("P2 {} {} 10 {}", image.size(-1), image.size(-2), fmt::join(begin, begin + flat.numel(), " "));
}

class Files : public Executable {
 protected:
  void SetUp() override {
    Executable::SetUp();
    write(folder_ / "a.pgm", pgm(a_));
    write(folder_ / "b.pgm", pgm(b_));
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// Of the two, with what else the words say.
  SceneSource source(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--scale=0,10", "--image-a=" + path("a.pgm"), "--image-b=" + path("b.pgm")});
    return sources_of(parse_command_line(words, {{"exp"}, {"files"}}, "").config).at(0);
  }

  const at::Tensor a_ = numbers({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0}, 3);
  const at::Tensor b_ = numbers({1, 0, 0, 2, 0, 3, 0, 0, 4, 0, 0, 5}, 3);
};

TEST_F(Files, OfPythonAreReadToTheLastNumber) {
  run_python(folder_, "save_images.py");
  std::ifstream expected(folder_ / "expected.txt");
  int files = 0;
  for (std::string name; expected >> name; ++files) {
    std::vector<double> values(5 * 7);
    for (auto& value : values) { expected >> value; }
    const auto image = read_image(read(folder_ / name), unit);
    EXPECT_TRUE(image.equal(numbers(values, 5))) << name << image;
  }
  EXPECT_EQ(files, 97);
}

// Theirs are the numbers that ImageMagick reads of the same file.
TEST_F(Files, OfOtherProgramsAreReadAsTheyReadThem) {
  for (const std::string arguments :
       {"-size 37x23 plasma:red-blue -depth 8 c.png", "c.png c.bmp", "c.png c.jpg", "c.png c.ppm",
        "c.png -colorspace gray -depth 8 g.pgm", "g.pgm g.png", "g.pgm g.jpg",
        "-size 37x23 gradient:black-white -depth 16 deep.png", "deep.png deep.pgm", "c.png -interlace PNG lace.png",
        "c.png -colors 9 few.png"}) {
    ASSERT_EQ(run(arguments, "", "convert").code, 0) << arguments << ": is ImageMagick missing?";
  }
  ASSERT_EQ(run(R"(-d -e 'set terminal pngcairo; set output "plot.png"; plot sin(x)')", "", "gnuplot").code, 0);
  for (const std::string name : {"c.png", "c.bmp", "c.jpg", "c.ppm", "g.pgm", "g.png", "g.jpg", "deep.png", "deep.pgm",
                                 "lace.png", "few.png", "plot.png"}) {
    auto raw = run(name + " -alpha off -depth 16 -endian LSB rgb:-", "", "convert").out;
    const auto image = read_image(read(folder_ / name), unit);
    ASSERT_EQ(raw.size(), static_cast<std::size_t>(6 * image.numel())) << name;
    const auto rgb = at::from_blob(raw.data(), {image.size(2), image.size(3), 3}, at::kShort).to(at::kInt);
    const auto luma = at::tensor({0.299, 0.587, 0.114}, at::kDouble);
    const auto theirs = rgb.bitwise_and(0xffff).to(at::kDouble).matmul(luma) / 65535;
    const bool lossy = name.find(".jpg") != std::string::npos;  // no two decoders round alike
    EXPECT_LE((image - theirs).abs().max().item<double>(), lossy ? 3.0 / 255 : 1e-12) << name;
  }
}

// By hand.
TEST_F(Files, TheScaleAPartOfThemAndTheMeansOfBlocks) {
  EXPECT_TRUE(identical(read_image("P2 3 1 4 0 1 4", {-1, 3}), numbers({-1, 0, 3}, 1)));
  const auto scene = source({"--crop=1,1,2,0", "--shrink=2"}).train();
  EXPECT_TRUE(identical(scene.a, numbers({(5. + 6 + 9 + 10) / 4}, 1))) << scene.a;
  EXPECT_TRUE(identical(scene.b, numbers({3. / 4}, 1))) << scene.b;
  EXPECT_TRUE(identical(source({"--crop=2,1,0,2"}).train().a, numbers({9, 10}, 1)));
}

TEST_F(Files, HeldOutScenesAreTheseShiftedAndScaled) {
  const auto splits = source({"--heldout-scenes=20", "--heldout-values=2,3"}).splits;
  ASSERT_EQ(splits.size(), 4U);
  std::set<std::int64_t> shifts;
  for (const auto& [name, text, scenes, draw] : splits) {
    const bool moved = name == "moved" || name == "both";
    const bool scaled = name == "values" || name == "both";
    EXPECT_EQ(scenes, name == "train" ? 1 : 20);
    for (std::int64_t i = 0; i < scenes; ++i) {
      const auto scene = draw(i, 20);
      const double of_a = scene.a.sum().item<double>() / a_.sum().item<double>();
      const double of_b = scene.b.sum().item<double>() / b_.sum().item<double>();
      EXPECT_TRUE(scene.a.allclose(a_ * of_a, 0, 1e-12)) << name;  // a stays where it is
      EXPECT_TRUE(identical(scene.target, scene.a * scene.b)) << name;
      for (const double factor : {of_a, of_b}) {
        EXPECT_TRUE(scaled ? factor >= 2 && factor <= 3 : factor == 1) << name << factor;
      }
      std::int64_t shift = 0;
      while (shift < 12 && !scene.b.allclose(b_.roll({shift / 4, shift % 4}, {2, 3}) * of_b, 0, 1e-12)) { ++shift; }
      ASSERT_LT(shift, moved ? 12 : 1) << name << scene.b;
      if (name == "moved") { shifts.insert(shift); }
    }
  }
  EXPECT_GT(shifts.size(), 6U);
}

TEST_F(Files, PairsOfTestsDecide) {
  write(folder_ / "b2.pgm", pgm(b_ * 2));
  const auto tested = source(
      {"--test-a=" + path("a.pgm") + "," + path("a.pgm"), "--test-b=" + path("b2.pgm"), "--test-b=" + path("b.pgm")});
  const auto& given = tested.splits.at(tested.judged);
  EXPECT_EQ(given.name, "given");
  EXPECT_EQ(given.scenes, 2);
  EXPECT_TRUE(identical(given.draw(0, 2).target, a_ * b_ * 2));
  EXPECT_TRUE(identical(given.draw(1, 1).target, a_ * b_));
  // baseline learns a constant b, which fits where it was trained on, and not there; bilinear multiplies.
  torch::manual_seed(1);
  const auto random = torch::randint(0, 10, {1, 1, 9, 9}, at::kDouble);
  write(folder_ / "flat.pgm", pgm(at::full({1, 1, 9, 9}, 3, at::kDouble)));
  write(folder_ / "other.pgm", pgm(random));
  write(folder_ / "any.pgm", pgm(random.flip(2)));
  const auto outcome = expect_drawn(
      "--variant baseline,bilinear --image-a any.pgm --image-b flat.pgm --test-a any.pgm "
      "--test-b other.pgm --seeds 5 --figures none --steps 3000 --out r");
  const auto summary = summary_of("r");
  EXPECT_EQ(summary["scenes"][0]["success"]["split"], "given");
  EXPECT_EQ(summary["variants"][0]["success"]["count"], 0) << outcome.out;
  EXPECT_LT(summary["variants"][0]["evaluation"]["train"]["median"], 0.05) << outcome.out;
  EXPECT_NE(outcome.out.find("the test pairs"), std::string::npos) << outcome.out;
}

// A weighted mean is no product: the plain layer makes it exactly, and its floor is 0.
TEST_F(Files, ATargetOfTheirOwn) {
  const auto header = "\x93NUMPY\1\0<\0{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n"s;  // <: 60 bytes
  const auto target = (2 * a_ - b_ + 1).contiguous();
  const std::string content(static_cast<const char*>(target.data_ptr()), target.nbytes());
  write(folder_ / "target.npy", header + content);
  const auto own = source({"--target=" + path("target.npy")});
  EXPECT_TRUE(identical(own.train().target, target));
  EXPECT_EQ(own.splits.size(), 1U);  // nobody knows what others would come to
  EXPECT_TRUE(identical(cast(own.train(), at::kFloat).target, target.to(at::kFloat)));
  const auto outcome = expect_drawn(
      "--variant baseline,exp,bilinear --image-a a.pgm --image-b b.pgm --scale 0,10 --target "
      "target.npy --steps 4000 --figures none --out r");
  const auto summary = summary_of("r");
  EXPECT_EQ(summary["variants"][0]["floor"], 0);
  EXPECT_LT(summary["variants"][0]["relative_error"], 0.01) << outcome.out;
  for (const auto i : {1, 2}) { EXPECT_TRUE(summary["variants"][i]["floor"].is_null()); }
}

TEST_F(Files, TheDefaultRectanglesAsPicturesHaveTheSameLosses) {
  const auto scene = whole(default_rectangles());
  write(folder_ / "ra.pgm", pgm(scene.a));
  write(folder_ / "rb.pgm", pgm(scene.b));
  const std::string words = "--variant baseline,exp,bilinear,nmu,npu --seeds 3 --steps 300 --figures none ";
  ASSERT_EQ(run(words + "--out rectangles").code, 0);
  ASSERT_EQ(run(words + "--image-a ra.pgm --image-b rb.pgm --scale 0,10 --out files").code, 0);
  for (const auto* name : {"loss.csv", "weights.csv"}) {
    EXPECT_EQ(read(folder_ / "files" / name), read(folder_ / "rectangles" / name)) << name;
  }
}

TEST_F(Files, WhatHasChangedIsNotGoneOnWith) {
  const std::string words = "--image-a a.pgm --image-b b.pgm --steps 20 --figures none ";
  ASSERT_EQ(run(words + "--seeds 2 --out r").code, 0);
  for (const std::string i : {"1", "2"}) { expect_drawn(words + "--seeds 2 --shard " + i + "/2 --out s" + i); }
  EXPECT_EQ(run("merge s1 s2 --out s").code, 0);
  EXPECT_EQ(read(folder_ / "s/loss.csv"), read(folder_ / "r/loss.csv"));
  fs::rename(folder_ / "a.pgm", folder_ / "again.pgm");  // the content counts, not the name
  EXPECT_EQ(run("--image-a again.pgm --image-b b.pgm --steps 20 --figures none --seeds 3 --resume --out r").code, 0);
  fs::rename(folder_ / "again.pgm", folder_ / "a.pgm");
  const auto before = read(folder_ / "s1/summary.json");
  write(folder_ / "b.pgm", pgm(b_.flip(2)));
  for (const auto& command :
       {words + "--seeds 3 --resume --out s1", std::string("merge s1 s2 --out s"), std::string("report s1")}) {
    expect_failure(command, "'b.pgm' has changed", 2);
  }
  EXPECT_EQ(read(folder_ / "s1/summary.json"), before);
  EXPECT_EQ(run(words + "--out s1").code, 0);  // a run of its own
}

TEST_F(Files, AModelIsAppliedToThem) {
  ASSERT_EQ(run("--scene noise --size 16 --variant bilinear --figures none --save-model --out r").code, 0);
  expect_drawn("--load-model r/model-bilinear.pt --image-a a.pgm --image-b b.pgm --scale 0,10 --figures none --out o");
  EXPECT_TRUE(fs::exists(folder_ / "o/output-bilinear.png"));
  const auto output = read_image(read(folder_ / "o/output-bilinear.npy"), unit);
  const auto model = parse_model_file(read(folder_ / "r/model-bilinear.pt"));
  const auto expected = forward(model, make_dataset(make_scene(a_, b_), DataForm::image, 3));
  EXPECT_LT(relative_difference(output, expected.detach()), 1e-6) << output << expected;
  const auto norm = (output - a_ * b_).norm().item<double>();
  const auto evaluation = read(folder_ / "o/evaluation.csv");
  EXPECT_NEAR(std::stod(evaluation.substr(evaluation.find("train,") + 6)) / norm, 1, 1e-5) << evaluation;
  EXPECT_FALSE(fs::exists(folder_ / "r/output-bilinear.npy"));  // of rectangles nobody needs it
  ASSERT_EQ(run("--steps 5 --figures none --out o").code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "o/output-bilinear.npy"));
}

TEST_F(Files, WhatCannotBeReadIsNamed) {
  run_python(folder_, "save_images.py");
  ASSERT_EQ(run("--variant exp --save-model --out saved " + std::string(small)).code, 0);
  const auto replaced = [](std::string content, const std::string& part, const std::string& by) {
    return content.replace(content.find(part), part.size(), by);
  };
  const auto png = read(folder_ / "2-8.png");
  const auto npy = read(folder_ / "four.npy");
  const auto tensor = read(folder_ / "float32.pt");
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"empty.png", "", "it is no picture"},
      {"short.png", png.substr(0, png.size() / 2), "it is damaged"},
      {"cut.bmp", read(folder_ / "palette.bmp").substr(0, 200), "it is damaged"},
      {"short.bmp", read(folder_ / "colours.bmp").substr(0, 173), "it is damaged"},
      {"short.npy", npy.substr(0, npy.size() - 1), "it does not hold as many numbers"},
      {"header.npy", npy.substr(0, 9), "it holds no plain array"},
      {"short.pt", tensor.substr(0, tensor.size() / 2), "it is no zip archive"},
      {"short.pgm", "P5 4 4 255 abc", "it does not hold as many numbers"},
      {"white.pgm", "P2 2 1 3 1 4", "a number is beyond its white, 3"},
      {"below.pgm", "P2 2 1 3 1 -1", "a number is beyond its white, 3"},
      {"head.pgm", "P5 4 4", "it has no header"},
      {"no.pgm", "P5 0 4 255 ", "it has 4x0 pixels"},
      {"text.png", "Dear reader, this is no picture.", "it is no picture"},
      {"bomb.png", replaced(png, "\0\0\0\7\0\0\0\5"s, "\0\0\x9c\x40\0\0\x9c\x40"s),
       "it is no picture (PNG, JPEG, BMP, PGM), numpy array or PyTorch tensor, or too large"},
      {"bomb.pgm", "P5 999999999 999999999 255 abc", "it has 999999999x999999999 pixels"},
      {"bomb.npy", replaced(npy, "(1, 1, 5, 7)", "(99999,99999)"), "it has 99999x99999 pixels"},
      {"infinite.npy", npy.substr(0, npy.size() - 8) + "\0\0\0\0\0\0\xf0\x7f"s, "it holds NaN, infinity"},
      {"three.npy", replaced(npy, "(1, 1, 5, 7)", "(5, 7, 1, 1)"), "its shape is 5, 7, 1, 1"},
      {"text.npy", replaced(npy, "<f8", "<U2"), "it holds U2"},
      {"model.pt", read(folder_ / "saved/model-exp.pt"), "it holds something else than a tensor"}};
  const std::vector<std::string> places{"--image-b b.pgm --image-a ", "--image-a a.pgm --image-b ",
                                        "--image-a a.pgm --image-b b.pgm --test-a b.pgm --test-b ",
                                        "--image-a a.pgm --image-b b.pgm --target "};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& [name, content, reason] = cases[i];
    write(folder_ / name, content);
    expect_usage_error(places[i % places.size()] + name, "'" + name + "': " + reason);
  }
  for (const auto& name : {"nowhere.png"s, "."s, "/dev/zero"s, std::string(5000, 'x')}) {
    expect_usage_error("--image-a a.pgm --image-b " + name, "'" + name + "' is no file");
  }
  expect_usage_error("--image-b b.pgm", "--image-a");
  expect_usage_error("--image-a a.pgm --image-b four.npy", "'four.npy': it has 5x7 pixels, not the 3x4 of 'a.pgm'");
  expect_usage_error("--image-a a.pgm", "--image-b");
  expect_usage_error("--scene files", "--image-a");
  expect_usage_error("--image-a a.pgm --image-b b.pgm --test-a a.pgm", "--test-b");
  expect_usage_error("--image-a a.pgm --image-b b.pgm --target b.pgm --test-a a.pgm --test-b a.pgm", "--target");
  expect_usage_error("--image-a a.pgm --image-b b.pgm --crop 1,1,3,3", "--crop");
  expect_usage_error("--image-a a.pgm --image-b b.pgm --shrink 4", "--shrink");
  expect_usage_error("--image-a a.pgm --image-b b.pgm --resample", "--resample");
}

// Nothing but a reason or an image comes of them; the sanitizers see the rest.
TEST_F(Files, AThousandDamagedOnes) {
  run_python(folder_, "save_images.py");
  const std::vector<std::string> names{"2-8.png",     "0-16.png",     "palette.png",     "5-255.pnm",  "3-100.pnm",
                                       "colours.bmp", "f8-big-F.npy", "i2-little-C.npy", "float32.pt", "int64.pt"};
  std::mt19937 random(3);
  const auto below = [&](std::size_t end) { return random() % end; };
  int read_anyway = 0;
  for (int i = 0; i < 3000; ++i) {
    auto content = read(folder_ / names[below(names.size())]);
    for (auto changes = 1 + below(4); changes > 0 && !content.empty(); --changes) {
      const auto at = below(content.size());
      switch (below(4)) {
        case 0: content[at] = static_cast<char>(below(256)); break;
        case 1: content.erase(at, below(9)); break;
        case 2: content.insert(at, content.substr(below(content.size()), below(20))); break;
        default: content.resize(std::max<std::size_t>(1, at));
      }
    }
    try {
      const auto image = read_image(content, unit);
      EXPECT_TRUE(at::isfinite(image).all().item<bool>());
      ++read_anyway;
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      EXPECT_GT(std::string(error.what()).size(), 5U);
    }
  }
  EXPECT_GT(read_anyway, 50);
}
}  // namespace
}  // namespace conv_mult
