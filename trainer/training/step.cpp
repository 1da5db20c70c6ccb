#include "trainer/training/step.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "parallel/deterministic_reduce.h"
#include "trainer/models/reads_texts.h"
#include "trainer/training/bad_loss.h"
#include "trainer/training/device_run.h"

namespace swallowtail {

namespace {

/// Samples [begin, end) of the local batch as the model sees them, without the pooled vectors: views, no copies.
ModelInput chunk_input(Session& session, const Batch& batch, std::int64_t begin, std::int64_t end) {
  const auto dense = static_cast<std::int64_t>(session.data.train->shape().dense.size());
  ModelInput input;
  input.dense = torch::from_blob(const_cast<float*>(batch.dense.data()) + begin * dense, {end - begin, dense});
  input.seed = session.seed;
  return input;
}

void add_pooled(Session& session, ModelInput& input, std::int64_t begin, std::int64_t end) {
  for (std::size_t t = 0; t < session.tables.size(); ++t) {
    const std::int64_t dim = session.tables[t].dim;
    const auto table = static_cast<std::int64_t>(t);
    input.pooled.push_back(torch::from_blob(session.embedding.pooled(table).data() + begin * dim, {end - begin, dim}));
  }
}

template <typename T>
std::span<const T> part(const std::vector<T>& values, std::int64_t begin, std::int64_t end) {
  return values.empty()
             ? std::span<const T>()
             : std::span(values).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

/// Whether the summed gradient of the dense parameters is not finite. Errors: numbers then, unless such steps are
/// skipped.
bool has_bad_gradient(Session& session, std::int64_t step, bool skip_bad) {
  const auto bad = session.dense.non_finite_gradient();
  if (bad && !skip_bad)
    throw Error{ExitCode::numbers, fmt::format("the gradient is not finite in step {}", step), "parameter " + *bad,
                "lower train.learning_rate or set train.gradient_clip_norm"};
  return bad.has_value();
}

}  // namespace

StepOutcome train_step(Session& session, const StepInput& input, PhaseClock& clock) {
  if (session.device) return device_train_step(session, input, clock);
  clock.begin_step(input.step);
  Communicator& ranks = session.ranks;
  ShardedEmbedding& embedding = session.embedding;
  const auto [first_chunk, end_chunk] = session.share.rank_chunks(input.batch_samples, ranks.rank());
  const std::int64_t chunks = session.share.chunks(input.batch_samples);
  const std::int64_t rank_start = session.share.rank_samples(input.batch_samples, ranks.rank()).first;

  {
    const auto timed = clock.time(StepPhase::input_exchange);
    embedding.exchange_input(input.batch, session.share.sizes(input.batch_samples), input.step);
  }
  {
    const auto timed = clock.time(StepPhase::lookup);
    embedding.start_lookup();
  }
  if (input.next) {
    const auto timed = clock.time(StepPhase::input_exchange);
    embedding.start_next_input(input.next->batch, session.share.sizes(input.next->batch_samples), input.step + 1);
  }
  // What needs no embedding is computed while their vectors are under way.
  const auto local_samples = [&](std::int64_t chunk) {
    const auto [begin, end] = session.share.chunk_samples(input.batch_samples, chunk);
    return std::pair(begin - rank_start, end - rank_start);
  };
  DensePass& pass = *session.pass;
  // In fixed order chunks are summed apart; else the first chunk with samples overwrites what stands there.
  const bool is_fresh = !session.share.deterministic() && input.batch.size > 0;
  if (!is_fresh) session.dense.zero_gradient();
  {
    const auto timed = clock.time(StepPhase::forward_backward);
    if (auto* const reader = dynamic_cast<ReadsTexts*>(session.model.get()))
      reader->read_texts(input.batch.texts, rank_start);
    pass.begin({.samples = input.batch.size,
                .dense = input.batch.dense.data(),
                .seed = session.seed,
                .step = input.step,
                .first_sample = rank_start,
                .fixed_order = session.share.deterministic(),
                .fresh = is_fresh});
    for (std::int64_t chunk = first_chunk; chunk < end_chunk && ranks.world_size() > 1; ++chunk) {
      const auto [begin, end] = local_samples(chunk);
      if (begin < end) pass.bottom(begin, end);
      embedding.progress();
    }
  }
  {
    const auto timed = clock.time(StepPhase::lookup);
    embedding.finish_lookup();
  }

  TreeSum tree(session.dense.size(), chunks, first_chunk, end_chunk);
  // Chunk sums of the loss, and one place for the wish to stop: own places filled, others zero, so that the sum over
  // ranks only copies and no order of summation can change a bit.
  std::vector<double> chunk_losses(static_cast<std::size_t>(chunks) + 1, 0.0);
  chunk_losses.back() = input.stop_requested ? 1 : 0;
  std::vector<float> logits(static_cast<std::size_t>(input.batch.size));
  {
    const auto timed = clock.time(StepPhase::forward_backward);
    std::vector<const float*> pooled;
    std::vector<float*> pooled_gradients;
    for (std::int64_t table = 0; table < std::ssize(session.tables); ++table) {
      pooled.push_back(embedding.pooled(table).data());
      pooled_gradients.push_back(embedding.pooled_gradient(table).data());
    }
    const StepHooks hooks{
        .loss =
            [&](std::int64_t begin, std::int64_t end, const float* of, float* logit_gradients) {
              const auto count = static_cast<std::size_t>(end - begin);
              return loss_sum(session.loss, {of, count}, part(input.batch.labels, begin, end),
                              part(input.batch.weights, begin, end), 1.0 / static_cast<double>(input.batch_samples),
                              {logit_gradients, count});
            },
        .progress = [&] { embedding.progress(); }};
    for (std::int64_t chunk = first_chunk; chunk < end_chunk; ++chunk) {
      const auto [begin, end] = local_samples(chunk);
      if (begin < end)
        chunk_losses[chunk] = pass.train(begin, end, pooled, pooled_gradients, logits.data() + begin, hooks);
      if (session.share.deterministic()) {
        tree.add(chunk, session.dense.gradient());
        session.dense.zero_gradient();
      }
      embedding.progress();
    }
  }
  {
    const auto timed = clock.time(StepPhase::input_exchange);
    embedding.send_next_ids();
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
    embedding.start_gradient();
  }
  // The dense gradients are summed behind the tables' update; where a bad one must leave the tables alone, before it.
  const bool hides_reduction = session.overlap && !session.share.deterministic() && !skip_bad;
  std::unique_ptr<Pending> reduction;
  {
    const auto timed = clock.time(StepPhase::dense_reduction);
    const Tag tag{"dense gradients", input.step};
    if (session.share.deterministic())
      tree.finish(ranks, tag, session.dense.gradient());
    else if (hides_reduction)
      reduction = ranks.start_all_reduce_sum(tag, session.dense.gradient());
    else
      ranks.all_reduce_sum(tag, session.dense.gradient());
  }
  if (!hides_reduction && has_bad_gradient(session, input.step, skip_bad)) {
    embedding.finish_gradient();
    outcome.skipped = true;
    return outcome;
  }
  {
    const auto timed = clock.time(StepPhase::gradient_exchange);
    embedding.finish_gradient();
  }
  {
    const auto timed = clock.time(StepPhase::update);
    embedding.update(input.step, static_cast<float>(input.rate_factor));
  }
  if (hides_reduction) {
    const auto timed = clock.time(StepPhase::dense_reduction);
    reduction->wait();
    has_bad_gradient(session, input.step, false);
  }
  const auto timed = clock.time(StepPhase::update);
  session.dense.clip_gradient(session.experiment.number("train.gradient_clip_norm"));
  session.dense.update(input.step, input.rate_factor);
  return outcome;
}

torch::Tensor predict_step(Session& session, const Batch& batch, std::int64_t batch_samples, std::int64_t step,
                           bool averaged) {
  const torch::NoGradGuard no_grad;
  if (session.device) {
    const std::vector<float> logits = device_predict(session, batch, batch_samples, step, averaged);
    return torch::tensor(logits).view({-1, 1});
  }
  session.embedding.exchange_input(batch, session.share.sizes(batch_samples), step, false);
  session.embedding.lookup(averaged);
  const auto [first_chunk, end_chunk] = session.share.rank_chunks(batch_samples, session.ranks.rank());
  const std::int64_t rank_start = session.share.rank_samples(batch_samples, session.ranks.rank()).first;
  if (auto* const reader = dynamic_cast<ReadsTexts*>(session.model.get())) reader->read_texts(batch.texts, rank_start);
  std::vector<torch::Tensor> parts;
  for (std::int64_t chunk = first_chunk; chunk < end_chunk; ++chunk) {
    const auto [global_begin, global_end] = session.share.chunk_samples(batch_samples, chunk);
    if (global_begin == global_end) continue;
    ModelInput input = chunk_input(session, batch, global_begin - rank_start, global_end - rank_start);
    input.first_sample = global_begin;
    add_pooled(session, input, global_begin - rank_start, global_end - rank_start);
    parts.push_back(session.model->forward(input));
  }
  return parts.empty() ? torch::empty({0, 1}) : torch::cat(parts, 0);
}

}  // namespace swallowtail
