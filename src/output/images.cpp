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
constexpr std::int64_t kSidePixels = 400;   // longer side of a heat map, about
constexpr std::int64_t kMostPixels = 1024;  // of larger images, blocks of pixels are averaged
constexpr Rgb kNotANumber{128, 128, 128};

/// Each pixel becomes a square.
void write_png(const std::filesystem::path& path, const Image& original, const ColourScale& scale,
               const std::vector<Rgb>& colours) {
  const Image image = averaged(original, kMostPixels);
  const std::int64_t factor = std::max<std::int64_t>(1, kSidePixels / std::max(image.height, image.width));
  std::vector<Rgb> pixels;
  for (std::int64_t row = 0; row < image.height; ++row) {
    std::vector<Rgb> line;
    for (std::int64_t column = 0; column < image.width; ++column) {
      const float value = image.pixels[static_cast<std::size_t>(row * image.width + column)];
      line.insert(line.end(), static_cast<std::size_t>(factor), colour_of(value, scale, colours));
    }
    for (std::int64_t i = 0; i < factor; ++i) { pixels.insert(pixels.end(), line.begin(), line.end()); }
  }
  // Of blocks of equal pixels: so the files are a tenth larger, in little more than half the time.
  stbi_write_force_png_filter = 0;
  stbi_write_png_compression_level = 5;
  std::string png;
  const auto append = [](void* context, void* data, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  if (stbi_write_png_to_func(append, &png, static_cast<int>(image.width * factor),
                             static_cast<int>(image.height * factor), 3, pixels.data(), 0) == 0) {
    throw std::runtime_error(path.string() + ": could not encode the PNG");
  }
  write_file(path, png);
}
}  // namespace

ColourScale shared_scale(const SceneResult& scene) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Image* image : {&scene.a, &scene.b, &scene.target}) {
    for (const double value : image->pixels) {
      if (!std::isfinite(value)) { continue; }
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (low > high) { return {0, 1}; }           // no finite pixel at all
  return {low, low == high ? low + 1 : high};  // of one flat value any width will do
}

Image averaged(const Image& image, std::int64_t most) {
  const std::int64_t tall = (image.height + most - 1) / most;
  const std::int64_t wide = (image.width + most - 1) / most;
  Image small{(image.height + tall - 1) / tall, (image.width + wide - 1) / wide, {}};
  for (std::int64_t top = 0; top < image.height; top += tall) {
    for (std::int64_t left = 0; left < image.width; left += wide) {
      const std::int64_t bottom = std::min(top + tall, image.height);
      const std::int64_t right = std::min(left + wide, image.width);
      double sum = 0;
      for (std::int64_t y = top; y < bottom; ++y) {
        const auto* row = image.pixels.data() + y * image.width;
        sum = std::accumulate(row + left, row + right, sum);
      }
      small.pixels.push_back(static_cast<float>(sum / static_cast<double>((bottom - top) * (right - left))));
    }
  }
  return small;
}

Image error_map(const Image& output, const Image& target) {
  Image error = output;
  std::transform(output.pixels.begin(), output.pixels.end(), target.pixels.begin(), error.pixels.begin(),
                 [](float got, float wanted) { return got - wanted; });
  return error;
}

ColourScale error_scale(const ExperimentResult& result) {
  double largest = 0;
  for (const VariantResult& variant : result.variants) {
    if (variant.output.pixels.empty()) { continue; }
    for (const double error : error_map(variant.output, result.header.scenes.front().target).pixels) {
      if (std::isfinite(error)) { largest = std::max(largest, std::abs(error)); }
    }
  }
  return largest == 0 ? ColourScale{-1, 1} : ColourScale{-largest, largest};
}

Rgb colour_of(double value, const ColourScale& scale, const std::vector<Rgb>& colours) {
  if (std::isnan(value)) { return kNotANumber; }
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
  const SceneResult& scene = result.header.scenes.front();
  const ColourScale shared = shared_scale(scene);
  const ColourScale errors = error_scale(result);
  const auto write = [&](const std::string& name, const Image& image) {
    write_png(directory / (name + ".png"), image, shared, sequential_colours);
  };
  write("a", scene.a);
  write("b", scene.b);
  write("target", scene.target);
  for (const VariantResult& row : result.variants) {
    if (row.output.pixels.empty()) { continue; }
    write("output-" + row.variant, row.output);
    write_png(directory / ("error-" + row.variant + ".png"), error_map(row.output, scene.target), errors,
              diverging_colours);
  }
}
}  // namespace conv_mult
