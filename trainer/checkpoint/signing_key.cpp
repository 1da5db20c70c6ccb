#include "trainer/checkpoint/signing_key.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <span>
#include <vector>

#include "parallel/error.h"

namespace swallowtail {
namespace {

constexpr std::size_t kPublicBytes = 32, kSignatureBytes = 64;

using Key = std::shared_ptr<evp_pkey_st>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Key read_pem(const std::filesystem::path& pem, bool is_private) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(pem.c_str(), "rb"), std::fclose);
  EVP_PKEY* key = nullptr;
  if (file)
    key = is_private ? PEM_read_PrivateKey(file.get(), nullptr, nullptr, nullptr)
                     : PEM_read_PUBKEY(file.get(), nullptr, nullptr, nullptr);
  return {key, EVP_PKEY_free};
}

std::string hex(std::span<const unsigned char> bytes) {
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

/// Empty where `text` is not exactly `size` bytes in lower-case hexadecimal digits.
std::vector<unsigned char> from_hex(std::string_view text, std::size_t size) {
  std::vector<unsigned char> bytes(size);
  if (text.size() != 2 * size || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return {};
  for (std::size_t i = 0; i < size; ++i) std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, bytes[i], 16);
  return bytes;
}

std::string public_half(const Key& key, const std::filesystem::path& pem) {
  std::array<unsigned char, kPublicBytes> bytes{};
  std::size_t size = bytes.size();
  if (!key || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key.get(), bytes.data(), &size) != 1)
    throw Error{ExitCode::usage, "this is no Ed25519 key in PEM", pem.string(),
                "make one with: openssl genpkey -algorithm ed25519 -out key.pem"};
  return hex(bytes);
}

}  // namespace

SigningKey SigningKey::load(const std::filesystem::path& pem) {
  SigningKey key;
  key.key_ = read_pem(pem, true);
  key.public_hex_ = public_half(key.key_, pem);
  return key;
}

std::string SigningKey::sign(std::string_view text) const {
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::array<unsigned char, kSignatureBytes> signature{};
  std::size_t size = signature.size();
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, bytes, text.size()) != 1)
    throw Error{ExitCode::resources, "a record could not be signed", {}, "check run.signing_key"};
  return hex(signature);
}

std::string public_key_of(const std::filesystem::path& pem) {
  Key key = read_pem(pem, false);
  if (!key) key = read_pem(pem, true);
  return public_half(key, pem);
}

bool is_signed_by(std::string_view text, std::string_view signature_hex, std::string_view public_hex) {
  const auto signature = from_hex(signature_hex, kSignatureBytes), key_bytes = from_hex(public_hex, kPublicBytes);
  if (signature.empty() || key_bytes.empty()) return false;
  const Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key_bytes.data(), key_bytes.size()),
                EVP_PKEY_free);
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
}

}  // namespace swallowtail
