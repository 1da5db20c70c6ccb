#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

TEST(Isa, NamesAreRead) {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) EXPECT_EQ(parse_isa(name_of(isa)), isa);
  EXPECT_FALSE(parse_isa("sse9"));
}

TEST(Isa, AForcedOneIsUsedWhereTheMachineHasIt) {
  const Isa before = active_isa();
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    const UsesIsa use(isa);
    EXPECT_EQ(use.is_there(), isa <= best_isa());
    EXPECT_EQ(active_isa(), isa <= best_isa() ? isa : before);
  }
  EXPECT_EQ(active_isa(), before);
}

TEST(Isa, AnEnvironmentThatCannotBeFollowedIsRefused) {
  const char* const before = std::getenv("SWALLOWTAIL_ISA");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("SWALLOWTAIL_ISA", "sse9", 1);
  EXPECT_EQ(isa_refusal(), "SWALLOWTAIL_ISA is 'sse9', which is none of scalar, avx2, avx512");
  ::setenv("SWALLOWTAIL_ISA", "scalar", 1);
  EXPECT_FALSE(isa_refusal());
  ::setenv("SWALLOWTAIL_ISA", "avx512", 1);
  EXPECT_EQ(isa_refusal().has_value(), best_isa() < Isa::avx512);
  ::unsetenv("SWALLOWTAIL_ISA");
  EXPECT_FALSE(isa_refusal());
  if (before != nullptr) ::setenv("SWALLOWTAIL_ISA", kept.c_str(), 1);
}

}  // namespace
}  // namespace swallowtail
