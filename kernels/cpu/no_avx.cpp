// Stands for the AVX variants where the processor is another: isa.cpp never chooses them there.
#include "kernels/cpu/interaction_kernels.h"

namespace swallowtail::cpu {

const InteractionFamily& interaction_avx2() { return interaction_scalar(); }
const InteractionFamily& interaction_avx512() { return interaction_scalar(); }

}  // namespace swallowtail::cpu
