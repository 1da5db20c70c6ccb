#include "trainer/device/padded_parameters.h"

#include <gtest/gtest.h>

#include <numeric>

namespace swallowtail {
namespace {

/// Places in the order of a model: bottom, cross, top, dense_linear.
DlrmNetwork network() {
  DlrmNetwork made{.dense = 3, .dim = 5, .vectors = 2, .dot = false};
  std::int64_t size = 0;
  const auto layer = [&](std::int64_t in, std::int64_t out) {
    const NetworkLayer of{in, out, size, size + in * out};
    size += in * out + out;
    return of;
  };
  made.bottom = {layer(3, 9), layer(9, 5)};
  for (int l = 0; l < 2; ++l) {
    const std::int64_t bias = size;
    size += 15;
    made.cross.push_back({.v = {15, 3, size, -1}, .u = {3, 15, size + 45, bias}});
    size += 90;
  }
  made.top = {layer(15, 1)};
  made.dense_linear = size;
  return made;
}
constexpr std::int64_t kParameters = 3 * 9 + 9 + 9 * 5 + 5 + 2 * (15 + 2 * 45) + 15 + 1 + 3;

TEST(PaddedParameters, ComeBackAsTheyWent) {
  const PaddedParameters padded(network());
  EXPECT_EQ(padded.network().bottom[0].in, 8);
  EXPECT_EQ(padded.network().bottom[0].out, 16);
  EXPECT_EQ(padded.network().cross[1].v.in, 16);
  EXPECT_EQ(padded.network().cross[1].u.in, 8);
  EXPECT_EQ(padded.network().cross[1].v.bias, -1);
  EXPECT_EQ(padded.network().top[0].in, 16);
  EXPECT_EQ(padded.network().top[0].out, 8);
  EXPECT_EQ(padded.size(), 16 * 8 + 16 + 8 * 16 + 8 + 2 * (2 * 8 * 16 + 16) + 8 * 16 + 8 + 8);
  std::vector<float> host(kParameters), device(static_cast<std::size_t>(padded.size()), 9.0F), back(host.size());
  std::iota(host.begin(), host.end(), 1.0F);
  padded.pad(host, device);
  EXPECT_EQ(std::accumulate(device.begin(), device.end(), 0.0F), std::accumulate(host.begin(), host.end(), 0.0F));
  padded.unpad(device, back);
  EXPECT_EQ(host, back);
}

TEST(PaddedParameters, PlacesOfTheDeviceAreTheHosts) {
  const PaddedParameters padded(network());
  std::vector<float> host(kParameters), device(static_cast<std::size_t>(padded.size()));
  std::iota(host.begin(), host.end(), 1.0F);
  padded.pad(host, device);
  for (std::int64_t place = 0; place < padded.size(); ++place) {
    const float value = device[static_cast<std::size_t>(place)];
    EXPECT_EQ(padded.host_place(place), static_cast<std::int64_t>(value) - 1) << place;  // zero: the padding
  }
}

}  // namespace
}  // namespace swallowtail
