#include "tests/fault/odd_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <utility>

namespace swallowtail::fault {

namespace {

class OddAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (trap) std::exchange(trap, nullptr)();
    return real->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return real->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { real->copy_data(to, from, bytes); }

  c10::Allocator* real = nullptr;
  std::function<void()> trap;  // set and sprung on the main thread: nothing else of a training allocates tensors
};

}  // namespace

void trap_next_allocation(std::function<void()> trap) {
  static OddAllocator allocator;
  if (!allocator.real) {
    allocator.real = c10::GetCPUAllocator();
    c10::SetCPUAllocator(&allocator, /*priority=*/100);
  }
  allocator.trap = std::move(trap);
}

}  // namespace swallowtail::fault
