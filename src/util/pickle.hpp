#pragma once

#include <ATen/core/ivalue.h>
#include "util/standard.hpp"

namespace conv_mult {
/// The value in what Python's torch.save wrote, since 1.6, or LibTorch: dictionaries, lists and tuples of numbers,
/// texts and tensors; of parameters their tensors. Nothing in it is executed, no class but these is known, and each
/// part is as its checksum says. Throws std::runtime_error that says what is wrong, std::out_of_range where a part is
/// missing, c10::Error where a value has another type than its place asks for.
c10::IValue unpickled(const std::string& archive);
}  // namespace conv_mult
