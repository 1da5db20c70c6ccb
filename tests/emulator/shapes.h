// What the kernel tests share: random batches of every shape, and both sides' copies of them. The tests link either the
// emulated device or the real one (cmake/cuda.cmake) and are the same text for both.
#pragma once

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/random.h"

namespace swallowtail::cuda::testing {

/// Small integers over 8, signed, so that sums are exact in any order; or full-range values that are not.
inline float value_at(std::uint64_t seed, std::uint64_t purpose, std::int64_t i, bool exact = false) {
  const std::uint64_t bits = random::bits(seed, purpose, static_cast<std::uint64_t>(i));
  if (exact) return static_cast<float>(random::below(bits, 33) - 16) / 8;
  return static_cast<float>(random::normal(bits));
}
inline std::vector<float> values(std::uint64_t seed, std::uint64_t purpose, std::int64_t count, bool exact = false) {
  std::vector<float> made(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) made[static_cast<std::size_t>(i)] = value_at(seed, purpose, i, exact);
  return made;
}
inline std::int64_t below(std::uint64_t seed, std::uint64_t purpose, std::int64_t n) {
  return random::below(random::bits(seed, purpose), n);
}

template <typename T>
DeviceBuffer<T> on_device(const std::vector<T>& host, Stream& stream) {
  return to_device<T>(std::span<const T>(host), stream);
}
template <typename T>
std::vector<T> on_host(const T* device, std::int64_t count, Stream& stream) {
  std::vector<T> host(static_cast<std::size_t>(count));
  copy_to_host(host.data(), device, count, stream);
  stream.wait();
  return host;
}
template <typename T>
std::vector<T> on_host(const DeviceBuffer<T>& device, Stream& stream) {
  return on_host(device.data(), device.size(), stream);
}

/// Equal to the bit, NaN and signed zeros too.
inline ::testing::AssertionResult same_bits(std::span<const float> wanted, std::span<const float> got) {
  if (wanted.size() != got.size()) return ::testing::AssertionFailure() << wanted.size() << " and " << got.size();
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (std::memcmp(&wanted[i], &got[i], sizeof(float)) != 0)
      return ::testing::AssertionFailure() << "element " << i << " is " << got[i] << " instead of " << wanted[i];
  return ::testing::AssertionSuccess();
}
inline ::testing::AssertionResult near(std::span<const float> wanted, std::span<const float> got, float relative,
                                       float absolute) {
  if (wanted.size() != got.size()) return ::testing::AssertionFailure() << wanted.size() << " and " << got.size();
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (!(std::abs(wanted[i] - got[i]) <= absolute + relative * std::abs(wanted[i])))
      return ::testing::AssertionFailure() << "element " << i << " is " << got[i] << " instead of " << wanted[i];
  return ::testing::AssertionSuccess();
}

/// Runs `law` for seeds from RapidCheck; gtest's expectations inside it fail the case.
inline void for_seeds(const std::string& name, const std::function<void(std::uint64_t)>& law) {
  EXPECT_TRUE(rc::check(name, [&] {
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    law(seed);
    RC_ASSERT(!::testing::Test::HasFailure());
  }));
}

/// Calls `work` under several orders of blocks and threads where the device is emulated, once on a real one.
void under_every_schedule(const std::function<void()>& work);

}  // namespace swallowtail::cuda::testing
