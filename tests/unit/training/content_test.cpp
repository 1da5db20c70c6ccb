// The content ranker: what words say of items decides whom it recommends them to, new users and new items included.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/random.h"
#include "parallel/local_communicator.h"
#include "trainer/data/image.h"
#include "trainer/rankers/content.h"
#include "trainer/training/torch_ranker.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kUsers = 60, kItems = 48, kKnownItems = 40;  // the last items have no reader yet

/// Users of an even number read about space, the others about horses; their column says which.
Interactions two_tastes() {
  Interactions data;
  std::vector<std::string> users, items;
  SideColumn title{.name = "title", .kind = SideColumn::Kind::text};
  SideColumn taste{.name = "taste", .kind = SideColumn::Kind::category, .categories = {"a", "b"}, .offsets = {0}};
  for (std::int64_t item = 0; item < kItems; ++item) {
    items.push_back(std::to_string(item));
    std::string text;
    for (std::uint64_t place = 0; place < 8; ++place)
      text += (item % 2 == 0 ? " star" : " horse") +
              std::to_string(random::below(random::bits(5, 5, static_cast<std::uint64_t>(item), place), 6));
    title.texts.push_back(text);
  }
  data.items = IdList(items);
  for (std::int64_t user = 0; user < kUsers; ++user) {
    users.push_back(std::to_string(user));
    taste.codes.push_back(user % 2);
    taste.offsets.push_back(user + 1);
    if (user < kUsers - 2)  // the last two are new
      for (std::int64_t k = 0; k < 8; ++k)
        data.train.items.push_back(user % 2 + 2 * ((user / 2 + k * 3) % (kKnownItems / 2)));
    data.train.offsets.push_back(data.train.size());
  }
  data.users = IdList(users);
  data.train.ratings.assign(data.train.items.size(), 1);
  data.train.times.assign(data.train.items.size(), 0);
  data.user_table.columns = {taste};
  data.item_table.columns = {title};
  return data;
}

Experiment experiment(const std::string& more = "") {
  return Experiment::parse(
      "data: {source: interactions, train: none}\n"
      "model: {type: content, embedding_dim: 8, tower: [16], text: {dim: 12, maps: 8}, content: {stretch: 4" +
      more + "}}\ntrain: {batch_size: 32, chunk: 8, optimizer: adam, learning_rate: 0.01}\n");
}

std::vector<float> scores_of(Ranker& model, const RankingQuery& query) {
  std::vector<float> scores(static_cast<std::size_t>(kItems));
  model.prepare_scores();
  model.score(std::span(&query, 1), scores);
  return scores;
}

void train(Ranker& model, std::int64_t first_step, std::int64_t steps, std::vector<double>* losses = nullptr) {
  const std::int64_t samples = model.epoch_samples(), batches = (samples + 31) / 32;
  for (std::int64_t step = first_step; step < first_step + steps; ++step) {
    const std::int64_t batch = (step - 1) % batches;
    const double loss = model.train_step({.step = step,
                                          .epoch = (step - 1) / batches,
                                          .first = batch * 32,
                                          .size = std::min<std::int64_t>(32, samples - batch * 32),
                                          .progress = static_cast<double>(step - 1) / 80.0});
    if (losses != nullptr) losses->push_back(loss);
  }
}

/// Share of pairs (liked, other) in which what the user would like stands higher, among the items [first, last).
double agreement(const std::vector<float>& scores, std::int64_t taste, std::int64_t first, std::int64_t last) {
  double right = 0, pairs = 0;
  for (std::int64_t a = first; a < last; ++a)
    for (std::int64_t b = first; b < last; ++b)
      if (a % 2 == taste && b % 2 != taste) {
        right += scores[a] > scores[b];
        ++pairs;
      }
  return right / pairs;
}

TEST(Content, NewUsersAndNewItemsAreRankedByWhatIsKnownOfThem) {
  const Interactions data = two_tastes();
  const Experiment from = experiment();
  run_ranks(1, [&](Communicator& ranks) {
    const auto model = make_torch_ranker({from, data, ranks}, make_content);
    std::vector<double> losses;
    train(*model, 1, 80, &losses);
    EXPECT_LT(losses.back(), 0.9 * losses.front());
    for (const std::int64_t user : {kUsers - 2, kUsers - 1}) {  // a column, no history
      EXPECT_TRUE(model->knows({user, {}}));
      EXPECT_GT(agreement(scores_of(*model, {user, {}}), user % 2, 0, kKnownItems), 0.9) << user;
      EXPECT_GT(agreement(scores_of(*model, {user, {}}), user % 2, kKnownItems, kItems), 0.9) << "new items, " << user;
    }
    const std::vector<std::int64_t> history{1, 3};  // nobody we know, who has read of horses
    EXPECT_GT(agreement(scores_of(*model, {kColdId, history}), 1, 0, kKnownItems), 0.9);
    EXPECT_FALSE(model->knows({kColdId, {}}));
  });
}

