// The user's own two images or arrays: a photograph and a mask, a field and its gain. Splits: `train`; `given`, the
// pairs of --test-a and --test-b, which decide on success where there are any; and, where a b is the target, `moved`: b
// shifted against a, circularly, by drawn offsets; `values`: both scaled by factors from --heldout-values; `both`.

#include "util/files.hpp"
#include <ATen/Functions.h>
#include <stb/stb_image.h>
#include <iterator>
#include <regex>
#include "options/text.hpp"
#include "scenes/scene.hpp"
#include "util/pickle.hpp"

namespace conv_mult {
namespace {
/// Float64, flat, of numbers of a type as numpy names it, big-endian where they are `reversed`.
at::Tensor numbers_in(std::string_view bytes, const std::string& type, bool reversed) {
  static const std::map<std::string, at::ScalarType> types{{"b1", at::kByte},  {"u1", at::kByte},  {"u2", at::kShort},
                                                           {"u4", at::kInt},   {"u8", at::kLong},  {"i1", at::kChar},
                                                           {"i2", at::kShort}, {"i4", at::kInt},   {"i8", at::kLong},
                                                           {"f2", at::kHalf},  {"f4", at::kFloat}, {"f8", at::kDouble}};
  check(types.count(type) > 0, fmt::format("it holds {}, not real numbers", type));
  const auto size = static_cast<std::int64_t>(type[1] - '0');
  const auto count = static_cast<std::int64_t>(bytes.size()) / size;
  const auto rows = at::from_blob(const_cast<char*>(bytes.data()), {count, size}, at::kByte);
  const auto numbers = (reversed ? rows.flip(1) : rows.clone()).view(types.at(type)).flatten().to(at::kDouble);
  const bool wraps = type[0] == 'u' && size > 1;  // read as signed
  return wraps ? numbers.where(numbers.ge(0), numbers + std::exp2(8 * size)) : numbers;
}

void check_sizes(at::IntArrayRef sizes) {
  constexpr std::int64_t most_pixels = 100'000'000;
  const bool flat = sizes.size() >= 2 && std::all_of(sizes.begin(), sizes.end() - 2, [](auto n) { return n == 1; });
  check(flat, fmt::format("its shape is {}; allowed: H, W or 1, 1, H, W", fmt::join(sizes, ", ")));
  const auto [height, width] = std::pair(sizes[sizes.size() - 2], sizes.back());
  check(std::min(height, width) >= 1 && height <= most_pixels / width,
        fmt::format("it has {}x{} pixels; allowed: 1 to {} in all", height, width, most_pixels));
}

/// Grey, or the luma of ITU-R BT.601; transparency, the last of 2 or 4 numbers of a pixel, is left out.
at::Tensor image_of(const at::Tensor& numbers, std::int64_t height, std::int64_t width, std::int64_t channels,
                    int white, const Interval& scale) {
  check_sizes({height, width});
  check(numbers.numel() == height * width * channels, "it does not hold as many numbers as its size says");
  const auto pixels = numbers.view({height, width, channels}).unbind(2);
  const auto light = channels < 3 ? pixels[0] : (299 * pixels[0] + 587 * pixels[1] + 114 * pixels[2]) / 1000;
  return scale.low + light * (scale.high - scale.low) / white;
}

/// PNG, JPEG or BMP.
at::Tensor picture(const std::string& content, const Interval& scale) {
  const auto* data = reinterpret_cast<const stbi_uc*>(content.data());
  const auto size = static_cast<int>(std::min<std::size_t>(content.size(), std::numeric_limits<int>::max()));
  std::array<int, 3> sizes{};
  auto& [width, height, channels] = sizes;
  check(stbi_info_from_memory(data, size, &width, &height, &channels) != 0,
        "it is no picture (PNG, JPEG, BMP, PGM), numpy array or PyTorch tensor, or too large");
  const std::int64_t rows = std::abs(std::int64_t{height});  // from above, where the height is negative
  check_sizes({rows, width});
  if (content.rfind("BM", 0) == 0) {  // of which stb takes for 0 what is missing
    const auto row_bits = width * std::int64_t{data[data[14] == 12 ? 24 : 28]};
    const auto whole = data[10] + 256 * data[11] + (row_bits + 31) / 32 * 4 * rows;
    check(static_cast<std::int64_t>(content.size()) >= whole, "it is damaged");
  }
  const bool deep = stbi_is_16_bit_from_memory(data, size) != 0;
  void* loaded = deep ? static_cast<void*>(stbi_load_16_from_memory(data, size, &width, &height, &channels, 0))
                      : stbi_load_from_memory(data, size, &width, &height, &channels, 0);
  const std::shared_ptr<void> pixels(loaded, stbi_image_free);
  check(pixels != nullptr, "it is damaged");
  const auto bytes = static_cast<std::size_t>(channels * width * height) * (deep ? 2 : 1);
  const auto numbers = numbers_in({static_cast<const char*>(pixels.get()), bytes}, deep ? "u2" : "u1", false);
  return image_of(numbers, height, width, channels, deep ? 65535 : 255, scale);
}

/// What a pattern finds, of the beginning alone: std::regex goes deeper with each character.
std::cmatch header_of(const std::string& content, const std::regex& pattern, const char* otherwise) {
  std::cmatch header;
  const auto size = std::min<std::size_t>(content.size(), 1000);
  check(std::regex_search(content.data(), content.data() + size, header, pattern), otherwise);
  return header;
}

/// Netpbm's grey maps and pixmaps, plain or not, which stb would not scale.
at::Tensor netpbm(const std::string& content, const Interval& scale) {
  static const std::string gap = R"(\s+(?:#[^\n]*\n\s*)*)";
  static const std::regex pattern("^P([2356])" + gap + R"((\d{1,9}))" + gap + R"((\d{1,9}))" + gap + R"((\d{1,5})\s)");
  const auto header = header_of(content, pattern, "it has no header of a PGM");
  const auto kind = *header[1].first;
  const int white = std::stoi(header[4]);
  const auto rest = content.substr(static_cast<std::size_t>(header.length()));
  std::istringstream words(kind < '4' ? rest : "");
  const std::vector<double> plain(std::istream_iterator<double>(words), {});
  const auto numbers = kind < '4' ? at::tensor(plain) : numbers_in(rest, white > 255 ? "u2" : "u1", true);
  check(numbers.clamp(0, white).equal(numbers), fmt::format("a number is beyond its white, {}", white));
  return image_of(numbers, std::stoll(header[3]), std::stoll(header[2]), kind % 3 == 0 ? 3 : 1, white, scale);
}

/// See numpy.lib.format.
at::Tensor numpy_array(const std::string& content) {
  static const std::regex layout(R"('descr': *'(.)(\w+)', *'fortran_order': *(\w+), *'shape': *\(([\d, ]*)\)[^\n]*\n)");
  const auto header = header_of(content, layout, "it holds no plain array");
  std::vector<std::int64_t> sizes;
  for (const auto& text : split(header[4])) {
    if (std::int64_t size = 0; parse(text, size)) { sizes.push_back(size); }
  }
  check_sizes(sizes);
  const auto begin = static_cast<std::size_t>(header.position() + header.length());
  const auto numbers = numbers_in(std::string_view(content).substr(begin), header[2], header[1] == ">");
  const auto height = sizes[sizes.size() - 2];
  return header[3] == "True" ? image_of(numbers, sizes.back(), height, 1, 1, {}).t()
                             : image_of(numbers, height, sizes.back(), 1, 1, {});
}

at::Tensor tensor(const std::string& content) {
  try {
    const auto tensor = unpickled(content).toTensor();
    check_sizes(tensor.sizes());
    return tensor.to(at::kDouble);
  } catch (const c10::Error&) {
    throw std::runtime_error("it holds something else than a tensor");
  } catch (const std::out_of_range&) { throw std::runtime_error("a part of it is missing"); }
}
}  // namespace

at::Tensor read_image(const std::string& content, const Interval& scale) {
  const auto magic = content.substr(0, 2);
  const auto image = content.rfind("\x93NUMPY", 0) == 0          ? numpy_array(content)
                     : magic == "PK"                             ? tensor(content)
                     : contains({"P2", "P3", "P5", "P6"}, magic) ? netpbm(content, scale)
                                                                 : picture(content, scale);
  check(image.abs().le(1e38).all().item<bool>(), "it holds NaN, infinity or numbers beyond 1e38");
  return image.reshape({1, 1, image.size(-2), image.size(-1)});
}

std::vector<SceneSource> files(const Config& config) {
  refuse_if(config.image_a.empty() || config.image_b.empty(), "--scene files needs --image-a FILE and --image-b FILE");
  const bool own_target = !config.target.empty();
  const auto pairs = config.test_a.size();
  refuse_if(config.test_b.size() != pairs || (own_target && pairs > 0),
            "--test-a, --test-b: {} and {} files; allowed: as many of each, none with --target", pairs,
            config.test_b.size());
  at::Tensor first;  // of all images
  const auto load = [&](const std::string& path) {
    try {
      const auto image = read_image(read_file(path), config.scale);
      const auto [top, left, height, width] = config.crop;
      const auto rows = height > 0 ? height : image.size(2) - top;
      const auto columns = width > 0 ? width : image.size(3) - left;
      check(std::min(rows, columns) >= config.shrink && rows <= image.size(2) - top && columns <= image.size(3) - left,
            fmt::format("of {}x{} pixels --crop and --shrink leave nothing", image.size(2), image.size(3)));
      auto shrunk = at::avg_pool2d(image.narrow(2, top, rows).narrow(3, left, columns), {config.shrink, config.shrink});
      first = first.defined() ? first : shrunk;
      check(shrunk.sizes() == first.sizes(), fmt::format("it has {}x{} pixels, not the {}x{} of '{}'", shrunk.size(2),
                                                         shrunk.size(3), first.size(2), first.size(3), config.image_a));
      return shrunk;
    } catch (const std::runtime_error& error) {
      throw UsageError(fmt::format("--scene files: '{}': {}", path, error.what()));
    }
  };
  const auto image_a = load(config.image_a);
  auto scene = make_scene(image_a, load(config.image_b));
  scene.own_target = own_target;
  if (own_target) { scene.target = load(config.target); }

  SceneSource source{"files", "", scene.height(), scene.width(), [=] { return scene; }};
  source.own_images = true;
  source.splits.push_back({"train", "", 1, [=](std::int64_t /*first*/, std::int64_t /*count*/) { return scene; }});
  if (pairs > 0) {
    std::vector<Scene> given(pairs);
    std::transform(config.test_a.begin(), config.test_a.end(), config.test_b.begin(), given.begin(),
                   [&](const auto& a, const auto& b) { return make_scene(load(a), load(b)); });
    source.judged = 1;
    const auto draw = [=](std::int64_t i, std::int64_t) { return given[static_cast<std::size_t>(i)]; };
    source.splits.push_back({"given", "the test pairs", static_cast<std::int64_t>(pairs), draw});
  }
  const auto add = [&](const char* name, const char* text, std::int64_t stream, bool moved, bool values) {
    const auto draw = [=, seed = config.heldout_seed, range = config.heldout_values](std::int64_t i, std::int64_t) {
      Random random(seed, static_cast<std::uint32_t>(1000 * stream + i));
      const auto down = moved ? random.whole(0, scene.height() - 1) : 0;
      const auto right = moved ? random.whole(0, scene.width() - 1) : 0;
      const double of_a = values ? random.between(range.low, range.high) : 1;
      const double of_b = values ? random.between(range.low, range.high) : 1;
      return make_scene(scene.a * of_a, at::roll(scene.b, {down, right}, {2, 3}) * of_b);
    };
    source.splits.push_back({name, text, config.heldout_scenes, draw});
  };
  if (!own_target && config.heldout_scenes > 0) {
    add("moved", "other places", 1, true, false);
    add("values", "other values", 2, false, true);
    add("both", "other places and values", 3, true, true);
  }
  return {source};
}
}  // namespace conv_mult
