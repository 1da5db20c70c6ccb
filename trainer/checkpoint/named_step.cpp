#include "trainer/checkpoint/named_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "parallel/error.h"
#include "trainer/checkpoint/checkpoint.h"

namespace swallowtail {

std::int64_t named_step(const std::filesystem::path& checkpoints, const std::string& wanted) {
  const auto steps = checkpoint_steps(checkpoints);
  if (steps.empty())
    throw Error{ExitCode::usage, "the run has no checkpoint", checkpoints.string(),
                "train it with checkpoint.enabled: true"};
  if (wanted == "last") return steps.back();
  if (wanted == "best") {
    const auto best = Checkpoint::open(checkpoints, steps.back()).state().value("best_step", std::int64_t{-1});
    return best < 0 ? steps.back() : best;
  }
  std::int64_t step = -1;
  const std::string_view digits =
      std::string_view(wanted).starts_with("step-") ? std::string_view(wanted).substr(5) : "";
  std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (std::ranges::find(steps, step) != steps.end()) return step;
  std::string known;
  for (const std::int64_t one : steps) known += fmt::format(" step-{}", one);
  throw Error{ExitCode::usage, fmt::format("the run has no checkpoint '{}'", wanted), checkpoints.string(),
              "it has best, last," + known};
}

}  // namespace swallowtail
