# What SWALLOWTAIL_CUDA adds: today the NCCL communicator, as a library of its own.
find_package(CUDAToolkit REQUIRED)
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
