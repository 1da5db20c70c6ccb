// Runs device bodies on the host: blocks one after another, the threads of a block as fibers that switch at barriers
// and warp operations. Memory is checked as memory.h says. Besides, a launch ends in a Fault when
//   - a thread leaves, or waits elsewhere, while others wait at __syncthreads (divergent barrier);
//   - a warp operation names lanes that do not exist, have left or never come, leaves out its own lane, or reads a
//     lane that the mask leaves out;
//   - the block or grid is larger than a device allows, or shared memory is taken that the launch did not ask for.
// Not modelled: time, the memory's weak order between barriers (a missing barrier is a race here), thread blocks that
// wait for each other (blocks run one after another, so a conflict between blocks is always a race).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/emulator/memory.h"

namespace swallowtail::emulator {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

/// In which order blocks run, and the threads of a block between barriers. A body whose result depends on it is not
/// deterministic.
struct Schedule {
  enum class Order : std::uint8_t { forward, backward, shuffled } order = Order::forward;
  std::uint64_t seed = 0;
};
void use_schedule(const Schedule& schedule);

struct Launch {
  std::string kernel;  // for messages
  Dim3 grid, block;
  std::size_t shared_bytes = 0;
  const void* arguments = nullptr;  // readable by the threads
  std::size_t argument_bytes = 0;
  void (*thread)(const void* arguments) = nullptr;
};
/// Faults as above; then the device memory holds what the kernel had written so far.
void run(const Launch& launch);

/// Kernels that were run since the program began, for tests that must see that one ran.
std::uint64_t launches() noexcept;

// What emulated_cuda.h makes the device's words of. All are called by threads only.
Dim3 thread_index();
Dim3 block_index();
Dim3 block_dim();
Dim3 grid_dim();
std::size_t launched_shared_bytes();
/// A place in the source, for barriers: two threads that wait at different ones have diverged.
struct Site {
  const char* file;
  int line;
};
void sync_block(Site site);

/// Waits for all lanes of `mask` to bring `mine`; the last one runs `complete` on everyone's. `orders`: the operation is
/// a memory barrier among the lanes too (__syncwarp is, shuffles and votes are not).
struct Lanes {
  void* of[32];  // null outside the mask
  std::uint32_t mask;
};
void warp_operation(Site site, const char* name, std::uint32_t mask, void* mine, bool orders,
                    const std::function<void(const Lanes&)>& complete);
unsigned lane_index();

}  // namespace swallowtail::emulator
