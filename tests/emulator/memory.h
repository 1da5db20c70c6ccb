// The emulated device's memory and the rules of access to it. Device bodies are compiled with the compiler's thread
// instrumentation (-fsanitize=thread), which calls __tsan_read4(address) and its kin before every access to memory;
// memory.cpp defines those calls instead of linking the sanitizer's library. So plain bodies are checked as they stand.
// What is checked, byte by byte: bounds and lifetime (allocations lie apart, the gaps are out of bounds), alignment,
// reads of bytes that nothing wrote, and races (two accesses, one a write, not both atomic, that no barrier orders).
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>

namespace swallowtail::emulator {

/// A kernel or a launch broke a rule of the device. The text names kernel, block, thread, address and allocation.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Access : std::uint8_t { read, write, atomic };

/// What the scheduler (emulator.cpp) says of the thread that runs; the memory asks it about order.
struct Place {
  std::uint32_t launch = 0;  // from 1
  std::uint32_t block = 0;   // linear
  std::uint32_t epoch = 0;   // block-wide barriers passed
  std::uint32_t warp = 0, lane = 0;
  /// [lane of the accessor][lane]: how far each lane of the warp has been seen through __syncwarp.
  const std::uint32_t (*seen)[32] = nullptr;
  const std::byte *stack_begin = nullptr, *stack_end = nullptr;        // the thread's own
  const std::byte *constant_begin = nullptr, *constant_end = nullptr;  // the kernel's arguments
};

/// The device's thread that runs now on this thread of the host; null while host code runs.
extern thread_local const Place* current_place;

/// Held while the device does something: ranks that are threads of one process take turns at it.
std::recursive_mutex& device_lock();

/// While one lives, accesses are the emulator's own. Without it the emulator could be caught in an inline function of
/// the standard library whose instrumented copy the linker kept.
class Unchecked {
 public:
  Unchecked() : before_(is_on) { is_on = true; }
  ~Unchecked() { is_on = before_; }
  Unchecked(const Unchecked&) = delete;
  Unchecked& operator=(const Unchecked&) = delete;
  static thread_local bool is_on;

 private:
  bool before_;
};

/// Ends the emulated kernel (from a thread: never returns) or throws Fault (from the host).
[[noreturn]] void fail(const std::string& fact);
[[noreturn]] void fail(const char* fact, const char* more = "");  // instrumented code has no strings of its own
/// Throws what instrumented host code did wrong, in an access that could not throw.
void throw_host_fault();

/// Device memory; its bytes count as not initialised. Freed memory stays out of bounds until all is freed.
std::byte* allocate(std::size_t bytes);
void release(std::byte* memory) noexcept;
/// Page-locked host memory, which kernels may use as well. What the host does there is not seen, so its bytes count as
/// initialised.
std::byte* allocate_pinned(std::size_t bytes);
void release_pinned(std::byte* memory) noexcept;
/// Host memory that kernels may use until it is unlocked. Faults where a part of it is locked already.
void lock_pages(std::byte* memory, std::size_t bytes);
void unlock_pages(std::byte* memory) noexcept;
/// The host's copies in and out. Faults where the device memory is out of bounds or, to_host, not initialised.
void copy_to_device(std::byte* device, const void* host, std::size_t bytes);
void copy_to_host(void* host, const std::byte* device, std::size_t bytes);
void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes);
void fill_device(std::byte* device, int byte, std::size_t bytes);
std::size_t bytes_in_use() noexcept;
/// Of the device: allocate() fails where more would be in use. 2^30 at most; a test may set it, a program's test by
/// SWALLOWTAIL_EMULATED_DEVICE_BYTES.
std::size_t& device_bytes() noexcept;
/// How many devices this thread sees, all of them in this memory; a test may set it.
int& devices() noexcept;

/// What ranks exchange without a kernel. Sent bytes are checked as those of copy_to_host; where bytes will arrive there
/// is nothing to read until they are received.
void check_sent(const std::byte* device, std::size_t bytes);
void expect_received(const std::byte* device, std::size_t bytes);
void mark_received(const std::byte* device, std::size_t bytes);

/// Shared memory of the block that runs: kSharedBytes at most.
inline constexpr std::size_t kSharedBytes = 227 * 1024;
void begin_shared();  // of a block; nothing is addressable yet
/// The block's part number `part`, from 0, at `offset`; the first thread that asks makes it, all must ask alike.
std::byte* take_shared(std::size_t part, std::size_t offset, std::size_t bytes);

/// The check behind every instrumented access; natural: the address must be a multiple of the size.
void check_access(const void* address, std::size_t bytes, Access access, bool natural);

}  // namespace swallowtail::emulator
