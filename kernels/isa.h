// Which instruction set the CPU kernels use: one choice for the whole process, made once. Every kernel gives the same
// bits under all of them, so ranks of one run may differ.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swallowtail {

enum class Isa : std::uint8_t { scalar, avx2, avx512 };  // rising: a machine that has one has all before it

std::string_view name_of(Isa isa) noexcept;
std::optional<Isa> parse_isa(std::string_view name) noexcept;

/// The widest that this machine and its system have. avx2 stands for AVX2 with FMA and F16C, avx512 for AVX-512 F, BW,
/// DQ and VL.
Isa best_isa() noexcept;
/// What kernels use: SWALLOWTAIL_ISA where it names an instruction set of this machine, else best_isa().
Isa active_isa() noexcept;
/// False, and no change, where the machine lacks it. Not while kernels run.
bool use_isa(Isa wanted) noexcept;
/// Why SWALLOWTAIL_ISA cannot be followed, in a few words, or nothing: a program asks before it starts.
std::optional<std::string> isa_refusal();

}  // namespace swallowtail
