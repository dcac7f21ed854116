// The readers of users' images under libFuzzer; scripts/fuzz runs it. A file is an image of finite numbers, or refused
// in a line.

#include <ATen/Functions.h>
#include "scenes/scene.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto image = conv_mult::read_image({reinterpret_cast<const char*>(data), size}, {0, 1});
    if (image.dim() != 4 || !at::isfinite(image).all().item<bool>()) { std::abort(); }
  } catch (const std::runtime_error& error) {
    if (std::string(error.what()).empty()) { std::abort(); }
  }
  return 0;
}
