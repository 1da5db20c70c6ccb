#include "trainer/data/image.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <fstream>
#include <iterator>

#include <jpeglib.h>  // needs <cstdio> before it

namespace swallowtail {
namespace {

constexpr std::uintmax_t kMostBytes = std::uintmax_t{64} << 20;
constexpr std::int64_t kMostPixels = 50'000'000;

struct Decoded {
  std::int64_t width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
};

bool has_room(std::int64_t width, std::int64_t height, std::string& reason) {
  if (width > 0 && height > 0 && width <= kMostPixels / height) return true;
  reason = "the image has more than 50 million pixels, or none";
  return false;
}

bool decode_png(const std::vector<char>& bytes, Decoded& out, std::string& reason) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
    reason = std::string("the PNG is damaged: ") + image.message;
    return false;
  }
  if (!has_room(image.width, image.height, reason)) {
    png_image_free(&image);
    return false;
  }
  image.format = PNG_FORMAT_RGB;
  out.width = image.width;
  out.height = image.height;
  out.rgb.resize(PNG_IMAGE_SIZE(image));
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&image, &black, out.rgb.data(), 0, nullptr) != 0) return true;
  reason = std::string("the PNG is damaged: ") + image.message;
  png_image_free(&image);
  return false;
}

struct JpegErrors {
  jpeg_error_mgr manager;  // first: libjpeg knows only it
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

/// From libjpeg, which wants no return: no object with a destructor lives between it and setjmp.
[[noreturn]] void jpeg_failed(j_common_ptr info) {
  auto* const errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->back, 1);
}

void jpeg_says_nothing(j_common_ptr) {}

/// One step of decoding; false where libjpeg gave up. `rows` is null for the header alone.
bool jpeg_step(jpeg_decompress_struct& info, JpegErrors& errors, const std::vector<char>& bytes, std::uint8_t* rows) {
  if (setjmp(errors.back) != 0) return false;
  if (rows == nullptr) {
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&info, TRUE);
    return true;
  }
  info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = rows + static_cast<std::size_t>(info.output_scanline) * info.output_width * 3;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

bool decode_jpeg(const std::vector<char>& bytes, Decoded& out, std::string& reason) {
  JpegErrors errors{};
  jpeg_decompress_struct info{};
  info.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = jpeg_failed;
  errors.manager.output_message = jpeg_says_nothing;
  jpeg_create_decompress(&info);
  bool is_good = jpeg_step(info, errors, bytes, nullptr);
  if (!is_good) reason = std::string("the JPEG is damaged: ") + errors.message;
  if (is_good && (is_good = has_room(info.image_width, info.image_height, reason))) {
    out.width = info.image_width;
    out.height = info.image_height;
    out.rgb.resize(static_cast<std::size_t>(3 * out.width * out.height));
    // A warning means that data are missing or wrong, which libjpeg fills with grey.
    is_good = jpeg_step(info, errors, bytes, out.rgb.data()) && errors.manager.num_warnings == 0;
    if (!is_good)
      reason = std::string("the JPEG is damaged: ") + (errors.message[0] != 0 ? errors.message : "data are missing");
  }
  jpeg_destroy_decompress(&info);
  return is_good;
}

}  // namespace

ImagePixels shrink_image(std::span<const std::uint8_t> rgb, std::int64_t width, std::int64_t height) {
  ImagePixels pixels;
  const auto range = [](std::int64_t cell, std::int64_t size) {
    const double side = kImageSide;
    return std::pair(static_cast<double>(cell * size) / side, static_cast<double>((cell + 1) * size) / side);
  };
  for (std::int64_t y = 0; y < kImageSide; ++y)
    for (std::int64_t x = 0; x < kImageSide; ++x) {
      const auto [top, bottom] = range(y, height);
      const auto [left, right] = range(x, width);
      double sums[3] = {}, area = 0;
      for (auto row = static_cast<std::int64_t>(top); row < height && static_cast<double>(row) < bottom; ++row)
        for (auto column = static_cast<std::int64_t>(left); column < width && static_cast<double>(column) < right;
             ++column) {
          const double share =
              (std::min(bottom, static_cast<double>(row + 1)) - std::max(top, static_cast<double>(row))) *
              (std::min(right, static_cast<double>(column + 1)) - std::max(left, static_cast<double>(column)));
          for (int c = 0; c < 3; ++c) sums[c] += share * rgb[static_cast<std::size_t>((row * width + column) * 3 + c)];
          area += share;
        }
      for (int c = 0; c < 3; ++c)
        pixels[static_cast<std::size_t>((c * kImageSide + y) * kImageSide + x)] =
            static_cast<std::uint8_t>(std::lround(sums[c] / area));
    }
  return pixels;
}

bool read_image(const std::filesystem::path& path, ImagePixels& pixels, std::string& reason) {
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  if (failure) {
    reason = "the image cannot be read: " + failure.message();
    return false;
  }
  if (size > kMostBytes) {
    reason = "the image has more than 64 MiB";
    return false;
  }
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto begins_with = [&](std::string_view start) {
    return std::string_view(bytes.data(), bytes.size()).starts_with(start);
  };
  Decoded decoded;
  if (begins_with("\x89PNG\r\n\x1a\n")) {
    if (!decode_png(bytes, decoded, reason)) return false;
  } else if (begins_with("\xFF\xD8\xFF")) {
    if (!decode_jpeg(bytes, decoded, reason)) return false;
  } else {
    reason = "the image is neither PNG nor JPEG";
    return false;
  }
  pixels = shrink_image(decoded.rgb, decoded.width, decoded.height);
  return true;
}

}  // namespace swallowtail
