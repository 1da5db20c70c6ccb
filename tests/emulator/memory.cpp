#include "tests/emulator/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <new>
#include <utility>

namespace swallowtail::emulator {

thread_local const Place* current_place = nullptr;

thread_local bool Unchecked::is_on = false;

std::recursive_mutex& device_lock() {
  static auto* const made = new std::recursive_mutex;
  return *made;
}

void fail(const char* fact, const char* more) {
  const Unchecked own;
  fail(std::string(fact) + more);
}

namespace {

enum State : std::uint8_t { out_of_bounds = 0, uninitialised, initialised, freed };

/// The last write of a byte, and the reads since. Reads of one warp keep their lanes; reads of several warps or blocks
/// are one set that only a block-wide barrier, or the kernel's end, orders before a write.
struct Stamp {
  std::uint32_t launch = 0, block = 0, epoch = 0, clock = 0;
  std::uint32_t lanes = 0;  // of `warp`; a write has one
  std::uint16_t warp = 0;
  bool many_warps = false, many_blocks = false, atomic = false;
};
struct Shadow {
  Stamp write, read;
};

template <typename T>
T* reserve(std::size_t count) {
  void* const memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(memory);
}

constexpr std::size_t kGap = 256, kAlignment = 256;  // cudaMalloc aligns to 256 bytes

/// A range of addresses with its shadow; only pages that are used cost memory.
struct Arena {
  explicit Arena(std::size_t size, std::string name)
      : bytes(size), base(reserve<std::byte>(size)), state(reserve<std::uint8_t>(size)), shadow(reserve<Shadow>(size)),
        what(std::move(name)) {}
  /// Over memory that the host has, whose bytes count as initialised.
  Arena(std::byte* memory, std::size_t size, std::string name)
      : bytes(size),
        base(memory),
        state(reserve<std::uint8_t>(size)),
        shadow(reserve<Shadow>(size)),
        what(std::move(name)),
        used(size) {
    std::memset(state, initialised, size);
    live[base] = size;
  }
  bool holds(const std::byte* p) const { return p >= base && p < base + bytes; }
  std::size_t bytes;
  std::byte* base;
  std::uint8_t* state;
  Shadow* shadow;
  std::string what;
  std::map<std::byte*, std::size_t> live;
  std::size_t next = kGap, used = 0;
};

constexpr std::size_t kSharedGap = 64;

struct Memory {
  Arena device{std::size_t{1} << 30, "device"}, pinned{std::size_t{1} << 28, "pinned host"},
      shared{kSharedBytes * 2, "shared"};
  std::map<std::byte*, std::size_t> shared_parts;
  std::map<std::byte*, Arena> locked;  // by their begin
  std::string host_fault;
};

Memory& memory() {
  static auto* const made = new Memory;  // outlives every static object that holds device memory
  return *made;
}

/// The page-locked memory of the host that holds the address; null where none does.
Arena* locked_at(const std::byte* address) {
  auto& locked = memory().locked;
  const auto next = locked.upper_bound(const_cast<std::byte*>(address));
  if (next == locked.begin() || !std::prev(next)->second.holds(address)) return nullptr;
  return &std::prev(next)->second;
}

std::string name_place(const std::byte* address) {
  auto& m = memory();
  const Arena* const locked = locked_at(address);
  const auto& parts = locked                    ? locked->live
                      : m.shared.holds(address) ? m.shared_parts
                      : m.pinned.holds(address) ? m.pinned.live
                                                : m.device.live;
  auto next = parts.upper_bound(const_cast<std::byte*>(address));
  std::string text;
  if (next != parts.begin()) {
    const auto& [begin, size] = *std::prev(next);
    if (address < begin + size) return fmt::format("byte {} of an allocation of {}", address - begin, size);
    text = fmt::format("{} bytes past the end of an allocation of {} bytes", address - begin - size, size);
  }
  if (next != parts.end())
    text += fmt::format("{}{} bytes before an allocation of {} bytes", text.empty() ? "" : ", ", next->first - address,
                        next->second);
  return text.empty() ? "no allocation" : text;
}

std::string who(const Stamp& stamp) {
  return fmt::format("block {}, warp {}, lanes {:#x}{}{}", stamp.block, stamp.warp, stamp.lanes,
                     stamp.many_warps ? " and other warps" : "", stamp.many_blocks ? " and other blocks" : "");
}

/// Whether all that `stamp` stands for is over, as seen by the thread at `here`.
bool is_ordered(const Stamp& stamp, const Place& here) {
  if (stamp.launch != here.launch) return true;
  if (stamp.many_blocks || stamp.block != here.block) return false;
  if (stamp.epoch != here.epoch) return true;
  if (stamp.many_warps || stamp.warp != here.warp) return false;
  for (std::uint32_t lane = 0, rest = stamp.lanes; rest != 0; ++lane, rest >>= 1)
    if ((rest & 1) && lane != here.lane && here.seen[here.lane][lane] < stamp.clock) return false;
  return true;
}

Stamp stamp_of(const Place& here, bool atomic) {
  return {here.launch, here.block, here.epoch, here.seen[here.lane][here.lane], std::uint32_t{1} << here.lane,
          static_cast<std::uint16_t>(here.warp), false, false, atomic};
}

void add_read(Stamp& reads, const Place& here) {
  const Stamp mine = stamp_of(here, false);
  if (is_ordered(reads, here)) {
    reads = mine;
    return;
  }
  if (reads.block != mine.block) reads.many_blocks = true;
  if (reads.warp != mine.warp) reads.many_warps = true;
  reads.lanes |= mine.lanes;
  reads.clock = std::max(reads.clock, mine.clock);
}

void check_race(Shadow& shadow, const std::byte* address, Access access, const Place& here, bool of_block) {
  if (of_block && shadow.write.block != here.block) shadow.write = {};  // another block's shared memory
  if (of_block && shadow.read.block != here.block) shadow.read = {};
  if (access == Access::read) {
    if (!is_ordered(shadow.write, here))
      fail(fmt::format("race: reads {} without a barrier after a write by {}", name_place(address), who(shadow.write)));
    add_read(shadow.read, here);
    return;
  }
  const bool is_atomic = access == Access::atomic;
  if (!(is_atomic && shadow.write.atomic) && !is_ordered(shadow.write, here))
    fail(fmt::format("race: writes {} without a barrier after a write by {}", name_place(address), who(shadow.write)));
  if (!is_ordered(shadow.read, here))
    fail(fmt::format("race: writes {} without a barrier after a read by {}", name_place(address), who(shadow.read)));
  // Atomics of several threads: the next plain access must be ordered after all of them.
  const bool joins = is_atomic && shadow.write.atomic && !is_ordered(shadow.write, here);
  const Stamp before = shadow.write;
  shadow.write = stamp_of(here, is_atomic);
  if (joins) {
    shadow.write.many_blocks = before.many_blocks || before.block != here.block;
    shadow.write.many_warps = before.many_warps || before.warp != here.warp;
    shadow.write.lanes |= before.lanes;
    shadow.write.clock = std::max(shadow.write.clock, before.clock);
  }
}

const char* verb(Access access) {
  return access == Access::read ? "reads" : access == Access::write ? "writes" : "updates";
}

void check_arena(Arena& arena, const std::byte* address, std::size_t bytes, Access access) {
  const auto first = static_cast<std::size_t>(address - arena.base);
  for (std::size_t i = first; i < first + bytes; ++i) {
    auto& state = arena.state[i];
    if (state == freed)
      fail(fmt::format("{} freed {} memory, {}", verb(access), arena.what, name_place(arena.base + i)));
    if (state == out_of_bounds)
      fail(fmt::format("out of bounds: {} {} bytes of {} memory, {}", verb(access), bytes, arena.what,
                       name_place(arena.base + i)));
    if (access != Access::write && state == uninitialised)
      fail(fmt::format("{} {} memory that nothing wrote, {}", verb(access), arena.what, name_place(arena.base + i)));
    if (current_place) check_race(arena.shadow[i], arena.base + i, access, *current_place, &arena == &memory().shared);
    if (access != Access::read) state = initialised;
  }
}

/// The host's own accesses go by copies.
void host_range(const std::byte* device, std::size_t bytes, Access access) {
  auto& m = memory();
  throw_host_fault();
  if (bytes == 0) return;
  if (current_place) fail("a kernel calls the host's copies");
  if (!m.device.holds(device) || !m.device.holds(device + bytes - 1))
    throw Fault("emulated device: a copy's device address is not in device memory");
  check_arena(m.device, device, bytes, access);
}

}  // namespace

namespace {

std::byte* allocate_in(Arena& arena, std::size_t bytes, State state) {
  const std::scoped_lock lock(device_lock());
  const std::size_t begin = arena.next, size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (begin + size + kGap > arena.bytes) throw std::bad_alloc();
  arena.next = begin + size + kGap;
  std::memset(arena.state + begin, state, bytes);
  std::memset(static_cast<void*>(arena.base + begin), 0xcd, bytes);
  arena.live[arena.base + begin] = bytes;
  arena.used += bytes;
  return arena.base + begin;
}

void release_in(Arena& arena, std::byte* address) {
  const std::scoped_lock lock(device_lock());
  const auto found = arena.live.find(address);
  if (found == arena.live.end()) return;
  std::memset(arena.state + (address - arena.base), freed, found->second);
  arena.used -= found->second;
  arena.live.erase(found);
  if (arena.live.empty()) {
    std::memset(arena.state, out_of_bounds, arena.next);
    arena.next = kGap;
  }
}

}  // namespace

std::byte* allocate(std::size_t bytes) { return allocate_in(memory().device, bytes, uninitialised); }
void release(std::byte* address) noexcept { release_in(memory().device, address); }
std::byte* allocate_pinned(std::size_t bytes) { return allocate_in(memory().pinned, bytes, initialised); }
void release_pinned(std::byte* address) noexcept { release_in(memory().pinned, address); }

void lock_pages(std::byte* address, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  const auto next = memory().locked.lower_bound(address);
  if (locked_at(address) || (next != memory().locked.end() && next->first < address + bytes))
    throw Fault("emulated device: a page of the host is locked twice");
  memory().locked.try_emplace(address, address, bytes, "page-locked host");
}
void unlock_pages(std::byte* address) noexcept {
  const std::scoped_lock lock(device_lock());
  const auto found = memory().locked.find(address);
  if (found == memory().locked.end()) return;
  munmap(found->second.state, found->second.bytes);
  munmap(found->second.shadow, found->second.bytes * sizeof(Shadow));
  memory().locked.erase(found);
}

void throw_host_fault() {
  if (auto& fault = memory().host_fault; !fault.empty()) throw Fault(std::exchange(fault, {}));
}

std::size_t bytes_in_use() noexcept { return memory().device.used; }

void copy_to_device(std::byte* device, const void* host, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  host_range(device, bytes, Access::write);
  if (bytes) std::memcpy(device, host, bytes);
}

void copy_to_host(void* host, const std::byte* device, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  host_range(device, bytes, Access::read);
  if (bytes) std::memcpy(host, device, bytes);
}

void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  host_range(from, bytes, Access::read);
  host_range(to, bytes, Access::write);
  if (bytes) std::memmove(to, from, bytes);
}

