// LibTorch's memory on the CPU, with a trap: how a test gets into the middle of a forward pass, where no call of ours
// is.
#pragma once

#include <functional>

namespace swallowtail::fault {

/// `trap` runs once, on the thread that next asks LibTorch's CPU allocator for memory, before it gets any. It may
/// throw.
void trap_next_allocation(std::function<void()> trap);

}  // namespace swallowtail::fault
