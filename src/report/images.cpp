#include "conv_mult/report/images.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "conv_mult/files.hpp"

// stb keeps its implementation in the header; this file alone compiles it.
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

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

std::uint8_t mix(std::uint8_t from, std::uint8_t to, double share) {
  return static_cast<std::uint8_t>(std::lround(from + share * (to - from)));
}

void append_bytes(void* context, void* data, int size) {
  static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

/// Row-major RGB bytes of the image, each pixel drawn as a square of `factor` pixels a side.
std::vector<std::uint8_t> paint(const Image& image, std::int64_t factor, const ColourScale& scale,
                                const std::vector<Rgb>& colours) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(static_cast<std::size_t>(3 * image.height * image.width * factor * factor));
  std::vector<std::uint8_t> line;
  for (std::int64_t row = 0; row < image.height; ++row) {
    line.clear();
    for (std::int64_t column = 0; column < image.width; ++column) {
      const float value = image.pixels[static_cast<std::size_t>(row * image.width + column)];
      const Rgb colour = colour_of(value, scale, colours);
      for (std::int64_t i = 0; i < factor; ++i) {
        line.insert(line.end(), colour.begin(), colour.end());
      }
    }
    for (std::int64_t i = 0; i < factor; ++i) {
      bytes.insert(bytes.end(), line.begin(), line.end());
    }
  }
  return bytes;
}

void write_png(const std::filesystem::path& path, const Image& original, const ColourScale& scale,
               const std::vector<Rgb>& colours) {
  const Image image = averaged(original, kMostPixels);
  const std::int64_t factor = std::max<std::int64_t>(1, kSidePixels / std::max(image.height, image.width));
  const std::int64_t width = image.width * factor;
  const std::int64_t height = image.height * factor;
  const auto bytes = paint(image, factor, scale, colours);
  // Heat maps are blocks of equal pixels: without row filters and at a middle level the files are a tenth
  // larger and take little more than half the time.
  stbi_write_force_png_filter = 0;
  stbi_write_png_compression_level = 5;
  std::string png;
  if (stbi_write_png_to_func(append_bytes, &png, static_cast<int>(width), static_cast<int>(height), 3,
                             bytes.data(), static_cast<int>(3 * width)) == 0) {
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
      if (!std::isfinite(value)) {
        continue;
      }
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (low > high) {
    return {0, 1};  // no finite pixel at all
  }
  if (low == high) {
    return {low, low + 1};  // one flat value: any width will do
  }
  return {low, high};
}

Image averaged(const Image& image, std::int64_t most) {
  const std::int64_t tall = (image.height + most - 1) / most;
  const std::int64_t wide = (image.width + most - 1) / most;
  if (tall == 1 && wide == 1) {
    return image;
  }
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
    if (variant.output.pixels.empty()) {
      continue;
    }
    for (const double error : error_map(variant.output, result.header.scenes.front().target).pixels) {
      if (std::isfinite(error)) {
        largest = std::max(largest, std::abs(error));
      }
    }
  }
  if (largest == 0) {
    largest = 1;
  }
  return {-largest, largest};
}

Rgb colour_of(double value, const ColourScale& scale, const std::vector<Rgb>& colours) {
  if (std::isnan(value)) {
    return kNotANumber;
  }
  const double share = std::clamp((value - scale.low) / (scale.high - scale.low), 0.0, 1.0);
  const double place = share * static_cast<double>(colours.size() - 1);
  const auto stop = std::min(static_cast<std::size_t>(place), colours.size() - 2);
  const double beyond = place - static_cast<double>(stop);
  const Rgb& from = colours[stop];
  const Rgb& to = colours[stop + 1];
  return {mix(from[0], to[0], beyond), mix(from[1], to[1], beyond), mix(from[2], to[2], beyond)};
}

void write_heat_maps(const ExperimentResult& result, const std::filesystem::path& directory) {
  const SceneResult& scene = result.header.scenes.front();
  const ColourScale shared = shared_scale(scene);
  const ColourScale errors = error_scale(result);
  write_png(directory / "a.png", scene.a, shared, sequential_colours);
  write_png(directory / "b.png", scene.b, shared, sequential_colours);
  write_png(directory / "target.png", scene.target, shared, sequential_colours);
  for (const VariantResult& variant : result.variants) {
    if (variant.output.pixels.empty()) {
      continue;
    }
    write_png(directory / ("output-" + variant.variant + ".png"), variant.output, shared, sequential_colours);
    write_png(directory / ("error-" + variant.variant + ".png"), error_map(variant.output, scene.target),
              errors, diverging_colours);
  }
}

}  // namespace conv_mult
