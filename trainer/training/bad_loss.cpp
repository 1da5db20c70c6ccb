#include "trainer/training/bad_loss.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

namespace swallowtail {

void throw_bad_loss(Session& session, const StepInput& input, const std::vector<double>& chunk_losses,
                    const std::vector<float>& logits) {
  int owner = 0;
  std::int64_t bad_chunk = 0;
  while (std::isfinite(chunk_losses[bad_chunk])) ++bad_chunk;
  while (session.share.rank_chunks(input.batch_samples, owner).second <= bad_chunk) ++owner;
  std::string where;
  if (session.ranks.rank() == owner) {
    std::size_t sample = 0;
    while (sample + 1 < logits.size() && std::isfinite(logits[sample])) ++sample;
    where = session.data.train->origin(input.batch.samples[sample]);
  }
  std::int64_t size = static_cast<std::int64_t>(where.size());
  session.ranks.broadcast(Tag{"bad loss", input.step}, owner, std::as_writable_bytes(std::span(&size, 1)));
  where.resize(static_cast<std::size_t>(size));
  session.ranks.broadcast(Tag{"bad loss", input.step}, owner, std::as_writable_bytes(std::span(where)));
  throw Error{ExitCode::numbers, fmt::format("the loss is not finite in step {} (rank {})", input.step, owner), where,
              "lower train.learning_rate, set train.gradient_clip_norm, or look for extreme values in the data"};
}

}  // namespace swallowtail
