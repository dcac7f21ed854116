#include <ATen/Functions.h>
#include <stb/stb_image_write.h>
#include "output/figures.hpp"
#include "util/files.hpp"

namespace conv_mult {
const std::vector<Rgb> sequential_colours{{68, 1, 84},    {72, 40, 120},  {62, 74, 137},  {49, 104, 142},
                                          {38, 130, 142}, {31, 158, 137}, {53, 183, 121}, {109, 205, 89},
                                          {180, 222, 44}, {253, 231, 37}};

// ColorBrewer's RdBu, reversed, its light grey centre made white.
const std::vector<Rgb> diverging_colours{{5, 48, 97},     {33, 102, 172},  {67, 147, 195},  {146, 197, 222},
                                         {209, 229, 240}, {255, 255, 255}, {253, 219, 199}, {244, 165, 130},
                                         {214, 96, 77},   {178, 24, 43},   {103, 0, 31}};

namespace {
/// Each pixel becomes a square.
void write_png(const std::filesystem::path& path, const at::Tensor& original, const Interval& scale,
               const std::vector<Rgb>& colours) {
  const auto image = averaged(original, 1024);  // of larger images, blocks of pixels are averaged
  auto pixels = at::empty({image.size(0), image.size(1), 3}, at::kByte);
  const auto* const values = image.data_ptr<float>();
  std::transform(values, values + image.numel(), static_cast<Rgb*>(pixels.data_ptr()),
                 [&](float value) { return colour_of(value, scale, colours); });
  const auto factor = std::max<std::int64_t>(1, 400 / std::max(image.size(0), image.size(1)));  // to 400 px, about
  pixels = pixels.repeat_interleave(factor, 0).repeat_interleave(factor, 1).contiguous();
  // Of blocks of equal pixels: so the files are a tenth larger, in little more than half the time.
  stbi_write_force_png_filter = 0;
  stbi_write_png_compression_level = 5;
  std::string png;
  const auto append = [](void* context, void* data, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  const auto encoded = stbi_write_png_to_func(append, &png, static_cast<int>(pixels.size(1)),
                                              static_cast<int>(pixels.size(0)), 3, pixels.data_ptr(), 0);
  check(encoded != 0, path.string() + ": could not encode the PNG");
  write_file(path, png);
}

/// As numpy.save has them, in float32.
std::string numpy_array(const at::Tensor& image) {
  const auto header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", image.size(0), image.size(1));
  return std::string("\x93NUMPY\1\0\x76\0", 10) + fmt::format("{:<117}\n", header) +
         std::string(static_cast<const char*>(image.data_ptr()), image.nbytes());
}
}  // namespace

Interval shared_scale(const SceneResult& scene) {
  double low = INFINITY;
  double high = -low;
  for (const auto& image : {scene.a, scene.b, scene.target}) {
    low = std::min(low, image.nan_to_num(INFINITY, INFINITY, INFINITY).min().item<double>());
    high = std::max(high, image.nan_to_num(-INFINITY, -INFINITY, -INFINITY).max().item<double>());
  }
  return low > high ? Interval() : Interval{low, low == high ? low + 1 : high};  // of one flat value any width will do
}

at::Tensor averaged(const at::Tensor& image, std::int64_t most) {
  const std::int64_t side = (std::max(image.size(0), image.size(1)) + most - 1) / most;
  const auto means = at::avg_pool2d(image.to(at::kDouble).unsqueeze(0), {side, side}, {}, 0, true, false);
  return means[0].to(at::kFloat).contiguous();
}

Interval error_scale(const ExperimentResult& result) {
  double largest = 0;
  for (const VariantResult& variant : result.variants) {
    if (!variant.output.defined()) { continue; }
    const auto finite = at::nan_to_num(variant.output - result.scenes.front().target, 0, 0, 0);
    largest = std::max(largest, finite.abs().max().item<double>());
  }
  return largest == 0 ? Interval{-1, 1} : Interval{-largest, largest};
}

Rgb colour_of(double value, const Interval& scale, const std::vector<Rgb>& colours) {
  if (std::isnan(value)) { return {128, 128, 128}; }
  const double share = std::clamp((value - scale.low) / (scale.high - scale.low), 0.0, 1.0);
  const double place = share * static_cast<double>(colours.size() - 1);
  const auto stop = std::min(static_cast<std::size_t>(place), colours.size() - 2);
  const double beyond = place - static_cast<double>(stop);
  Rgb mixed = colours[stop];
  std::transform(mixed.begin(), mixed.end(), colours[stop + 1].begin(), mixed.begin(),
                 [&](int from, int to) { return static_cast<std::uint8_t>(std::lround(from + beyond * (to - from))); });
  return mixed;
}

void write_heat_maps(const ExperimentResult& result, const std::filesystem::path& directory) {
  const SceneResult& scene = result.scenes.front();
  const Interval shared = shared_scale(scene);
  const Interval errors = error_scale(result);
  write_png(directory / "a.png", scene.a, shared, sequential_colours);
  write_png(directory / "b.png", scene.b, shared, sequential_colours);
  write_png(directory / "target.png", scene.target, shared, sequential_colours);
  for (const VariantResult& row : result.variants) {
    if (!row.output.defined()) { continue; }
    write_png(directory / ("output-" + row.variant + ".png"), row.output, shared, sequential_colours);
    if (scene.own_images) { write_file(directory / ("output-" + row.variant + ".npy"), numpy_array(row.output)); }
    write_png(directory / ("error-" + row.variant + ".png"), row.output - scene.target, errors, diverging_colours);
  }
}
}  // namespace conv_mult
