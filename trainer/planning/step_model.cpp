#include "trainer/planning/step_model.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {

namespace {

/// Seconds of an exchange beyond what its bytes take at link_byte_s: latencies, messages, rounds. By the fastest
/// algorithm.
double exchange_extra(const StepConstants& constants, double bytes_a_rank) {
  if (!constants.exchange || constants.exchange->world_size() < 2) return 0;
  const auto a_peer =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(bytes_a_rank / constants.exchange->world_size()));
  double best = std::numeric_limits<double>::infinity();
  for (const AllToAllEntry& algorithm : all_to_all_algorithms())
    if (constants.algorithm.empty() || constants.algorithm == algorithm.name)
      best = std::min(best, constants.exchange->predict(algorithm.name, a_peer));
  return std::max(0.0, best - bytes_a_rank * constants.embedding.link_byte_s);
}

double largest(std::span<const ShardCost> ranks, double ShardCost::*bytes) {
  double most = 0;
  for (const ShardCost& rank : ranks) most = std::max(most, rank.*bytes);
  return most;
}

}  // namespace

double StepPhases::sum() const noexcept {
  return data + input_exchange + lookup + shuffle + mlp_forward + mlp_backward + gradient_shuffle + all_reduce +
         embedding_update + dense_update + overhead;
}

StepPrediction predict_step(std::span<const ShardCost> ranks, const StepConstants& constants) {
  const double input_extra = exchange_extra(constants, largest(ranks, &ShardCost::input_bytes));
  const double forward_extra = exchange_extra(constants, largest(ranks, &ShardCost::forward_bytes));
  const double backward_extra = exchange_extra(constants, largest(ranks, &ShardCost::backward_bytes));
  double vectors = 0;  // bytes that an average rank receives, which is what a rank's samples need
  for (const ShardCost& rank : ranks) vectors += rank.forward_bytes / static_cast<double>(ranks.size());

  StepPrediction prediction;
  for (const ShardCost& rank : ranks) {
    StepPhases phases;
    phases.data = constants.data_s;
    phases.input_exchange =
        constants.id_byte_s > 0 ? rank.input_bytes * constants.id_byte_s : rank.input_s + input_extra;
    phases.lookup = rank.lookup_s;
    phases.shuffle = rank.shuffle_s + forward_extra + constants.copy_byte_s * vectors;
    phases.mlp_forward = constants.bottom_forward_s + constants.forward_s;
    phases.mlp_backward = constants.bottom_backward_s + constants.backward_s;
    phases.gradient_shuffle = rank.gradient_s + backward_extra + constants.copy_byte_s * vectors;
    phases.all_reduce = constants.all_reduce_s;
    phases.embedding_update = rank.update_s;
    phases.dense_update = constants.dense_update_s;
    phases.overhead = constants.overhead_s;
    prediction.ranks.push_back(phases);
  }
  const auto longest = std::ranges::max_element(prediction.ranks, {}, &StepPhases::sum);
  prediction.critical = *longest;
  prediction.critical_rank = static_cast<int>(longest - prediction.ranks.begin());
  // Every exchange ends when the last rank has given its part: ranks meet after the shuffle and at the step's end.
  const auto before = [](const StepPhases& phases) { return phases.lookup + phases.shuffle; };
  const auto after = [](const StepPhases& phases) { return phases.gradient_shuffle + phases.embedding_update; };
  for (const auto& part : {std::function<double(const StepPhases&)>(before), {after}}) {
    double most = 0;
    for (const StepPhases& phases : prediction.ranks) most = std::max(most, part(phases));
    prediction.waiting_s += most - part(prediction.critical);
  }
  const StepPhases& of = prediction.critical;
  const double exchanged = of.input_exchange + of.shuffle + of.gradient_shuffle + of.all_reduce;
  if (constants.overlaps)
    prediction.hidden_s = std::min(of.input_exchange, of.mlp_forward + of.mlp_backward) +  // the next batch's
                          std::min(of.shuffle, constants.bottom_forward_s) +
                          std::min(of.gradient_shuffle, constants.bottom_backward_s) +
                          std::min(of.all_reduce, of.embedding_update);
  prediction.exposed_s = exchanged - prediction.hidden_s;
  prediction.step_s = of.sum() + prediction.waiting_s - prediction.hidden_s;
  return prediction;
}

nlohmann::ordered_json to_json(const StepPhases& phases) {
  return {{"data", phases.data},
          {"input_exchange", phases.input_exchange},
          {"lookup", phases.lookup},
          {"shuffle", phases.shuffle},
          {"mlp_forward", phases.mlp_forward},
          {"mlp_backward", phases.mlp_backward},
          {"gradient_shuffle", phases.gradient_shuffle},
          {"all_reduce", phases.all_reduce},
          {"embedding_update", phases.embedding_update},
          {"dense_update", phases.dense_update},
          {"overhead", phases.overhead}};
}

}  // namespace swallowtail
