# What SWALLOWTAIL_CUDA adds: the program is linked with the device side of cuda_kernels.cmake. Needs the CUDA toolkit
# (nvcc, the runtime, cuBLAS, CUB) and NCCL; LibTorch stays the CPU's.
find_package(CUDAToolkit REQUIRED)
if(NOT TARGET swallowtail_cuda)
  message(FATAL_ERROR "SWALLOWTAIL_CUDA needs nvcc, and there is none; install the CUDA toolkit, or put nvcc into PATH")
endif()
if(NOT TARGET swallowtail_nccl)
  message(FATAL_ERROR "SWALLOWTAIL_CUDA needs NCCL, and there is no nccl.h or libnccl; install libnccl-dev or set "
                      "swallowtail_nccl_include and swallowtail_nccl_library")
endif()
