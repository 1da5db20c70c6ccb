# What SWALLOWTAIL_CUDA adds: the program is linked with the device side of cuda_kernels.cmake, and there is the NCCL
# communicator, as a library of its own. Needs the CUDA toolkit (nvcc, the runtime, cuBLAS, CUB)
# and NCCL; LibTorch stays the CPU's.
find_package(CUDAToolkit REQUIRED)
if(NOT TARGET swallowtail_cuda)
  message(FATAL_ERROR "SWALLOWTAIL_CUDA needs nvcc, and there is none; install the CUDA toolkit, or put nvcc into PATH")
endif()
find_path(swallowtail_nccl_include nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(swallowtail_nccl_library nccl HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_LIBRARY_ROOT}/lib)
if(NOT swallowtail_nccl_include OR NOT swallowtail_nccl_library)
  message(FATAL_ERROR "SWALLOWTAIL_CUDA needs NCCL, and there is no nccl.h or libnccl; install libnccl-dev or set "
                      "swallowtail_nccl_include and swallowtail_nccl_library")
endif()

add_library(swallowtail_nccl STATIC ${nccl_sources})
target_include_directories(swallowtail_nccl SYSTEM PRIVATE ${swallowtail_nccl_include})
target_link_libraries(swallowtail_nccl PRIVATE swallowtail_options ${swallowtail_nccl_library} CUDA::cudart
  PUBLIC swallowtail_parallel)
