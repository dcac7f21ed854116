#pragma once

#include <atomic>

namespace conv_mult {
/// The signal that asks the program to end in good order; 0 while there is none. Training and drawing look at it
/// several times a second.
inline std::atomic<int> stop_signal{0};
}  // namespace conv_mult
