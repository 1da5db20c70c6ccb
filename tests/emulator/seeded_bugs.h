// Small kernels with one bug each, and their correct twins: what the emulator must catch, and what it must let pass.
#pragma once

#include <span>
#include <string_view>

namespace swallowtail::emulator {

struct Seeded {
  std::string_view name;
  void (*run)();
  std::string_view fault;  // words of the message; empty: passes
};
std::span<const Seeded> seeded_kernels();

}  // namespace swallowtail::emulator
