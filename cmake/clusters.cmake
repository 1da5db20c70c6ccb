# configs/clusters/*.yaml as a header, so that the program knows them wherever it runs.
file(GLOB cluster_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/configs/clusters/*.yaml)
list(SORT cluster_files)
set(entries "")
foreach(file ${cluster_files})
  get_filename_component(name ${file} NAME_WE)
  if(name STREQUAL "published")
    continue()  # results, not a cluster
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  string(APPEND entries "    BuiltInCluster{\"${name}\", R\"yaml(${text})yaml\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/trainer/config/built_in_clusters.h @ONLY CONTENT
[[// Made by cmake/clusters.cmake from configs/clusters/*.yaml.
#pragma once

#include <string_view>

namespace swallowtail::config {

struct BuiltInCluster {
  std::string_view name, text;
};
inline constexpr BuiltInCluster kBuiltInClusters[]{
@entries@};

}  // namespace swallowtail::config
]])
