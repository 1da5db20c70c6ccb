# Options of our own sources alone, as a target that is linked privately.
add_library(swallowtail_options INTERFACE)
target_compile_options(swallowtail_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  -Wno-missing-field-initializers  # also warns of designated initializers, which leave out on purpose
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # GCC 12 sees overlaps in "literal" + std::string (GCC bug 105651)
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>  # without it ccache passes by every file that uses a precompiled header
  # a*b+c rounded once or twice would differ between instruction sets, and so between ranks
  -ffp-contract=off)
if(SWALLOWTAIL_WERROR)
  target_compile_options(swallowtail_options INTERFACE -Werror)
endif()
if(SWALLOWTAIL_SANITIZE)
  target_compile_options(swallowtail_options INTERFACE -fsanitize=${SWALLOWTAIL_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(swallowtail_options INTERFACE -fsanitize=${SWALLOWTAIL_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND SWALLOWTAIL_SANITIZE MATCHES "address")
    target_compile_definitions(swallowtail_options INTERFACE __SANITIZE_ADDRESS__)  # which GCC defines by itself
  endif()
endif()
