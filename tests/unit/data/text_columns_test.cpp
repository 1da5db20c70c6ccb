// Columns of text and images: of csv files as words of samples, of interactions as texts and pictures of items.
#include <gtest/gtest.h>
#include <png.h>

#include <numeric>

#include "parallel/local_communicator.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/dataset.h"
#include "trainer/data/image.h"
#include "trainer/data/interactions.h"
#include "trainer/data/word_list.h"

namespace swallowtail {
namespace {

using test::read_text;
using test::TemporaryDirectory;
using Rows = std::vector<std::int64_t>;

Data open_csv(const TemporaryDirectory& directory, const std::string& more, bool reuse = false) {
  const auto experiment =
      Experiment::parse("data: {source: csv, label: good, " + more + "}", {}, "experiment.yaml", directory.path());
  const auto rank = make_single_rank();
  return open_data(experiment, directory.path() / "run", *rank, reuse);
}

Interactions open_items(const TemporaryDirectory& directory, const std::string& more) {
  const auto experiment =
      Experiment::parse("data: {source: interactions, " + more + "}", {}, "experiment.yaml", directory.path());
  const auto rank = make_single_rank();
  return open_interactions(experiment, directory.path() / "run", *rank, InteractionsFrom::sources);
}

Rows text_of(const Dataset& data, std::size_t column, std::int64_t sample) {
  Batch batch;
  Rows samples(static_cast<std::size_t>(data.size()));
  std::iota(samples.begin(), samples.end(), 0);
  data.read(samples, batch);
  const JaggedIds& texts = batch.texts.at(column);
  return {texts.values.begin() + texts.offsets[static_cast<std::size_t>(sample)],
          texts.values.begin() + texts.offsets[static_cast<std::size_t>(sample) + 1]};
}

constexpr auto kTrain =
    "good,about,city,tags,more\n"
    "1,\"Fine, fine day\",Rome,a|b,x y\n"
    "0,bad day,Oslo,,\n"
    "1,?,Rome,b,y x x\n";
constexpr std::int64_t kFirst = WordList::kFirstWord;

TEST(TextColumns, AreWordsInTheirOrderBesideTheFeatures) {
  TemporaryDirectory directory;
  directory.write("train.csv", kTrain);
  directory.write("test.csv", "city,tags,good,more,about\nOslo,a,1,\"y, new x\",day of fine days\n");
  const std::string yaml =
      "train: train.csv, test: test.csv, categorical: [city], multi_hot: [tags], text: [about, more], "
      "text_min_count: 2, text_length: 3";
  for (const bool reuse : {false, true}) {  // learned, then read back
    const Data data = open_csv(directory, yaml, reuse);
    const DataShape& shape = data.train->shape();
    ASSERT_EQ(shape.texts.size(), 2U);
    EXPECT_EQ(shape.categorical.size(), 2U);
    EXPECT_EQ(shape.texts[0].name, "about");
    EXPECT_EQ(shape.texts[0].rows, kFirst + 2);  // day, fine
    EXPECT_EQ(text_of(*data.train, 0, 0), (Rows{kFirst + 1, kFirst + 1, kFirst}));
    EXPECT_EQ(text_of(*data.train, 0, 2), Rows{});
    EXPECT_EQ(text_of(*data.train, 1, 2), (Rows{kFirst + 1, kFirst, kFirst}));  // x comes three times, y twice
    const Rows about = text_of(*data.test, 0, 0);
    ASSERT_EQ(about.size(), 3U);
    EXPECT_EQ(about[0], kFirst);
    EXPECT_GE(about[1], 1);  // "of" has never been seen
    EXPECT_LT(about[1], kFirst);
    EXPECT_EQ(about[2], kFirst + 1);
    Batch batch;
    data.train->read(Rows{0}, batch);
    EXPECT_EQ(batch.ids[1].values.size(), 2U);  // tags
  }
}

TEST(TextColumns, AloneAreEnoughAndOtherSourcesHaveNone) {
  TemporaryDirectory directory;
  directory.write("train.csv", kTrain);
  EXPECT_EQ(open_csv(directory, "train: train.csv, text: [about]").train->size(), 3);
  const auto refuse = [&](const std::string& more, const std::string& what) {
    try {
      open_csv(directory, more);
      ADD_FAILURE() << "no error from " << more;
    } catch (const Error& error) {
      EXPECT_NE(error.message().find(what), std::string::npos) << error.message();
    }
  };
  refuse("train: train.csv, text: [abuot]", "about");
  refuse("train: train.csv, text: [about], categorical: [about]", "another list");
  refuse("train: train.csv, text: [good]", "may not be a feature");
  try {
    data_options(Experiment::parse("data: {source: libfm, train: a, text: [b]}"));
    ADD_FAILURE() << "libfm has no text";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("has no columns of text"), std::string::npos) << error.message();
  }
}

TEST(TextColumns, ReviewsOfTrainingAreTheTextOfTheirItem) {
  TemporaryDirectory directory;
  directory.write("train.tsv", "user\titem\trating\treview\nu\ta\t5\tvery good\nv\ta\t1\tnot mine\nv\tb\t4\t\n");
  directory.write("test.tsv", "user\titem\trating\treview\nu\tb\t5\tnever read in training\n");
  const Interactions data = open_items(directory, "train: train.tsv, test: test.tsv, text: [review]");
  const SideColumn* const column = data.item_table.find("review");
  ASSERT_NE(column, nullptr);
  EXPECT_EQ(column->kind, SideColumn::Kind::text);
  EXPECT_EQ(column->texts, (std::vector<std::string>{"very good\nnot mine", ""}));
  // Rows that a split takes away from training are not read either.
  directory.write("all.tsv", "user\titem\ttimestamp\treview\nu\ta\t1\tone\nu\tb\t2\ttwo\nu\tc\t3\tthree\n");
  const Interactions split = open_items(directory, "train: all.tsv, text: [review], split: {by: leave_one_out}");
  EXPECT_EQ(split.item_table.find("review")->texts, (std::vector<std::string>{"one", "", ""}));
  EXPECT_THROW(open_items(directory, "train: train.tsv, text: [title]"), Error);
}

TEST(TextColumns, ImagesOfItemsAndOneThatIsDamaged) {
  TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() / "pictures");
  std::vector<std::uint8_t> rgb(16 * 16 * 3, 77);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = image.height = 16;
  image.format = PNG_FORMAT_RGB;
  ASSERT_NE(png_image_write_to_file(&image, (directory.path() / "pictures/a.png").c_str(), 0, rgb.data(), 0, nullptr),
            0);
  directory.write("pictures/c.png", "\x89PNG\r\n\x1a\nnot really");
  directory.write("rows.csv", "user,item\nu,a\nu,b\nu,c\n");
  directory.write("items.csv", "item,picture\na,pictures/a.png\nb,\nc,pictures/c.png\n");
  const Interactions data =
      open_items(directory, "train: rows.csv, items: items.csv, images: [picture], max_bad_fraction: 0.5");
  const SideColumn* const column = data.item_table.find("picture");
  ASSERT_NE(column, nullptr);
  EXPECT_EQ(column->offsets, (Rows{0, 1, 1, 1}));
  ASSERT_EQ(std::ssize(column->pixels), kImageBytes);
  for (const std::uint8_t pixel : column->pixels) ASSERT_EQ(pixel, 77);
  EXPECT_EQ(data.rows_quarantined, 1);
  EXPECT_NE(read_text(directory.path() / "run/quarantine.tsv").find("the PNG is damaged"), std::string::npos);
  EXPECT_EQ(data.items.size(), 3) << "the row stays, without the image";
}

}  // namespace
}  // namespace swallowtail