TEST(Content, RanksChunksAndARestartChangeNoBit) {
  const Interactions data = two_tastes();
  for (const char* more : {"", ", candidates: 20"}) {  // the whole catalogue, and drawn candidates
    const Experiment from = experiment(more);
    std::vector<float> one;
    run_ranks(1, [&](Communicator& ranks) {
      const auto model = make_torch_ranker({from, data, ranks}, make_content);
      train(*model, 1, 16);
      one = scores_of(*model, {3, data.train.of(3)});
      // Saved after 10 steps and read back into a fresh model.
      const auto half = make_torch_ranker({from, data, ranks}, make_content);
      train(*half, 1, 10);
      const auto rest = make_torch_ranker({from, data, ranks}, make_content);
      const auto saved = half->state(), read = rest->state();
      ASSERT_EQ(saved.size(), read.size());
      for (std::size_t i = 0; i < saved.size(); ++i) std::ranges::copy(saved[i].bytes, read[i].bytes.begin());
      train(*rest, 11, 6);
      EXPECT_EQ(scores_of(*rest, {3, data.train.of(3)}), one) << more;
    });
    for (const int world : {2, 4})
      run_ranks(world, [&](Communicator& ranks) {
        const auto model = make_torch_ranker({from, data, ranks}, make_content);
        train(*model, 1, 16);
        EXPECT_EQ(scores_of(*model, {3, data.train.of(3)}), one) << world << " ranks" << more;
      });
  }
}

/// The same tastes for what the items' images show: stripes that lie or stand, of any phase and colour. One item has
/// none.
Interactions two_pictures() {
  Interactions data = two_tastes();
  SideColumn picture{.name = "picture", .kind = SideColumn::Kind::image, .offsets = {0}};
  for (std::int64_t item = 0; item < kItems; ++item) {
    const auto key = static_cast<std::uint64_t>(item);
    if (item == 5) {
      picture.offsets.push_back(picture.offsets.back());
      continue;
    }
    for (std::int64_t channel = 0; channel < 3; ++channel)
      for (std::int64_t y = 0; y < kImageSide; ++y)
        for (std::int64_t x = 0; x < kImageSide; ++x) {
          const std::int64_t along = (item % 2 == 0 ? x : y) + random::below(random::bits(8, 8, key), 8);
          const auto shade = random::below(random::bits(9, 9, key, static_cast<std::uint64_t>(channel)), 100);
          picture.pixels.push_back(static_cast<std::uint8_t>(along % 8 < 4 ? 155 + shade : shade));
        }
    picture.offsets.push_back(picture.offsets.back() + 1);
  }
  data.item_table.columns = {picture};
  return data;
}

TEST(Content, ImagesDecideWhomNewItemsAreFor) {
  const Interactions data = two_pictures();
  const Experiment from = Experiment::parse(
      "data: {source: interactions, train: none}\n"
      "model: {type: content, embedding_dim: 8, tower: [16], image: {maps: [8, 8, 8, 8]}, content: {stretch: 8}}\n"
      "train: {batch_size: 32, chunk: 16, optimizer: adam, learning_rate: 0.01}\n");
  run_ranks(1, [&](Communicator& ranks) {
    const auto model = make_torch_ranker({from, data, ranks}, make_content);
    train(*model, 1, 40);
    for (const std::int64_t user : {kUsers - 2, kUsers - 1})
      EXPECT_GT(agreement(scores_of(*model, {user, {}}), user % 2, kKnownItems, kItems), 0.9) << "new items, " << user;
  });
}

TEST(Content, WithoutTheirImagesNewItemsAreGuessed) {
  Interactions data = two_pictures();
  SideColumn nothing{.name = "shelf", .kind = SideColumn::Kind::category, .categories = {"x", "y"}, .offsets = {0}};
  for (std::int64_t item = 0; item < kItems; ++item) {  // says nothing of the taste
    nothing.codes.push_back(item / 2 % 2);
    nothing.offsets.push_back(item + 1);
  }
  data.item_table.columns = {nothing};
  const Experiment from = experiment();
  run_ranks(1, [&](Communicator& ranks) {
    const auto model = make_torch_ranker({from, data, ranks}, make_content);
    train(*model, 1, 40);
    for (const std::int64_t user : {kUsers - 2, kUsers - 1})
      EXPECT_LE(agreement(scores_of(*model, {user, {}}), user % 2, kKnownItems, kItems), 0.75) << user;
  });
}

TEST(Content, FrozenWordsStayWhereTheyStarted) {
  const Interactions data = two_tastes();
  for (const bool is_frozen : {true, false}) {
    const Experiment from = Experiment::parse(
        "data: {source: interactions, train: none}\n"
        "model: {type: content, embedding_dim: 8, tower: [16], text: {dim: 12, maps: 8, frozen: " +
        std::string(is_frozen ? "true" : "false") +
        "}}\ntrain: {batch_size: 32, chunk: 8, optimizer: adam, learning_rate: 0.01}\n");
    run_ranks(1, [&](Communicator& ranks) {
      const auto model = make_torch_ranker({from, data, ranks}, make_content);
      const auto moved = [&] {
        for (const RankerState& state : model->state())
          if (state.name == "dense/text.words")
            return std::ranges::any_of(state.bytes, [](std::byte byte) { return byte != std::byte{0}; });
        ADD_FAILURE() << "no words";
        return false;
      };
      train(*model, 1, 8);  // a tenth of 80 steps
      EXPECT_FALSE(moved());
      train(*model, 9, 8);
      EXPECT_EQ(moved(), !is_frozen);
    });
  }
}

}  // namespace
}  // namespace swallowtail
