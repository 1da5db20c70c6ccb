// Stands for the AVX variants where the processor is another: isa.cpp never chooses them there.
#include "kernels/cpu/criteo_kernels.h"
#include "kernels/cpu/cross_kernels.h"
#include "kernels/cpu/embedding_kernels.h"
#include "kernels/cpu/factor_kernels.h"
#include "kernels/cpu/interaction_kernels.h"
#include "kernels/cpu/item_panels_kernels.h"
#include "kernels/cpu/kmeans_kernels.h"
#include "kernels/cpu/machine_limits_kernels.h"
#include "kernels/cpu/marks_kernels.h"
#include "kernels/cpu/row_update_kernels.h"
#include "kernels/cpu/softmax_rows_kernels.h"
#include "kernels/cpu/top_k_kernels.h"
#include "kernels/cpu/wire_kernels.h"

namespace swallowtail::cpu {

const EmbeddingFamily& embedding_avx2() { return embedding_scalar(); }
const EmbeddingFamily& embedding_avx512() { return embedding_scalar(); }
const FactorFamily& factor_avx2() { return factor_scalar(); }
const FactorFamily& factor_avx512() { return factor_scalar(); }
const InteractionFamily& interaction_avx2() { return interaction_scalar(); }
const InteractionFamily& interaction_avx512() { return interaction_scalar(); }
const RowUpdateFamily& row_update_avx2() { return row_update_scalar(); }
const RowUpdateFamily& row_update_avx512() { return row_update_scalar(); }
const CrossFamily& cross_avx2() { return cross_scalar(); }
const CrossFamily& cross_avx512() { return cross_scalar(); }
const ItemPanelFamily& item_panels_avx2() { return item_panels_scalar(); }
const ItemPanelFamily& item_panels_avx512() { return item_panels_scalar(); }
const KmeansFamily& kmeans_avx2() { return kmeans_scalar(); }
const KmeansFamily& kmeans_avx512() { return kmeans_scalar(); }
const SoftmaxFamily& softmax_rows_avx2() { return softmax_rows_scalar(); }
const SoftmaxFamily& softmax_rows_avx512() { return softmax_rows_scalar(); }
const TopKFamily& top_k_avx2() { return top_k_scalar(); }
const TopKFamily& top_k_avx512() { return top_k_scalar(); }
const MachineLimitsFamily& machine_limits_avx2() { return machine_limits_scalar(); }
const MachineLimitsFamily& machine_limits_avx512() { return machine_limits_scalar(); }
const MarksFamily& marks_avx2() { return marks_scalar(); }
const MarksFamily& marks_avx512() { return marks_scalar(); }
const CriteoFamily& criteo_avx2() { return criteo_scalar(); }
const CriteoFamily& criteo_avx512() { return criteo_scalar(); }
const WireFamily& wire_avx2() { return wire_scalar(); }
const WireFamily& wire_avx512() { return wire_scalar(); }

}  // namespace swallowtail::cpu
