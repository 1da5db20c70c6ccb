// The choice of a family's variant, once a call and outside its loops. A family is a struct of function pointers, a
// function that gives it for each instruction set, and a body that the wide ones share; no_avx.cpp takes the place of
// the wide ones on other processors.
#pragma once

#include "kernels/isa.h"

namespace swallowtail::cpu {

template <typename Family>
const Family& of_active_isa(const Family& (*scalar)(), const Family& (*avx2)(), const Family& (*avx512)()) noexcept {
  switch (active_isa()) {
    case Isa::avx512:
      return avx512();
    case Isa::avx2:
      return avx2();
    case Isa::scalar:
      break;
  }
  return scalar();
}

}  // namespace swallowtail::cpu
