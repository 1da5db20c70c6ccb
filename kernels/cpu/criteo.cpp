#include <cstring>

#include "kernels/cpu/criteo_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail::cpu {
namespace {

constexpr int kWordLanes = 2;  // what every 64-bit processor has

template <typename Words>
Words product(Words a, Words b) {
  return (a & 0xffffffffU) * (b & 0xffffffffU);
}

}  // namespace
}  // namespace swallowtail::cpu

#include "kernels/cpu/criteo_body.h"

namespace swallowtail {

const cpu::CriteoFamily& cpu::criteo_scalar() { return kFamily; }

bool decode_criteo(const CriteoText& lines, const CriteoHashes& hashes, CriteoGroup& out, std::int64_t* ids) noexcept {
  return cpu::of_active_isa(cpu::criteo_scalar, cpu::criteo_avx2, cpu::criteo_avx512).decode(lines, hashes, out, ids);
}

}  // namespace swallowtail
