#include "trainer/report/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/report/temporary_folder.h"

namespace swallowtail {
namespace {

/// What `steps` steps of 1/128 s (exact in binary) and 100 samples print.
template <typename Between>
std::string printed(Progress::Style style, int steps, Between between) {
  TemporaryFolder folder;
  std::FILE* stream = std::fopen((folder / "out").c_str(), "w");
  double now_s = 1000;
  {
    Progress progress(stream, style, [&] { return now_s; });
    for (int step = 1; step <= steps; ++step) {
      now_s += 1.0 / 128;
      progress.update({.step = step,
                       .total_steps = 2000,
                       .epoch = step / 1000.0,
                       .total_epochs = 2,
                       .samples = 100L * step,
                       .loss = 0.5});
      between(progress, step);
    }
    progress.finish();
  }
  std::fclose(stream);
  return read_text(folder / "out");
}

constexpr auto kNothing = [](Progress&, int) {};

TEST(Progress, PlainLinesComeEveryFiveSecondsAndAtTheEnd) {
  const auto text = printed(Progress::Style::plain, 1100, kNothing);
  EXPECT_EQ(text,
            "step 1/2000  epoch 0.00/2  loss 0.50000\n"
            "step 641/2000  epoch 0.64/2  loss 0.50000  12.8 k samples/s  ETA 11 s\n"
            "step 1100/2000  epoch 1.10/2  loss 0.50000  12.8 k samples/s  ETA 7 s\n");
}

TEST(Progress, ATerminalHasOneLineThatIsRewritten) {
  const auto text = printed(Progress::Style::terminal, 50, kNothing);
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(std::ranges::count(text, '\r'), 5);  // after 0, 0.1, 0.2, 0.3 s, and the last step
  EXPECT_NE(text.find("\rstep 50/2000"), std::string::npos);
}

TEST(Progress, ANoteStandsOnItsOwnLine) {
  const auto note = [](Progress& progress, int step) {
    if (step == 20) progress.note("validation: auc 0.9");
  };
  const auto text = printed(Progress::Style::terminal, 30, note);
  EXPECT_NE(text.find("\rvalidation: auc 0.9\n\rstep 21/"), std::string::npos) << text;
  EXPECT_NE(printed(Progress::Style::plain, 30, note).find("\nvalidation: auc 0.9\n"), std::string::npos);
}

TEST(Progress, QuietSaysNothing) {
  EXPECT_EQ(printed(Progress::Style::quiet, 1000, [](Progress& progress, int) { progress.note("x"); }), "");
}

TEST(Progress, AFileIsNoTerminal) {
  TemporaryFolder folder;
  std::FILE* stream = std::fopen((folder / "out").c_str(), "w");
  EXPECT_EQ(Progress::style_of(stream, false), Progress::Style::plain);
  EXPECT_EQ(Progress::style_of(stream, true), Progress::Style::quiet);
  std::fclose(stream);
}

TEST(Progress, ShortWords) {
  EXPECT_EQ(short_count(950), "950");
  EXPECT_EQ(short_count(999.96), "1.0 k");
  EXPECT_EQ(short_count(48300), "48.3 k");
  EXPECT_EQ(short_count(483000), "483 k");
  EXPECT_EQ(short_count(1.25e9), "1.2 G");
  EXPECT_EQ(short_duration(59.4), "59 s");
  EXPECT_EQ(short_duration(59.6), "1 min 00 s");
  EXPECT_EQ(short_duration(7620), "2 h 07 min");
  EXPECT_EQ(short_duration(std::nan("")), "?");
}

}  // namespace
}  // namespace swallowtail
