// Images: what PNG and JPEG files hold, made small; whatever cannot be read is refused with a reason.
#include "trainer/data/image.h"

#include <gtest/gtest.h>
#include <png.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include <jpeglib.h>  // needs <cstdio> before it

#include "kernels/random.h"
#include "tests/unit/data/temporary_directory.h"

namespace swallowtail {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes plain(std::int64_t width, std::int64_t height, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  Bytes rgb;
  for (std::int64_t i = 0; i < width * height; ++i) rgb.insert(rgb.end(), {red, green, blue});
  return rgb;
}

void write_png(const std::filesystem::path& path, const Bytes& rgb, std::int64_t width, std::int64_t height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  ASSERT_NE(png_image_write_to_file(&image, path.c_str(), 0, rgb.data(), 0, nullptr), 0);
}

void write_jpeg(const std::filesystem::path& path, Bytes rgb, std::int64_t width, std::int64_t height) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  jpeg_stdio_dest(&info, file);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = rgb.data() + static_cast<std::size_t>(info.next_scanline) * static_cast<std::size_t>(width) * 3;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::fclose(file);
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int at(const ImagePixels& pixels, std::int64_t channel, std::int64_t y, std::int64_t x) {
  return pixels[static_cast<std::size_t>((channel * kImageSide + y) * kImageSide + x)];
}

TEST(Image, PngAndJpegOfAnySizeBecomeSmallSquares) {
  const test::TemporaryDirectory directory;
  for (const auto& [width, height] : {std::pair(64, 64), {1, 1}, {200, 50}, {3, 97}}) {
    for (const bool is_png : {true, false}) {
      const auto file = directory.path() / "image";
      is_png ? write_png(file, plain(width, height, 200, 100, 50), width, height)
             : write_jpeg(file, plain(width, height, 200, 100, 50), width, height);
      ImagePixels pixels;
      std::string reason;
      ASSERT_TRUE(read_image(file, pixels, reason)) << reason;
      for (const std::int64_t place : {0, 31, 63}) {
        EXPECT_NEAR(at(pixels, 0, place, 63 - place), 200, is_png ? 0 : 3);
        EXPECT_NEAR(at(pixels, 1, place, place), 100, is_png ? 0 : 3);
        EXPECT_NEAR(at(pixels, 2, 63 - place, place), 50, is_png ? 0 : 3);
      }
    }
  }
}

TEST(Image, CellsAreMeansOfWhatTheyCover) {
  Bytes rgb;
  for (int y = 0; y < 128; ++y)
    for (int x = 0; x < 192; ++x)
      rgb.insert(rgb.end(), {static_cast<std::uint8_t>(x), static_cast<std::uint8_t>(y), 9});
  const ImagePixels pixels = shrink_image(rgb, 192, 128);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) {
      EXPECT_EQ(at(pixels, 0, y, x), 3 * x + 1);           // of 3 columns
      EXPECT_NEAR(at(pixels, 1, y, x), 2 * y + 0.5, 0.5);  // of 2 rows
      EXPECT_EQ(at(pixels, 2, y, x), 9);
    }
}

TEST(Image, WhatCannotBeReadIsRefused) {
  const test::TemporaryDirectory directory;
  const auto file = directory.path() / "image";
  ImagePixels pixels;
  std::string reason;
  EXPECT_FALSE(read_image(file, pixels, reason));
  EXPECT_NE(reason.find("cannot be read"), std::string::npos) << reason;
  std::ofstream(file) << "GIF89a";
  EXPECT_FALSE(read_image(file, pixels, reason));
  EXPECT_NE(reason.find("neither PNG nor JPEG"), std::string::npos) << reason;

  // A PNG that claims 60,000 x 60,000 pixels: refused before memory is taken.
  write_png(file, plain(8, 8, 1, 2, 3), 8, 8);
  std::string bytes = content_of(file);
  std::string huge = bytes;
  for (const std::size_t place : {16U, 20U}) huge.replace(place, 4, std::string("\0\0\xEA\x60", 4));
  std::ofstream(file, std::ios::binary) << huge;
  EXPECT_FALSE(read_image(file, pixels, reason));

  // Cut or changed anywhere, a file is read or refused, and nothing else happens.
  Bytes noise;
  for (std::uint64_t i = 0; i < 24 * 24 * 3; ++i) noise.push_back(static_cast<std::uint8_t>(random::bits(1, 1, i)));
  for (const bool is_png : {true, false}) {
    is_png ? write_png(file, noise, 24, 24) : write_jpeg(file, noise, 24, 24);
    bytes = content_of(file);
    for (std::size_t cut = 0; cut < bytes.size(); cut += 37) {
      std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes.substr(0, cut);
      EXPECT_FALSE(read_image(file, pixels, reason)) << cut << " of " << bytes.size();
    }
    for (std::uint64_t draw = 0; draw < 100; ++draw) {
      std::string changed = bytes;
      for (std::uint64_t k = 0; k < 3; ++k)
        changed[static_cast<std::size_t>(random::below(random::bits(2, 2, draw, k), std::ssize(bytes)))] =
            static_cast<char>(random::bits(3, 3, draw, k));
      std::ofstream(file, std::ios::binary | std::ios::trunc) << changed;
      reason.clear();
      if (!read_image(file, pixels, reason)) {
        EXPECT_FALSE(reason.empty());
      }
    }
  }
}

}  // namespace
}  // namespace swallowtail
