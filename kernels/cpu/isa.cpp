#include "kernels/isa.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <utility>

namespace swallowtail {

namespace {

constexpr const char* kVariable = "SWALLOWTAIL_ISA";

constexpr std::array kNames{std::pair{Isa::scalar, std::string_view("scalar")},
                            std::pair{Isa::avx2, std::string_view("avx2")},
                            std::pair{Isa::avx512, std::string_view("avx512")}};

Isa first_choice() noexcept {
  const char* wanted = std::getenv(kVariable);
  const auto isa = wanted == nullptr ? std::nullopt : parse_isa(wanted);
  return isa && *isa <= best_isa() ? *isa : best_isa();
}

std::atomic<Isa>& choice() noexcept {
  static std::atomic<Isa> active{first_choice()};
  return active;
}

}  // namespace

std::string_view name_of(Isa isa) noexcept {
  return std::ranges::find(kNames, isa, &decltype(kNames)::value_type::first)->second;
}

std::optional<Isa> parse_isa(std::string_view name) noexcept {
  const auto found = std::ranges::find(kNames, name, &decltype(kNames)::value_type::second);
  return found == kNames.end() ? std::nullopt : std::optional(found->first);
}

Isa best_isa() noexcept {                       // also asks whether the system saves the wide registers
#if defined(__x86_64__) && !defined(__clang__)  // clang's builds hold no_avx.cpp: see CMakeLists.txt
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return Isa::scalar;
  const bool is_wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return is_wide ? Isa::avx512 : Isa::avx2;
#else
  return Isa::scalar;
#endif
}

Isa active_isa() noexcept { return choice().load(std::memory_order_relaxed); }

bool use_isa(Isa wanted) noexcept {
  if (wanted > best_isa()) return false;
  choice() = wanted;
  return true;
}

std::optional<std::string> isa_refusal() {
  const char* wanted = std::getenv(kVariable);
  if (wanted == nullptr) return {};
  const auto isa = parse_isa(wanted);
  if (!isa) return std::string(kVariable) + " is '" + wanted + "', which is none of scalar, avx2, avx512";
  if (*isa > best_isa())
    return std::string(kVariable) + " is " + wanted + ", but this machine has at most " +
           std::string(name_of(best_isa()));
  return {};
}

}  // namespace swallowtail
