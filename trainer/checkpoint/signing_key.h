// Ed25519 signatures (RFC 8032) with keys in PEM files, as `openssl genpkey -algorithm ed25519` makes them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace swallowtail {

class SigningKey {
 public:
  /// A private key. Errors: usage where the file cannot be read or holds no Ed25519 key.
  static SigningKey load(const std::filesystem::path& pem);
  /// 128 hexadecimal digits.
  std::string sign(std::string_view text) const;
  /// The public half, 64 hexadecimal digits.
  const std::string& public_hex() const noexcept { return public_hex_; }

 private:
  std::shared_ptr<evp_pkey_st> key_;
  std::string public_hex_;
};

/// The public key of a PEM file that holds it alone or with its private half, 64 hexadecimal digits. Errors: usage.
std::string public_key_of(const std::filesystem::path& pem);

/// False also where key or signature are no such thing.
bool is_signed_by(std::string_view text, std::string_view signature_hex, std::string_view public_hex);

}  // namespace swallowtail
