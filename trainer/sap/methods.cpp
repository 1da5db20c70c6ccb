#include "trainer/sap/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace swallowtail {
namespace {

using Order = SapWorkshop::Order;

std::uint64_t of_types(const std::vector<Order>& components, std::initializer_list<std::string_view> types) {
  std::uint64_t mask = 0;
  for (std::size_t c = 0; c < components.size(); ++c)
    if (std::ranges::find(types, components[c].type) != types.end()) mask |= std::uint64_t{1} << c;
  return mask;
}

}  // namespace

std::uint64_t mask_of(const std::vector<Order>& components, const std::vector<std::string>& names,
                      const Experiment& experiment, const std::string& key) {
  if (names.empty()) return ~std::uint64_t{0};
  std::uint64_t mask = 0;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(components, name, &Order::name);
    if (found == components.end())
      throw experiment.error(key, fmt::format("there is no component '{}'", name), "name some of sap.components");
    mask |= std::uint64_t{1} << (found - components.begin());
  }
  return mask;
}

std::int64_t strata_capacity(const Strata& strata) {
  return strata.dim == 0 ? 1
                         : std::max<std::int64_t>(1, static_cast<std::int64_t>(strata.centroids.size()) / strata.dim);
}

std::vector<std::uint64_t> methods_of(const std::vector<Order>& components, const Strata& strata,
                                      const Histories& train, const SapOptions& options, const Experiment& experiment) {
  std::vector<std::uint64_t> masks(static_cast<std::size_t>(strata_capacity(strata)) + 2, ~std::uint64_t{0});
  if (options.method == SapMethod::automatic) return masks;
  for (std::int64_t s = 0; s < std::max<std::int64_t>(1, strata.count()); ++s) {
    const bool is_dense = strata.count() == 0 || strata.facts(static_cast<std::int32_t>(s), train).is_dense();
    if (options.method == SapMethod::usual) {
      const std::uint64_t usual =
          is_dense ? of_types(components, {"sasrec", "gru4rec", "einmf"}) : of_types(components, {"einmf", "content"});
      if (usual != 0) masks[s] = usual;
      continue;
    }
    for (const std::string& name : {fmt::format("stratum {}", s + 1), std::string(is_dense ? "dense" : "sparse")}) {
      const auto found = options.listed.find(name);
      if (found == options.listed.end()) continue;
      masks[s] = mask_of(components, found->second, experiment, fmt::format("sap.methods.{}.components", name));
      break;
    }
  }
  return masks;
}

std::vector<std::size_t> cold_order(const std::vector<Order>& components, const SapOptions& options) {
  std::vector<std::size_t> order;
  const auto add = [&](const auto& wanted, auto member) {
    for (std::size_t c = 0; c < components.size(); ++c)
      if (components[c].*member == wanted) order.push_back(c);
  };
  if (const auto listed = options.listed.find("cold"); listed != options.listed.end())
    for (const std::string& name : listed->second) add(name, &Order::name);
  else
    for (const char* type : {"demographic", "content", "youtube", "popularity"}) add(type, &Order::type);
  if (order.empty()) {
    order.resize(components.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
  }
  return order;
}

}  // namespace swallowtail
