#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/target.h"

namespace swallowtail::fuzz {

std::vector<Target> targets() {
  std::vector<Target> all;
  for (const auto& some :
       {config_targets(), data_targets(), interaction_targets(), content_targets(), checkpoint_targets()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

const Target* find_target(std::string_view name) {
  static const std::vector<Target> all = targets();
  const auto found = std::ranges::find(all, name, &Target::name);
  return found == all.end() ? nullptr : &*found;
}

void broken(std::string_view promise) {
  std::fprintf(stderr, "BROKEN: %.*s\n", static_cast<int>(promise.size()), promise.data());
  std::abort();
}

}  // namespace swallowtail::fuzz
