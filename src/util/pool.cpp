#include "util/pool.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace conv_mult {
namespace {

std::int64_t threads = 1;
thread_local bool in_body = false;

}  // namespace

void set_thread_count(std::int64_t count) { threads = count; }

std::int64_t thread_count() { return threads; }

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  if (threads == 1 || count == 1 || in_body) {
    for (std::int64_t i = 0; i < count; ++i) { body(i); }
    return;
  }
  std::atomic<std::int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto take_bodies = [&] {
    in_body = true;
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        error = error ? error : std::current_exception();
        next = count;
      }
    }
    in_body = false;
  };
  std::vector<std::thread> helpers;
  try {
    for (std::int64_t i = 1; i < std::min(threads, count); ++i) { helpers.emplace_back(take_bodies); }
  } catch (const std::system_error&) {}  // as many as the machine gives
  take_bodies();
  for (auto& helper : helpers) { helper.join(); }
  if (error) { std::rethrow_exception(error); }
}

}  // namespace conv_mult
