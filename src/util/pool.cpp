#include "util/pool.hpp"
#include <ATen/Parallel.h>
#include <c10/util/ScopeExit.h>
#include <omp.h>

namespace conv_mult {
namespace {
std::int64_t threads = 1;
thread_local bool in_body = false;

/// Not by at::set_num_threads, which starts a second pool of threads and waits for ever where it may not.
void keep_libtorch_on_this_thread() {
  at::get_num_threads();  // sets its own number, once a thread
  omp_set_num_threads(1);
}
}  // namespace

// LibTorch's own threads spin while they wait: on busy or rationed cores two are up to 90 times slower than one.
void set_thread_count(std::int64_t count) {
  std::promise<void> counted;
  const auto wait = [end = counted.get_future().share()] { end.wait(); };
  std::vector<std::future<void>> others;  // as many as a limit of processes lets there be at once
  try {
    for (threads = 1; threads < count; ++threads) { others.push_back(std::async(std::launch::async, wait)); }
  } catch (const std::system_error&) {}
  counted.set_value();
  keep_libtorch_on_this_thread();
}

std::int64_t thread_count() { return threads; }

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  std::atomic<std::int64_t> next{0};
  const auto take_bodies = [&](bool beside_others) {
    const bool before = std::exchange(in_body, in_body || beside_others);
    const auto at_end = c10::make_scope_exit([&] { next = count, in_body = before; });  // also where a body throws
    for (std::int64_t i = next++; i < count; i = next++) { body(i); }
  };
  std::vector<std::future<void>> helpers;
  try {
    for (std::int64_t i = 1; i < std::min(threads, count) && !in_body; ++i) {
      helpers.push_back(std::async(std::launch::async, [&] { keep_libtorch_on_this_thread(), take_bodies(true); }));
    }
  } catch (const std::system_error&) {}  // as many as the machine gives
  take_bodies(!helpers.empty());
  for (auto& helper : helpers) { helper.get(); }  // where one throws, what is left of them is waited for
}
}  // namespace conv_mult
