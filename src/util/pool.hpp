#pragma once

#include "util/standard.hpp"

namespace conv_mult {
/// The signal that asks the program to end in good order; 0 while there is none. Training and drawing look at it.
inline std::atomic<int> stop_signal{0};

/// How many threads parallel_for uses, that of its caller among them: 1 until it is set.
void set_thread_count(std::int64_t count);
std::int64_t thread_count();

/// Calls body(0), ..., body(count - 1), begun in this order, on threads that it starts, as many as it gets, and returns
/// when all have ended; within a body on its own thread. Throws what a body throws, after which no other is begun.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body);
}  // namespace conv_mult
