// A function with a stack of its own that can stop in the middle and go on later, all on one thread.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace swallowtail {

class Fiber {
 public:
  /// `body` runs on a stack of stack_bytes (rounded up to pages; a page below it is not accessible), lets no exception
  /// out, and calls suspend() only from itself.
  Fiber(std::size_t stack_bytes, std::function<void()> body);
  /// A fiber that has not ended leaves the objects on its stack undestroyed.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs the fiber until it calls suspend() or ends. Called by whoever drives it, not by a fiber.
  void resume();
  /// Back to resume().
  void suspend();
  bool has_ended() const noexcept { return has_ended_; }

 private:
  static void start(unsigned high, unsigned low);
  void run();

  std::function<void()> body_;
  std::size_t mapped_bytes_;
  std::byte* mapped_;
  ucontext_t own_{}, driver_{};
  bool has_ended_ = false;
  // Sanitizers must be told of the change of stacks.
  [[maybe_unused]] void *own_shadow_ = nullptr, *driver_shadow_ = nullptr;
  [[maybe_unused]] const void* driver_stack_ = nullptr;
  [[maybe_unused]] std::size_t driver_stack_bytes_ = 0;
};

}  // namespace swallowtail
