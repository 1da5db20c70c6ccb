#include "tests/emulator/emulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/random.h"
#include "parallel/simulated/fiber.h"

namespace swallowtail::emulator {

namespace {

constexpr std::size_t kStackBytes = 128 * 1024;
constexpr std::size_t kPageBytes = 4096;
constexpr unsigned kWarp = 32;

enum class Wait : std::uint8_t { none, block, warp, left };

struct Thread {
  std::unique_ptr<Fiber> fiber;
  Place place;
  Wait wait = Wait::none;
  Site site{};
  const char* operation = nullptr;
  std::uint32_t mask = 0;
  void* mine = nullptr;
};

struct Warp {
  std::uint32_t seen[kWarp][kWarp];  // see Place
};

class Engine {
 public:
  void run(const Launch& launch);
  void sync_block(Site site);
  void warp_operation(Site site, const char* name, std::uint32_t mask, void* mine, bool orders,
                      const std::function<void(const Lanes&)>& complete);
  [[noreturn]] void fail(const std::string& fact);

  const Launch* launch = nullptr;
  unsigned block = 0, thread = 0;
  Schedule schedule;
  std::uint32_t launches = 0;

 private:
  void run_block();
  void resume(unsigned index);
  void release_barrier();
  std::string stuck() const;
  void drop_fibers();
  std::vector<unsigned> order(unsigned count, std::uint64_t key) const;
  unsigned threads() const { return launch->block.x * launch->block.y * launch->block.z; }

  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::uint32_t epoch_ = 0;
  unsigned at_barrier_ = 0, left_ = 0;
  std::string fault_;
};

Engine& engine() {
  static auto* const made = new Engine;
  return *made;
}

Dim3 spread(unsigned index, const Dim3& size) { return {index % size.x, index / size.x % size.y, index / size.x / size.y}; }

std::string text(Site site) {
  const std::string file = site.file;
  return fmt::format("{}:{}", file.substr(file.find_last_of('/') + 1), site.line);
}

bool same(Site a, Site b) { return a.line == b.line && std::string_view(a.file) == b.file; }

void Engine::fail(const std::string& fact) {
  std::string text = "emulated device: " + fact;
  if (!current_place) throw Fault(text);
  fault_ = fmt::format("{}; {}, block {}, thread {}", text, launch->kernel, block, thread);
  threads_[thread].fiber->suspend();  // for good
  std::abort();
}

std::vector<unsigned> Engine::order(unsigned count, std::uint64_t key) const {
  std::vector<unsigned> all(count);
  std::iota(all.begin(), all.end(), 0U);
  if (schedule.order == Schedule::Order::backward) std::reverse(all.begin(), all.end());
  if (schedule.order == Schedule::Order::shuffled)
    for (unsigned i = count; i > 1; --i)
      std::swap(all[i - 1], all[random::below(random::bits(schedule.seed, key, i), i)]);
  return all;
}

void Engine::resume(unsigned index) {
  thread = index;
  current_place = &threads_[index].place;
  Unchecked::is_on = false;
  threads_[index].fiber->resume();
  current_place = nullptr;
  Unchecked::is_on = false;
  if (!fault_.empty()) {
    const std::string fault = std::exchange(fault_, {});
    drop_fibers();
    throw Fault(fault);
  }
}

/// Threads that stopped in the middle of a body cannot be used for another.
void Engine::drop_fibers() { threads_.clear(); }

void Engine::run(const Launch& asked) {
  if (current_place) fail("a kernel launches a kernel");
  const std::scoped_lock lock(device_lock());
  throw_host_fault();
  const auto [x, y, z] = asked.grid;
  const auto size = static_cast<std::uint64_t>(asked.block.x) * asked.block.y * asked.block.z;
  if (size == 0 || size > 1024 || asked.block.z > 64)
    throw Fault(fmt::format("emulated device: {} is launched with {} threads a block", asked.kernel, size));
  if (x == 0 || y == 0 || z == 0 || x > 0x7fffffffU || y > 65535 || z > 65535)
    throw Fault(fmt::format("emulated device: {} is launched with a grid of {} x {} x {}", asked.kernel, x, y, z));
  if (asked.shared_bytes > kSharedBytes)
    throw Fault(fmt::format("emulated device: {} wants {} bytes of shared memory", asked.kernel, asked.shared_bytes));
  launch = &asked;
  ++launches;
  const std::size_t have = threads_.size();
  if (have < size) threads_.resize(size);
  for (std::size_t i = have; i < threads_.size(); ++i)
    threads_[i].fiber = std::make_unique<Fiber>(kStackBytes, [this, i] {
      // The stack's mapping ends at the page's end above the fiber's first frames; its lowest page is a guard.
      const auto top = (reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) + kPageBytes) / kPageBytes * kPageBytes;
      Place& place = threads_[i].place;
      place.stack_end = reinterpret_cast<const std::byte*>(top);
      place.stack_begin = reinterpret_cast<const std::byte*>(top - kStackBytes);
      for (;;) {
        launch->thread(launch->arguments);
        threads_[i].wait = Wait::left;
        ++left_;
        threads_[i].fiber->suspend();
      }
    });
  warps_.resize((size + kWarp - 1) / kWarp);
  const auto blocks = static_cast<std::uint64_t>(x) * y * z;
  if (blocks > 1U << 20) throw Fault(fmt::format("emulated device: {} blocks are too many to emulate", blocks));
  for (const unsigned index : order(static_cast<unsigned>(blocks), launches)) {
    block = index;
    run_block();
  }
}

void Engine::run_block() {
  begin_shared();
  epoch_ = at_barrier_ = left_ = 0;
  const unsigned count = threads();
  for (Warp& warp : warps_)
    for (unsigned a = 0; a < kWarp; ++a)
      for (unsigned b = 0; b < kWarp; ++b) warp.seen[a][b] = a == b ? 1 : 0;
  for (unsigned i = 0; i < count; ++i) {
    Thread& t = threads_[i];
    t.wait = Wait::none;
    t.place.launch = launches;
    t.place.block = block;
    t.place.epoch = 0;
    t.place.warp = i / kWarp;
    t.place.lane = i % kWarp;
    t.place.seen = warps_[i / kWarp].seen;
    t.place.constant_begin = static_cast<const std::byte*>(launch->arguments);
    t.place.constant_end = t.place.constant_begin + launch->argument_bytes;
  }
  const auto turns = order(count, random::mix(launches) + block);
  while (left_ < count) {
    bool moved = false;
    for (const unsigned i : turns)
      if (threads_[i].wait == Wait::none) {
        moved = true;
        resume(i);
      }
    if (at_barrier_ > 0 && at_barrier_ + left_ == count) {
      release_barrier();
    } else if (!moved) {
      const std::string fact = stuck();
      drop_fibers();
      throw Fault(fact);
    }
  }
}

void Engine::release_barrier() {
  const unsigned count = threads();
  const Thread* first = nullptr;
  std::string fact;
  for (unsigned i = 0; i < count && fact.empty(); ++i) {
    const Thread& t = threads_[i];
    if (t.wait == Wait::left) {
      fact = fmt::format("divergent barrier: {} threads wait, but thread {} has left; {}", at_barrier_, i, launch->kernel);
    } else if (!first) {
      first = &t;
    } else if (!same(first->site, t.site)) {
      fact = fmt::format("divergent barrier: threads wait at {} and thread {} at {}; {}", text(first->site), i,
                         text(t.site), launch->kernel);
    }
  }
  if (!fact.empty()) {
    drop_fibers();
    throw Fault("emulated device: " + fact);
  }
  ++epoch_;
  at_barrier_ = 0;
  for (unsigned i = 0; i < count; ++i) {
    threads_[i].wait = Wait::none;
    threads_[i].place.epoch = epoch_;
  }
}

std::string Engine::stuck() const {
  for (unsigned i = 0; i < threads(); ++i) {
    const Thread& t = threads_[i];
    if (t.wait != Wait::warp) continue;
    std::string missing;
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      const Thread& other = threads_[i / kWarp * kWarp + lane];
      if ((t.mask >> lane & 1) == 0 || (other.wait == Wait::warp && same(other.site, t.site))) continue;
      missing += fmt::format(" {}", lane);
    }
    return fmt::format("emulated device: divergent warp: {} at {} waits for lanes{}; {}, block {}, thread {}", t.operation,
                       text(t.site), missing, launch->kernel, block, i);
  }
  return fmt::format("emulated device: divergent barrier: {} threads wait for ever; {}, block {}", at_barrier_,
                     launch->kernel, block);
}

