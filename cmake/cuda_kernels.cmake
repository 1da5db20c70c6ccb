# kernels/cuda compiled by nvcc, where there is one: the library swallowtail_cuda, for the generations in
# SWALLOWTAIL_CUDA_ARCHITECTURES, with what ptxas says of every kernel beside the objects (tests/nvcc reads it). nvcc is
# called directly, through ccache where the build has it: for CMake 3.25 a CUDA source knows C++17 at most. Nothing of
# this is part of `all`; the targets that want it name it.
set(SWALLOWTAIL_CUDA_ARCHITECTURES 80 90 100 CACHE STRING "generations that the kernels are compiled for")
find_program(swallowtail_nvcc nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
if(NOT swallowtail_nvcc)
  message(STATUS "no nvcc: the CUDA kernels are not compiled, only emulated")
  return()
endif()
find_package(CUDAToolkit QUIET)
if(NOT TARGET CUDA::cudart)
  message(WARNING "there is nvcc, but no CUDA runtime beside it: the CUDA kernels are not compiled, only emulated")
  return()
endif()

set(swallowtail_nvcc_flags -std=c++20 -O3 -lineinfo -I${PROJECT_SOURCE_DIR}
  --fmad=false               # a*b+c is rounded twice, as on the host; bodies say fmaf where they mean it
  --expt-relaxed-constexpr   # host's constexpr functions (kernels/random.h) in bodies
  --Werror all-warnings -Xcompiler -Wall,-Wextra,-Wshadow,-Werror,-fPIC -Xptxas -v --threads 0)
foreach(architecture ${SWALLOWTAIL_CUDA_ARCHITECTURES})
  list(APPEND swallowtail_nvcc_flags -gencode arch=compute_${architecture},code=sm_${architecture})
endforeach()

set(swallowtail_ptxas_folder ${CMAKE_BINARY_DIR}/cuda)
file(MAKE_DIRECTORY ${swallowtail_ptxas_folder})
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
set(cuda_objects "")
foreach(source ${cuda_sources})
  get_filename_component(name ${source} NAME_WE)
  set(object ${swallowtail_ptxas_folder}/${name}.o)
  set(log ${swallowtail_ptxas_folder}/${name}.ptxas.txt)
  add_custom_command(OUTPUT ${object} BYPRODUCTS ${log}
    COMMAND sh -c [[log=$1; shift; "$@" > "$log" 2>&1 || { cat "$log"; exit 1; }]] nvcc ${log}
      ${CMAKE_CXX_COMPILER_LAUNCHER} ${swallowtail_nvcc} ${swallowtail_nvcc_flags} -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source} DEPFILE ${object}.d VERBATIM COMMENT "nvcc kernels/cuda/${name}.cu")
  list(APPEND cuda_objects ${object})
endforeach()
add_library(swallowtail_cuda STATIC EXCLUDE_FROM_ALL ${cuda_objects})
set_target_properties(swallowtail_cuda PROPERTIES LINKER_LANGUAGE CXX)
target_include_directories(swallowtail_cuda PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(swallowtail_cuda PUBLIC CUDA::cudart CUDA::cublas)

# Ranks with a device each.
find_path(swallowtail_nccl_include nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(swallowtail_nccl_library nccl HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_LIBRARY_ROOT}/lib)
if(NOT swallowtail_nccl_include OR NOT swallowtail_nccl_library)
  message(STATUS "there is nvcc, but no NCCL (libnccl-dev): the program's device side is not compiled, only emulated")
  return()
endif()
add_library(swallowtail_nccl STATIC EXCLUDE_FROM_ALL ${nccl_sources})
target_include_directories(swallowtail_nccl SYSTEM PRIVATE ${swallowtail_nccl_include})
target_link_libraries(swallowtail_nccl PRIVATE swallowtail_options ${swallowtail_nccl_library} CUDA::cudart
  PUBLIC swallowtail_parallel)

# The trainer's device side over them: models that know nothing of each other, and use_devices(), which offers them.
foreach(part dlrm factors devices)
  file(GLOB device_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/trainer/device/${part}/*.cpp)
  add_library(swallowtail_device_${part} STATIC EXCLUDE_FROM_ALL ${device_sources})
  target_link_libraries(swallowtail_device_${part} PRIVATE swallowtail_options PUBLIC swallowtail_device swallowtail_cuda)
endforeach()
target_link_libraries(swallowtail_device_dlrm PRIVATE swallowtail_nccl)
target_link_libraries(swallowtail_device_devices PUBLIC swallowtail_device_dlrm swallowtail_device_factors)