void fill_device(std::byte* device, int byte, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  host_range(device, bytes, Access::write);
  if (bytes) std::memset(device, byte, bytes);
}

void check_sent(const std::byte* device, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  host_range(device, bytes, Access::read);
}

void expect_received(const std::byte* device, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  host_range(device, bytes, Access::write);
  if (bytes) std::memset(memory().device.state + (device - memory().device.base), uninitialised, bytes);
}

void mark_received(const std::byte* device, std::size_t bytes) {
  const std::scoped_lock lock(device_lock());
  host_range(device, bytes, Access::write);
}

void begin_shared() {
  auto& m = memory();
  for (const auto& [begin, size] : m.shared_parts) std::memset(m.shared.state + (begin - m.shared.base), 0, size);
  m.shared_parts.clear();
}

std::byte* take_shared(std::size_t part, std::size_t offset, std::size_t bytes) {
  const Unchecked own;
  auto& m = memory();
  // Parts lie apart here, so that one part's overrun is not another's first byte.
  std::byte* const begin = m.shared.base + offset + kSharedGap * (1 + part);
  const auto found = m.shared_parts.find(begin);
  if (found != m.shared_parts.end() && found->second == bytes) return begin;
  if (part != m.shared_parts.size()) fail("threads of a block divide the shared memory in different ways");
  std::memset(m.shared.state + (begin - m.shared.base), uninitialised, bytes);
  std::memset(static_cast<void*>(begin), 0xcd, bytes);
  m.shared_parts[begin] = bytes;
  return begin;
}