void Engine::sync_block(Site site) {
  Thread& me = threads_[thread];
  me.wait = Wait::block;
  me.site = site;
  ++at_barrier_;
  me.fiber->suspend();
}

void Engine::warp_operation(Site site, const char* name, std::uint32_t mask, void* mine, bool orders,
                            const std::function<void(const Lanes&)>& complete) {
  const Unchecked own;
  const unsigned self = thread, my_lane = self % kWarp, first = self / kWarp * kWarp;
  Thread& me = threads_[self];
  if ((mask >> my_lane & 1) == 0) fail(fmt::format("{}: lane {} is not in its own mask {:#x}", name, my_lane, mask));
  bool all_here = true;
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) == 0 || lane == my_lane) continue;
    if (first + lane >= threads()) fail(fmt::format("{}: mask {:#x} names lane {}, which does not exist", name, mask, lane));
    const Thread& other = threads_[first + lane];
    if (other.wait == Wait::left) fail(fmt::format("{}: mask {:#x} names lane {}, which has left", name, mask, lane));
    if (other.wait != Wait::warp) {
      all_here = false;
    } else if (!same(other.site, site) || other.mask != mask || std::string_view(other.operation) != name) {
      if (other.mask >> my_lane & 1)
        fail(fmt::format("{} at {} with mask {:#x}, but lane {} waits in {} at {} with mask {:#x}", name, text(site),
                         mask, lane, other.operation, text(other.site), other.mask));
      all_here = false;
    }
  }
  me.site = site;
  me.operation = name;
  me.mask = mask;
  me.mine = mine;
  if (!all_here) {
    me.wait = Wait::warp;
    me.fiber->suspend();
    return;
  }
  Lanes lanes{{}, mask};
  for (unsigned lane = 0; lane < kWarp; ++lane)
    if (mask >> lane & 1) lanes.of[lane] = threads_[first + lane].mine;
  complete(lanes);
  if (orders) {
    auto& seen = warps_[first / kWarp].seen;
    std::array<std::uint32_t, kWarp> joined{};
    for (unsigned lane = 0; lane < kWarp; ++lane)
      if (mask >> lane & 1)
        for (unsigned of = 0; of < kWarp; ++of) joined[of] = std::max(joined[of], seen[lane][of]);
    for (unsigned lane = 0; lane < kWarp; ++lane)
      if (mask >> lane & 1) {
        std::copy(joined.begin(), joined.end(), seen[lane]);
        ++seen[lane][lane];
      }
  }
  for (unsigned lane = 0; lane < kWarp; ++lane)
    if (mask >> lane & 1) threads_[first + lane].wait = Wait::none;
}

}  // namespace

void fail(const std::string& fact) { engine().fail(fact); }
void use_schedule(const Schedule& schedule) { engine().schedule = schedule; }
void run(const Launch& launch) { engine().run(launch); }
std::uint64_t launches() noexcept { return engine().launches; }
Dim3 thread_index() { return spread(engine().thread, engine().launch->block); }
Dim3 block_index() { return spread(engine().block, engine().launch->grid); }
Dim3 block_dim() { return engine().launch->block; }
Dim3 grid_dim() { return engine().launch->grid; }
std::size_t launched_shared_bytes() { return engine().launch->shared_bytes; }
void sync_block(Site site) { engine().sync_block(site); }
void warp_operation(Site site, const char* name, std::uint32_t mask, void* mine, bool orders,
                    const std::function<void(const Lanes&)>& complete) {
  engine().warp_operation(site, name, mask, mine, orders, complete);
}
unsigned lane_index() { return engine().thread % kWarp; }

}  // namespace swallowtail::emulator
