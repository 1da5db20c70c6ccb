#include "trainer/training/step.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "parallel/deterministic_reduce.h"

namespace swallowtail {

namespace {

/// Samples [begin, end) of the local batch as the model sees them: views, no copies.
ModelInput chunk_input(Session& session, const Batch& batch, std::int64_t begin, std::int64_t end) {
  const auto dense = static_cast<std::int64_t>(session.data.train->shape().dense.size());
  ModelInput input;
  input.dense = torch::from_blob(const_cast<float*>(batch.dense.data()) + begin * dense, {end - begin, dense});
  for (std::size_t t = 0; t < session.tables.size(); ++t) {
    const std::int64_t dim = session.tables[t].dim;
    const auto table = static_cast<std::int64_t>(t);
    input.pooled.push_back(torch::from_blob(session.embedding.pooled(table).data() + begin * dim, {end - begin, dim}));
  }
  input.seed = session.seed;
  return input;
}

/// Pooled vectors become leaves whose gradients land where the embedding sends them from.
void catch_gradients(Session& session, ModelInput& input, std::int64_t begin, std::int64_t end) {
  for (std::size_t t = 0; t < session.tables.size(); ++t) {
    const std::int64_t dim = session.tables[t].dim;
    float* gradient = session.embedding.pooled_gradient(static_cast<std::int64_t>(t)).data() + begin * dim;
    input.pooled[t].set_requires_grad(true);
    input.pooled[t].mutable_grad() = torch::from_blob(gradient, {end - begin, dim});
  }
}

template <typename T>
std::span<const T> part(const std::vector<T>& values, std::int64_t begin, std::int64_t end) {
  return values.empty()
             ? std::span<const T>()
             : std::span(values).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

/// The same error on every rank, in the words of the rank that has the first bad chunk.
[[noreturn]] void throw_bad_loss(Session& session, const StepInput& input, const std::vector<double>& chunk_losses,
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

}  // namespace

StepOutcome train_step(Session& session, const StepInput& input, PhaseClock& clock) {
  clock.begin_step(input.step);
  Communicator& ranks = session.ranks;
  const auto [first_chunk, end_chunk] = session.share.rank_chunks(input.batch_samples, ranks.rank());
  const std::int64_t chunks = session.share.chunks(input.batch_samples);
  const std::int64_t rank_start = session.share.rank_samples(input.batch_samples, ranks.rank()).first;

  {
    const auto timed = clock.time(StepPhase::input_exchange);
    session.embedding.exchange_input(input.batch, session.share.sizes(input.batch_samples), input.step);
  }
  {
    const auto timed = clock.time(StepPhase::lookup);
    session.embedding.lookup();
  }

  const std::int64_t dense_size = session.dense.size();
  TreeSum tree(dense_size, chunks, first_chunk, end_chunk);
  // Chunk sums of the loss, and one place for the wish to stop: own places filled, others zero, so that the sum over
  // ranks only copies and no order of summation can change a bit.
  std::vector<double> chunk_losses(static_cast<std::size_t>(chunks) + 1, 0.0);
  chunk_losses.back() = input.stop_requested ? 1 : 0;
  std::vector<float> logits(static_cast<std::size_t>(input.batch.size)), logit_gradients(logits.size());
  session.dense.zero_gradient();
  {
    const auto timed = clock.time(StepPhase::forward_backward);
    for (std::int64_t chunk = first_chunk; chunk < end_chunk; ++chunk) {
      const auto [global_begin, global_end] = session.share.chunk_samples(input.batch_samples, chunk);
      const std::int64_t begin = global_begin - rank_start, end = global_end - rank_start;
      if (begin < end) {
        ModelInput model_input = chunk_input(session, input.batch, begin, end);
        catch_gradients(session, model_input, begin, end);
        model_input.training = true;
        model_input.step = input.step;
        model_input.first_sample = global_begin;
        const torch::Tensor output = session.model->forward(model_input);
        const torch::Tensor flat = output.detach().contiguous();
        std::copy_n(flat.data_ptr<float>(), end - begin, logits.data() + begin);
        chunk_losses[chunk] = loss_sum(
            session.loss, part(logits, begin, end), part(input.batch.labels, begin, end),
            part(input.batch.weights, begin, end), 1.0 / static_cast<double>(input.batch_samples),
            std::span(logit_gradients).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
        output.backward(torch::from_blob(logit_gradients.data() + begin, {end - begin, 1}));
      }
      if (session.share.deterministic()) {
        tree.add(chunk, session.dense.gradient());
        session.dense.zero_gradient();
      }
    }
  }
  StepOutcome outcome;
  {
    const auto timed = clock.time(StepPhase::dense_reduction);
    ranks.all_reduce_sum(Tag{"loss", input.step}, std::span(chunk_losses));
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) outcome.loss += chunk_losses[chunk];
    outcome.loss /= static_cast<double>(input.batch_samples);
    outcome.stop_requested = chunk_losses.back() > 0;
  }
  const bool skip_bad = session.experiment.text("train.on_nonfinite") == "skip";
  if (!std::isfinite(outcome.loss)) {
    if (!skip_bad) throw_bad_loss(session, input, chunk_losses, logits);
    outcome.skipped = true;
    return outcome;
  }
  {
    const auto timed = clock.time(StepPhase::gradient_exchange);
    session.embedding.exchange_gradient();
  }
  {
    const auto timed = clock.time(StepPhase::dense_reduction);
    if (session.share.deterministic())
      tree.finish(ranks, Tag{"dense gradients", input.step}, session.dense.gradient());
    else
      ranks.all_reduce_sum(Tag{"dense gradients", input.step}, session.dense.gradient());
  }
  const auto timed = clock.time(StepPhase::update);
  if (const auto bad = session.dense.non_finite_gradient()) {
    if (!skip_bad)
      throw Error{ExitCode::numbers, fmt::format("the gradient is not finite in step {}", input.step),
                  "parameter " + *bad, "lower train.learning_rate or set train.gradient_clip_norm"};
    outcome.skipped = true;
    return outcome;
  }
  session.dense.clip_gradient(session.experiment.number("train.gradient_clip_norm"));
  session.dense.update(input.step, input.rate_factor);
  session.embedding.update(input.step, static_cast<float>(input.rate_factor));
  return outcome;
}

torch::Tensor predict_step(Session& session, const Batch& batch, std::int64_t batch_samples, std::int64_t step,
                           bool averaged) {
  const torch::NoGradGuard no_grad;
  session.embedding.exchange_input(batch, session.share.sizes(batch_samples), step);
  session.embedding.lookup(averaged);
  const auto [first_chunk, end_chunk] = session.share.rank_chunks(batch_samples, session.ranks.rank());
  const std::int64_t rank_start = session.share.rank_samples(batch_samples, session.ranks.rank()).first;
  std::vector<torch::Tensor> parts;
  for (std::int64_t chunk = first_chunk; chunk < end_chunk; ++chunk) {
    const auto [global_begin, global_end] = session.share.chunk_samples(batch_samples, chunk);
    if (global_begin == global_end) continue;
    parts.push_back(
        session.model->forward(chunk_input(session, batch, global_begin - rank_start, global_end - rank_start)));
  }
  return parts.empty() ? torch::empty({0, 1}) : torch::cat(parts, 0);
}

}  // namespace swallowtail
