#include "trainer/data/byte_source.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "kernels/random.h"
#include "parallel/error.h"
#include "tests/unit/data/temporary_directory.h"

namespace swallowtail {
namespace {

using test::TemporaryDirectory;

std::string payload(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i)
    text += static_cast<char>('a' + random::below(random::bits(1, 2, i), i % 3 ? 26 : 2));
  return text;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string read_all(const std::filesystem::path& path, std::size_t piece_bytes) {
  const auto bytes = open_bytes(path);
  std::string text, piece(piece_bytes, '\0');
  while (const std::size_t got = bytes->read(piece)) text.append(piece, 0, got);
  return text;
}

TEST(ByteSource, GivesBackWhatWasStored) {
  TemporaryDirectory directory;
  for (const std::size_t size : {0, 1, 3, 4, 5, 1000, 300'000, 3'000'000}) {
    const std::string text = payload(size);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{65536}, std::size_t{4} << 20}) {
      if (size / piece > 400'000) continue;  // bytes one by one: small files will do
      EXPECT_EQ(read_all(directory.write("p", text), piece), text);
      EXPECT_EQ(read_all(directory.write("g", gzip(text)), piece), text);
      EXPECT_EQ(read_all(directory.write("z", zstd(text)), piece), text);
      EXPECT_EQ(read_all(directory.write("gg", gzip(text) + gzip("more")), piece), text + "more");
      EXPECT_EQ(read_all(directory.write("zz", zstd(text) + zstd("more")), piece), text + "more");
    }
  }
  const std::string zeros(20'000'000, '0');  // compresses so far that all input is taken before the output is given out
  EXPECT_EQ(read_all(directory.write("g", gzip(zeros)), 1000), zeros);
  EXPECT_EQ(read_all(directory.write("z", zstd(zeros)), 1000), zeros);
}

TEST(ByteSource, NoticesEveryTruncation) {
  TemporaryDirectory directory;
  const std::string text = payload(2000);
  for (const auto& packed : {gzip(text), zstd(text)})
    for (std::size_t keep = 4; keep < packed.size(); keep += keep < 40 || keep + 40 > packed.size() ? 1 : 37) try {
        read_all(directory.write("cut", packed.substr(0, keep)), 100);
        ADD_FAILURE() << keep << " of " << packed.size() << " bytes passed";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::data);
        EXPECT_NE(error.fact().find("truncated"), std::string::npos) << error.fact() << " after " << keep;
        EXPECT_TRUE(error.where().ends_with("cut: byte " + std::to_string(keep))) << error.where();
      }
}

TEST(ByteSource, NoticesDamageAndWhatIsNoFile) {
  TemporaryDirectory directory;
  std::string packed = gzip(payload(2000));
  packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 1);  // in the check sum
  EXPECT_THROW(read_all(directory.write("g", packed), 100), Error);
  EXPECT_THROW(read_all(directory.write("g", gzip("a") + "garbage"), 100), Error);
  EXPECT_THROW(open_bytes(directory.path()), Error);
  EXPECT_THROW(open_bytes(directory.path() / "none"), Error);
}

}  // namespace
}  // namespace swallowtail
