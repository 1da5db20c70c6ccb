#include "trainer/training/torch_ranker.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <exception>

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
    const auto compute = [&](std::int64_t chunk, std::vector<float>& gradient) {
      const auto [begin, end] = share_.chunk_samples(step.size, chunk);
      const torch::Tensor loss = network_->loss_sum(
          {std::span(samples).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)), begin,
           step.step, step.epoch, step.progress, seed_});
      gradient_of(loss / targets, gradient);
      losses[chunk] = loss.item<float>();
    };
    // As many chunks as there are threads at a time: their gradients are added in order.
    gradients_.resize(static_cast<std::size_t>(std::clamp<std::int64_t>(end_chunk - first_chunk, 1, threads_)));
    for (std::int64_t first = first_chunk; first < end_chunk; first += std::ssize(gradients_)) {
      const std::int64_t count = std::min<std::int64_t>(std::ssize(gradients_), end_chunk - first);
      side_by_side(count, [&](std::int64_t i) { compute(first + i, gradients_[i]); });
      for (std::int64_t i = 0; i < count; ++i) tree.add(first + i, gradients_[i]);
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
    const std::int64_t items = input_.data.items.size(), count = std::ssize(queries);
    const auto compute = [&](std::int64_t first) {
      const torch::NoGradGuard no_grad;
      const auto part =
          queries.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(kQueries, count - first)));
      std::vector<RankingQuery> padded(part.begin(), part.end());
      padded.resize(kQueries);
      const torch::Tensor rows = network_->scores(padded).contiguous();
      std::copy_n(rows.data_ptr<float>(), std::ssize(part) * items, scores.begin() + first * items);
    };
    if (count == 0) return;
    side_by_side(1, [&](std::int64_t) { compute(0); });  // alone: it makes what the network keeps for all queries
    side_by_side((count - 1) / kQueries, [&](std::int64_t i) { compute((i + 1) * kQueries); });
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
  /// d loss / d parameters as one array, in the order of dense_. Nothing is added to the parameters' own gradients, so
  /// chunks may be computed side by side.
  void gradient_of(const torch::Tensor& loss, std::vector<float>& gradient) const {
    gradient.assign(static_cast<std::size_t>(dense_.size()), 0.0F);
    std::vector<torch::Tensor> trained;
    std::vector<std::int64_t> places;  // of each in the array
    auto entry = dense_.entries().begin();
    for (const torch::Tensor& parameter : network_->parameters()) {
      if (parameter.requires_grad()) trained.push_back(parameter), places.push_back(entry->first);
      ++entry;
    }
    const auto parts = torch::autograd::grad({loss}, trained, {}, {}, false, /*allow_unused=*/true);
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (parts[i].defined())
        std::copy_n(parts[i].contiguous().data_ptr<float>(), parts[i].numel(), gradient.begin() + places[i]);
  }

  /// use(0) … use(count - 1), each on one thread. Torch's own threads would wake up for every one of many small
  /// operations, and would change the order of its sums.
  template <typename Use>
  void side_by_side(std::int64_t count, Use use) const {
    at::set_num_threads(1);
    std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
    for (std::int64_t i = 0; i < count; ++i) try {
        at::init_num_threads();  // of this thread: one
        use(i);
      } catch (...) {
#pragma omp critical(torch_ranker)
        failure = std::current_exception();
      }
    at::set_num_threads(threads_);
    if (failure) std::rethrow_exception(failure);
  }

  RankerInput input_;
  std::shared_ptr<RankingNetwork> network_;
  DenseParameters dense_;
  BatchShare share_;
  std::uint64_t seed_;
  double clip_;
  int threads_ = at::get_num_threads();
  std::vector<std::vector<float>> gradients_;  // of the chunks that are computed side by side
};

}  // namespace

std::unique_ptr<Ranker> make_torch_ranker(const RankerInput& input, MakeNetwork make) {
  keep_freed_memory();
  return std::make_unique<TorchRanker>(input, make);
}

}  // namespace swallowtail
