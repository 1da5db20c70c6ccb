#include "trainer/training/torch_ranker.h"

#include <fmt/format.h>
#include <malloc.h>

#include <cmath>

#include "parallel/deterministic_reduce.h"
#include "trainer/data/sample_order.h"
#include "trainer/rankers/before_step.h"
#include "trainer/training/batch_share.h"
#include "trainer/training/dense_parameters.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kQueries = 64;  // scored at once, filled up: one shape of the matrices whatever the ranks

/// glibc gives large blocks back to the kernel as soon as they are freed, and every step would ask for the same pages
/// again, zeroed one by one.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that it takes
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

class TorchRanker final : public Ranker {
 public:
  TorchRanker(const RankerInput& input, MakeNetwork make)
      : input_(input),
        network_(make(input)),
        dense_(*network_, input.experiment),
        share_(true, input.experiment.integer("train.chunk"), input.ranks.world_size()),
        seed_(static_cast<std::uint64_t>(input.experiment.integer("seed"))),
        clip_(input.experiment.number("train.gradient_clip_norm")) {}

  std::int64_t epoch_samples() const override { return network_->epoch_samples(); }

  double train_step(const RankerStep& step) override {
    if (auto* const early = dynamic_cast<BeforeStep*>(network_.get())) early->before_step({step.step, step.first == 0});
    const auto [first_chunk, end_chunk] = share_.rank_chunks(step.size, input_.ranks.rank());
    const std::int64_t chunks = share_.chunks(step.size);
    const SampleOrder order(network_->epoch_samples(), {}, seed_, step.epoch);
    std::vector<std::int64_t> samples;
    double targets = 0;
    for (std::int64_t place = 0; place < step.size; ++place) {
      samples.push_back(order(step.first + place));
      targets += network_->targets(samples.back(), step.epoch);
    }
    if (targets == 0) return 0;  // every window of the step is an empty one
    TreeSum tree(dense_.size(), chunks, first_chunk, end_chunk);
    std::vector<double> losses(static_cast<std::size_t>(chunks), 0.0);
    network_->train();
    for (std::int64_t chunk = first_chunk; chunk < end_chunk; ++chunk) {
      const auto [begin, end] = share_.chunk_samples(step.size, chunk);
      dense_.zero_gradient();
      const torch::Tensor loss = network_->loss_sum(
          {std::span(samples).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)), begin,
           step.step, step.epoch, step.progress, seed_});
      (loss / targets).backward();
      losses[chunk] = loss.item<float>();
      tree.add(chunk, dense_.gradient());
    }
    input_.ranks.all_reduce_sum(Tag{"loss", step.step}, std::span(losses));  // own places beside zeros: a copy
    tree.finish(input_.ranks, Tag{"dense gradients", step.step}, dense_.gradient());
    double sum = 0;
    for (const double loss : losses) sum += loss;
    if (!std::isfinite(sum))
      throw Error{ExitCode::numbers,
                  fmt::format("the loss is not finite in step {}", step.step),
                  {},
                  "lower train.learning_rate or set train.gradient_clip_norm"};
    if (const auto bad = dense_.non_finite_gradient())
      throw Error{ExitCode::numbers, fmt::format("the gradient is not finite in step {}", step.step),
                  "parameter " + *bad, "lower train.learning_rate or set train.gradient_clip_norm"};
    dense_.clip_gradient(clip_);
    dense_.update(step.step, step.rate_factor);
    return sum / targets;
  }

  void prepare_scores() override { network_->eval(); }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    const torch::NoGradGuard no_grad;
    const std::int64_t items = input_.data.items.size();
    std::vector<RankingQuery> padded;
    for (std::size_t first = 0; first < queries.size(); first += kQueries) {
      const auto part = queries.subspan(first, std::min<std::size_t>(kQueries, queries.size() - first));
      padded.assign(part.begin(), part.end());
      padded.resize(kQueries);
      const torch::Tensor rows = network_->scores(padded).contiguous();
      std::copy_n(rows.data_ptr<float>(), static_cast<std::int64_t>(part.size()) * items,
                  scores.begin() + static_cast<std::ptrdiff_t>(first) * items);
    }
  }

  bool knows(const RankingQuery& query) const override { return network_->knows(query); }

  std::vector<RankerState> state() override {
    std::vector<RankerState> all;
    for (const auto& entry : dense_.entries())
      all.push_back({"dense/" + entry.name, "F32", entry.shape,
                     std::as_writable_bytes(dense_.weights().subspan(static_cast<std::size_t>(entry.first),
                                                                     static_cast<std::size_t>(entry.size)))});
    for (const auto& buffer : network_->named_buffers())
      all.push_back({"buffer/" + buffer.key(), "F32", buffer.value().sizes().vec(),
                     std::as_writable_bytes(std::span(buffer.value().data_ptr<float>(),
                                                      static_cast<std::size_t>(buffer.value().numel())))});
    all.push_back({"dense_optimizer_state",
                   "F32",
                   {static_cast<std::int64_t>(dense_.state().size())},
                   std::as_writable_bytes(dense_.state())});
    return all;
  }
  std::int64_t parameters() const override { return dense_.size(); }

 private:
  RankerInput input_;
  std::shared_ptr<RankingNetwork> network_;
  DenseParameters dense_;
  BatchShare share_;
  std::uint64_t seed_;
  double clip_;
};

}  // namespace

std::unique_ptr<Ranker> make_torch_ranker(const RankerInput& input, MakeNetwork make) {
  keep_freed_memory();
  return std::make_unique<TorchRanker>(input, make);
}

}  // namespace swallowtail
