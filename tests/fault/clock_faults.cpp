// Preloaded into a program (LD_PRELOAD): its wall clock jumps, hours back and forth, from call to call. The monotonic
// clock stays. On standard error at the end: "clock_faults: <count> jumps", so that a test knows that they happened.
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

#include <atomic>
#include <cstdint>
#include <cstdio>

namespace {

std::atomic<std::uint64_t> jumps{0};

/// Between ten hours ago and ten hours ahead; every eighth call a century of difference.
time_t jump() {
  const std::uint64_t call = ++jumps;
  const auto draw = static_cast<time_t>(call * 0x9E3779B97F4A7C15U >> 33);
  return call % 8 == 0 ? (draw % 2 ? 1 : -1) * 1'500'000'000 : draw % 72'000 - 36'000;
}

struct AtEnd {
  ~AtEnd() { std::fprintf(stderr, "clock_faults: %llu jumps\n", static_cast<unsigned long long>(jumps.load())); }
} at_end;

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* at) noexcept {
  static const auto next = real<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int result = next(clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += jump();
  return result;
}

int gettimeofday(timeval* at, void* zone) noexcept {
  static const auto next = real<int (*)(timeval*, void*)>("gettimeofday");
  const int result = next(at, zone);
  if (result == 0 && at != nullptr) at->tv_sec += jump();
  return result;
}

time_t time(time_t* out) noexcept {
  static const auto next = real<time_t (*)(time_t*)>("time");
  const time_t now = next(nullptr) + jump();
  if (out != nullptr) *out = now;
  return now;
}

}  // extern "C"
