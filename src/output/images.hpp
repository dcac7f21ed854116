#pragma once

#include <array>
#include <filesystem>
#include "run/results.hpp"

namespace conv_mult {
using Rgb = std::array<std::uint8_t, 3>;

/// Colour maps as evenly spaced stops, interpolated linearly in sRGB; the heat maps and gnuplot share them.
/// `sequential` is viridis (van der Walt & Smith 2015): its luminance rises steadily, so it survives grey print.
/// `diverging` runs blue - white - red: zero is white.
extern const std::vector<Rgb> sequential_colours;
extern const std::vector<Rgb> diverging_colours;

/// A closed range of values that is spread over a colour map.
struct ColourScale {
  double low = 0, high = 1;
};

/// The scale that `a`, `b`, `target` and every output share. It spans a, b and target (what the model should produce),
/// so one wild output cannot wash the others out; values beyond it are clamped to the end colours.
ColourScale shared_scale(const SceneResult& scene);

/// The image with at most `most` pixels a side: beyond that, the means of blocks of pixels.
Image averaged(const Image& image, std::int64_t most);

/// output - target, pixel by pixel. Both images have the same size.
Image error_map(const Image& output, const Image& target);

/// Symmetric about 0 over all finite errors of all variants; [-1, 1] where every error is 0.
ColourScale error_scale(const ExperimentResult& result);

/// The colour of `value`, clamped to the scale; NaN is mid-grey.
Rgb colour_of(double value, const ColourScale& scale, const std::vector<Rgb>& colours);

/// Of the first scene: writes a.png, b.png, target.png and output-V.png, error-V.png per variant (its best row) into
/// `directory`, each pixel enlarged by a whole factor to about 400 px; images of more than 1024 px a side are averaged
/// down. Throws std::runtime_error on I/O errors.
void write_heat_maps(const ExperimentResult& result, const std::filesystem::path& directory);
}  // namespace conv_mult
