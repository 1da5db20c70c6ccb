// Whether numbers are numbers.
#pragma once

#include <span>

namespace swallowtail {

/// True where one of `values` is NaN or infinite. Shared among threads where there are many.
bool has_non_finite(std::span<const float> values) noexcept;

}  // namespace swallowtail
