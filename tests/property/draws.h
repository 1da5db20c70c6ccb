// Numbers one after another for tests that make up their input.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/random.h"

namespace swallowtail::test {

class Draws {
 public:
  Draws(std::uint64_t seed, std::string_view purpose) : seed_(seed), purpose_(random::purpose(purpose)) {}
  std::uint64_t operator()(std::uint64_t below) { return random::bits(seed_, purpose_, count_++) % below; }

 private:
  std::uint64_t seed_, purpose_, count_ = 0;
};

}  // namespace swallowtail::test
