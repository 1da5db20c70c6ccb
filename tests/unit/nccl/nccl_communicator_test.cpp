// Built with SWALLOWTAIL_CUDA: that the NCCL backend links, and what it says where there is no GPU.
#include "parallel/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "parallel/local_communicator.h"

namespace swallowtail {
namespace {

int devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

TEST(NcclCommunicator, SaysThatThereIsNoGpu) {
  const auto host = make_single_rank();
  const int missing = devices();  // the first number that no GPU has
  try {
    make_nccl_communicator(*host, {.device = missing});
    FAIL() << "made a communicator on GPU " << missing;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resources);
    const auto& message = error.message();
    EXPECT_NE(message.find("GPU"), std::string::npos) << message;
    EXPECT_NE(message.find(", at rank 0, GPU " + std::to_string(missing) + "; "), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_THROW(make_nccl_communicator(*host, {.device = -1}), Error);
}

TEST(NcclCommunicator, SumsAndCopiesOnOneGpu) {
  if (devices() == 0) GTEST_SKIP() << "no GPU here: nothing of NCCL was run";
  const auto host = make_single_rank();
  const auto ranks = make_nccl_communicator(*host);
  void* memory = nullptr;
  ASSERT_EQ(cudaMallocManaged(&memory, 200 * sizeof(float), cudaMemAttachGlobal), cudaSuccess);
  auto* const values = static_cast<float*>(memory);
  for (int i = 0; i < 100; ++i) values[i] = static_cast<float>(i);
  const std::span first(values, 100), second(values + 100, 100);
  ranks->all_reduce_sum({"sum", 1}, first);
  ranks->exchange({"copy", 1}, 0, std::as_bytes(first), 0, std::as_writable_bytes(second));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(second[static_cast<std::size_t>(i)], static_cast<float>(i));
  const auto part = ranks->split({"split", 1}, 0);
  part->barrier({"end", 1});
  cudaFree(memory);
}

}  // namespace
}  // namespace swallowtail
