#include "conv_mult/run/step_graph.hpp"

#ifdef CONV_MULT_CUDA_GRAPH
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace conv_mult {

class StepGraph::Recorder {
 public:
  Recorder(c10::Device device, Launch launch)
      : launch_(launch), stream_(stream_of(device)), guard_(stream_) {}
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder() { stream_.synchronize(); }

  void run(const std::function<void()>& step) {
    constexpr int warm_up = 3;
    constexpr int recording = warm_up + 20;
    constexpr int last_timed = recording + 20;
    if (calls_ > last_timed) {
      launch(step);
      return;
    }
    if (calls_ == recording) {
      record(step);
    }
    stream_.synchronize();
    const auto start = Clock::now();
    launch(step);
    stream_.synchronize();
    if (calls_ >= warm_up) {
      auto& shortest = graph_ ? shortest_recorded_ : shortest_eager_;
      shortest = std::min(shortest, Clock::now() - start);
    }
    if (calls_ == last_timed && launch_ == Launch::fastest && 1.5 * shortest_recorded_ > shortest_eager_) {
      graph_.reset();
    }
    ++calls_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// One that begins when all that is on the current one is done.
  static c10::Stream stream_of(c10::Device device) {
    const c10::impl::VirtualGuardImpl gpu(device.type());
    gpu.getStream(device).synchronize();
    return gpu.getStreamFromGlobalPool(device);
  }

  void launch(const std::function<void()>& step) {
    if (graph_) {
      graph_->replay();
    } else {
      step();
    }
  }

  void record(const std::function<void()>& step) {
    graph_.emplace();
    try {
      graph_->capture_begin();
      step();
      graph_->capture_end();
    } catch (const c10::Error&) {
      if (launch_ == Launch::recorded) {
        throw;
      }
      try {
        graph_->capture_end();  // or the stream would go on recording
      } catch (const c10::Error&) {
        // says once more that it cannot be recorded
      }
      graph_.reset();
    }
  }

  Launch launch_;
  c10::Stream stream_;
  c10::StreamGuard guard_;
  std::optional<at::cuda::CUDAGraph> graph_;
  int calls_ = 0;
  Clock::duration shortest_eager_ = Clock::duration::max(), shortest_recorded_ = Clock::duration::max();
};

bool StepGraph::available() { return true; }

}  // namespace conv_mult
#else
namespace conv_mult {

class StepGraph::Recorder {
 public:
  Recorder(c10::Device /*device*/, Launch /*launch*/) {}
  void run(const std::function<void()>& step) { step(); }  // NOLINT(*-convert-member-functions-to-static)
};

bool StepGraph::available() { return false; }

}  // namespace conv_mult
#endif

namespace conv_mult {

StepGraph::StepGraph(c10::Device device, Launch launch)
    : recorder_(device.is_cuda() && launch != Launch::eager ? std::make_unique<Recorder>(device, launch)
                                                            : nullptr) {}

StepGraph::~StepGraph() = default;

void StepGraph::run(const std::function<void()>& step) {
  if (recorder_) {
    recorder_->run(step);
  } else {
    step();
  }
}

}  // namespace conv_mult
