// Images, PNG or JPEG, as small squares of fixed size. Any number of threads may call these.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace swallowtail {

constexpr std::int64_t kImageSide = 64;
constexpr std::int64_t kImageBytes = 3 * kImageSide * kImageSide;

/// An image as [3, 64, 64] bytes: red, green, blue.
using ImagePixels = std::array<std::uint8_t, static_cast<std::size_t>(kImageBytes)>;

/// The whole image, whatever its proportions, each cell the mean of what it covers; transparency before black.
/// Nothing where it could not be read, and `reason` says why: no file, neither PNG nor JPEG, damaged, more than 64 MiB
/// or 50 million pixels.
bool read_image(const std::filesystem::path& path, ImagePixels& pixels, std::string& reason);

/// [height, width, 3] bytes to [3, 64, 64].
ImagePixels shrink_image(std::span<const std::uint8_t> rgb, std::int64_t width, std::int64_t height);

}  // namespace swallowtail
