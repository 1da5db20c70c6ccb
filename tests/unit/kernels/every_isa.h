// Walks through the instruction sets of this machine and puts the first choice back.
#pragma once

#include <vector>

#include "kernels/isa.h"

namespace swallowtail {

/// The ones beyond scalar that this machine has: what is compared with it.
inline std::vector<Isa> wide_isas() {
  std::vector<Isa> found;
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    if (isa <= best_isa()) found.push_back(isa);
  return found;
}

class UsesIsa {
 public:
  explicit UsesIsa(Isa isa) : before_(active_isa()) { is_there_ = use_isa(isa); }
  UsesIsa(const UsesIsa&) = delete;
  UsesIsa& operator=(const UsesIsa&) = delete;
  ~UsesIsa() { use_isa(before_); }
  bool is_there() const { return is_there_; }

 private:
  Isa before_;
  bool is_there_;
};

/// What `function` returns under `isa`.
template <typename Function>
auto under(Isa isa, Function function) {
  const UsesIsa use(isa);
  return function();
}

}  // namespace swallowtail
