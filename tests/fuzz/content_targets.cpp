// Images and texts of items.
#include <png.h>

#include <jpeglib.h>
#include <cstdio>

#include "tests/fuzz/target.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/image.h"
#include "trainer/data/tokenizer.h"

namespace swallowtail::fuzz {
namespace {

Verdict judge_image(std::string_view input) {
  static const test::TemporaryDirectory folder;
  ImagePixels pixels;
  std::string reason;
  if (read_image(folder.write("image", input), pixels, reason)) return Verdict::taken;
  expect(!reason.empty(), "a refused image has its reason");
  return Verdict::refused;
}

constexpr unsigned kWidth = 24, kHeight = 10;

std::vector<unsigned char> drawing() {
  std::vector<unsigned char> rgb(std::size_t{3} * kWidth * kHeight);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<unsigned char>(i * i % 253);
  return rgb;
}

std::string png_text() {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = kWidth;
  image.height = kHeight;
  image.format = PNG_FORMAT_RGB;
  std::string text(1 << 16, '\0');
  png_alloc_size_t size = text.size();
  const auto rgb = drawing();
  expect(png_image_write_to_memory(&image, text.data(), &size, 0, rgb.data(), 0, nullptr) != 0, "the seed is a PNG");
  text.resize(size);
  return text;
}

std::string jpeg_text() {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &memory, &size);
  jpeg.image_width = kWidth;
  jpeg.image_height = kHeight;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  auto rgb = drawing();
  for (unsigned row = 0; row < kHeight; ++row) {
    unsigned char* line = rgb.data() + std::size_t{3} * kWidth * row;
    jpeg_write_scanlines(&jpeg, &line, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const std::string text(reinterpret_cast<const char*>(memory), size);
  std::free(memory);
  return text;
}
std::vector<std::string> images() { return {png_text(), jpeg_text()}; }

/// Any bytes are a text.
Verdict judge_text(std::string_view input) {
  for (const std::string& word : words_of(input)) {
    expect(!word.empty() && word.size() <= 64 * 4, "a word has one to 64 letters");
    const auto again = words_of(word);
    expect(again.size() == 1 && again[0] == word, "a word is the word of itself");
  }
  expect(words_of(input, 3).size() <= 3, "no more words than asked for");
  return Verdict::taken;
}
std::vector<std::string> texts() {
  return {"The Na\u00efve caf\u00e9, \u4e2d\u6587 \u0130stanbul 42 - it's 3.5 \U0001f600 \u03a3\u03c3\u03c2"};
}

constexpr Target kTargets[]{{"image", judge_image, images}, {"words", judge_text, texts}};

}  // namespace

std::span<const Target> content_targets() { return kTargets; }

}  // namespace swallowtail::fuzz