void check_access(const void* pointer, std::size_t bytes, Access access, bool natural) {
  if (Unchecked::is_on) return;
  const Unchecked own;
  const auto* const address = static_cast<const std::byte*>(pointer);
  const Place* const here = current_place;
  auto& m = memory();
  if (!here) {
    if (m.device.holds(address)) m.host_fault = fmt::format("emulated device: host code {} device memory", verb(access));
    return;
  }
  if (address >= here->stack_begin && address < here->stack_end) return;
  if (address >= here->constant_begin && address + bytes <= here->constant_end) {
    if (access != Access::read) fail("writes to the kernel's arguments");
    return;
  }
  Arena* const arena = m.device.holds(address)   ? &m.device
                       : m.shared.holds(address) ? &m.shared
                       : m.pinned.holds(address) ? &m.pinned
                                                 : locked_at(address);
  if (arena == nullptr)
    fail(fmt::format("out of bounds: {} {} bytes at {}, which is neither device nor shared memory", verb(access), bytes,
                     pointer));
  if (natural && reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
    fail(fmt::format("misaligned: {} {} bytes, {}", verb(access), bytes, name_place(address)));
  check_arena(*arena, address, bytes, access);
}

}  // namespace swallowtail::emulator

// The compiler's calls. Its own unaligned kinds are structures' members; the device has no unaligned access either, so
// vector types must be loaded whole (device.cuh) for their alignment to be seen.
using swallowtail::emulator::Access;
using swallowtail::emulator::check_access;
#define SWALLOWTAIL_ACCESS(bytes)                                                                             \
  void __tsan_read##bytes(void* p) { check_access(p, bytes, Access::read, true); }                            \
  void __tsan_write##bytes(void* p) { check_access(p, bytes, Access::write, true); }                          \
  void __tsan_unaligned_read##bytes(void* p) { check_access(p, bytes, Access::read, false); }                 \
  void __tsan_unaligned_write##bytes(void* p) { check_access(p, bytes, Access::write, false); }
extern "C" {
SWALLOWTAIL_ACCESS(1)
SWALLOWTAIL_ACCESS(2)
SWALLOWTAIL_ACCESS(4)
SWALLOWTAIL_ACCESS(8)
SWALLOWTAIL_ACCESS(16)
void __tsan_read_range(void* p, std::size_t bytes) { check_access(p, bytes, Access::read, false); }
void __tsan_write_range(void* p, std::size_t bytes) { check_access(p, bytes, Access::write, false); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
