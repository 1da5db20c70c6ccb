// The device's words that need memory or other lanes, out of reach of the instrumentation.
#include <algorithm>

#include "tests/emulator/emulated_cuda.h"

namespace swallowtail::emulator {

namespace {

struct Deposit {
  std::uint64_t value, result;
  unsigned source;
};

}  // namespace

std::uint64_t exchange(Site site, const char* name, std::uint32_t mask, std::uint64_t value, unsigned source) {
  Deposit mine{value, 0, source};
  warp_operation(site, name, mask, &mine, false, [name](const Lanes& lanes) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      auto* const deposit = static_cast<Deposit*>(lanes.of[lane]);
      if (!deposit) continue;
      if (!lanes.of[deposit->source])
        fail(std::string(name) + ": lane " + std::to_string(lane) + " reads lane " + std::to_string(deposit->source) +
             ", which is not in the mask");
      deposit->result = static_cast<Deposit*>(lanes.of[deposit->source])->value;
    }
  });
  return mine.result;
}

unsigned ballot(Site site, std::uint32_t mask, int predicate) {
  Deposit mine{static_cast<std::uint64_t>(predicate != 0), 0, 0};
  warp_operation(site, "__ballot_sync", mask, &mine, false, [](const Lanes& lanes) {
    std::uint64_t votes = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
      if (lanes.of[lane]) votes |= static_cast<Deposit*>(lanes.of[lane])->value << lane;
    for (void* lane : lanes.of)
      if (lane) static_cast<Deposit*>(lane)->result = votes;
  });
  return static_cast<unsigned>(mine.result);
}

unsigned match_any_bits(Site site, std::uint32_t mask, std::uint64_t value) {
  Deposit mine{value, 0, 0};
  warp_operation(site, "__match_any_sync", mask, &mine, false, [](const Lanes& lanes) {
    for (void* one : lanes.of)
      for (unsigned lane = 0; one && lane < 32; ++lane)
        if (lanes.of[lane] && static_cast<Deposit*>(lanes.of[lane])->value == static_cast<Deposit*>(one)->value)
          static_cast<Deposit*>(one)->result |= std::uint64_t{1} << lane;
  });
  return static_cast<unsigned>(mine.result);
}

std::string name_of_kernel(const char* signature) {
  const std::string text = signature;
  const std::string_view mark = "Kernel = ";
  const auto begin = text.find(mark);
  if (begin == std::string::npos) return text;
  std::string name = text.substr(begin + mark.size());
  name = name.substr(0, name.find_first_of(";]"));
  const auto scope = name.rfind("::", name.find('<'));
  return scope == std::string::npos ? name : name.substr(scope + 2);
}

}  // namespace swallowtail::emulator

namespace {

template <typename T, typename Change>
T atomically(T* address, Change change) {
  swallowtail::emulator::check_access(address, sizeof(T), swallowtail::emulator::Access::atomic, true);
  const T before = *address;
  *address = change(before);
  return before;
}

}  // namespace

int atomicAdd(int* address, int value) { return atomically(address, [=](int old) { return old + value; }); }
unsigned atomicAdd(unsigned* address, unsigned value) {
  return atomically(address, [=](unsigned old) { return old + value; });
}
unsigned long long atomicAdd(unsigned long long* address, unsigned long long value) {
  return atomically(address, [=](unsigned long long old) { return old + value; });
}
float atomicAdd(float* address, float value) { return atomically(address, [=](float old) { return old + value; }); }
int atomicMax(int* address, int value) { return atomically(address, [=](int old) { return std::max(old, value); }); }
unsigned atomicMax(unsigned* address, unsigned value) {
  return atomically(address, [=](unsigned old) { return std::max(old, value); });
}
int atomicMin(int* address, int value) { return atomically(address, [=](int old) { return std::min(old, value); }); }
unsigned long long atomicMin(unsigned long long* address, unsigned long long value) {
  return atomically(address, [=](unsigned long long old) { return std::min(old, value); });
}
unsigned atomicOr(unsigned* address, unsigned value) {
  return atomically(address, [=](unsigned old) { return old | value; });
}
unsigned atomicAnd(unsigned* address, unsigned value) {
  return atomically(address, [=](unsigned old) { return old & value; });
}
int atomicExch(int* address, int value) { return atomically(address, [=](int) { return value; }); }
int atomicCAS(int* address, int compare, int value) {
  return atomically(address, [=](int old) { return old == compare ? value : old; });
}
unsigned atomicCAS(unsigned* address, unsigned compare, unsigned value) {
  return atomically(address, [=](unsigned old) { return old == compare ? value : old; });
}
unsigned long long atomicCAS(unsigned long long* address, unsigned long long compare, unsigned long long value) {
  return atomically(address, [=](unsigned long long old) { return old == compare ? value : old; });
}
