# configs/clusters/*.yaml, and the experiment that published.yaml is about, as a header, so that the program knows them wherever it runs.
file(GLOB cluster_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/configs/clusters/*.yaml)
list(SORT cluster_files)
set(entries "")
foreach(file ${cluster_files})
  get_filename_component(name ${file} NAME_WE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  if(name STREQUAL "published")
    set(published "${text}")  # results, not a cluster
    continue()
  endif()
  string(APPEND entries "    BuiltInCluster{\"${name}\", R\"yaml(${text})yaml\"},\n")
endforeach()
set(published_experiment_file ${PROJECT_SOURCE_DIR}/configs/plan_mlperf_dcnv2.yaml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${published_experiment_file})
file(READ ${published_experiment_file} published_experiment)
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

/// configs/clusters/published.yaml, and the experiment whose results they are.
inline constexpr std::string_view kPublishedResults = R"yaml(@published@)yaml";
inline constexpr std::string_view kPublishedExperiment = R"yaml(@published_experiment@)yaml";

}  // namespace swallowtail::config
]])
