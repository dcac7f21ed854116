#include "util/pool.hpp"
#include <gtest/gtest.h>
#include <mutex>

namespace conv_mult {
namespace {
class Pool : public testing::Test {
 protected:
  void SetUp() override { set_thread_count(3); }
  void TearDown() override { set_thread_count(1); }
};

TEST_F(Pool, EveryBodyRunsOnceAlsoInABody) {
  EXPECT_EQ(thread_count(), 3);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::atomic<int>> calls(100);
    parallel_for(10, [&](std::int64_t i) {
      const auto caller = std::this_thread::get_id();
      parallel_for(10, [&](std::int64_t j) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        ++calls[static_cast<std::size_t>(10 * i + j)];
      });
    });
    for (const auto& count : calls) { EXPECT_EQ(count, 1); }
  }
  parallel_for(0, [](std::int64_t /*i*/) { ADD_FAILURE(); });
}

TEST_F(Pool, AllThreadsTakePart) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  parallel_for(3, [&](std::int64_t /*i*/) {
    for (std::size_t seen = 0; seen < 3; std::this_thread::yield()) {  // no body ends before each has a thread
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      seen = threads.size();
    }
  });
  EXPECT_EQ(threads.size(), 3U);
}

TEST_F(Pool, AnExceptionEndsItAndTheNextOneWorks) {
  std::atomic<int> begun = 0;
  const auto fail_at_five = [&](std::int64_t i) {
    ++begun;
    if (i == 5) { throw std::runtime_error("five"); }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // all of them: minutes, whatever thread has to wait
  };
  EXPECT_THROW(parallel_for(1'000'000, fail_at_five), std::runtime_error);
  EXPECT_LT(begun, 1'000'000);
  std::atomic<int> sum = 0;
  parallel_for(100, [&](std::int64_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 4950);
}
}  // namespace
}  // namespace conv_mult
