#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace conv_mult {

/// How a GPU gets the steps of a training.
enum class Launch {
  fastest,  ///< recorded where that makes a step 1.5 times as fast, else eagerly
  eager,    ///< operator by operator
  recorded  ///< as one CUDA graph; on the CPU eagerly, but just what would be recorded
};

/// A step for a GPU, the same again and again: launched as a whole, it spares the host some hundred launches
/// of operators ("CUDA Graphs" in NVIDIA's CUDA programming guide). What is recorded are launches and their
/// arguments, so a step reads and writes tensors at fixed addresses, keeps its counters in them, and never
/// waits for the device.
class StepGraph {
 public:
  /// Whether this build has CUDA graphs: with a LibTorch for CUDA, beside CUDA's headers.
  static bool available();

  /// On a GPU, unless eager, a stream of its own becomes the current one until destruction: the default
  /// stream cannot be recorded.
  StepGraph(c10::Device device, Launch launch);
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;
  ~StepGraph();

  /// Does a step. `fastest` takes the time of some of the first, eager and recorded, waiting for each; where
  /// a step cannot be recorded it stays with eager ones.
  void run(const std::function<void()>& step);

 private:
  class Recorder;
  std::unique_ptr<Recorder> recorder_;  ///< none: eager
};

}  // namespace conv_mult
