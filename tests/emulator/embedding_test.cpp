#include "kernels/cuda/embedding.h"

#include <optional>

#include "kernels/embedding.h"
#include "kernels/row_update.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

/// One random table on both sides.
struct HostTable {
  std::int64_t rows, dim;
  RowFormat format;
  Pooling pooling;
  std::vector<std::byte> bytes;
  std::vector<float> state;
  std::vector<std::int64_t> offsets;  // [batch + 1], of this table's own values
  std::vector<std::int64_t> values;
  std::vector<float> weights;
  RoundingKey key;
  JaggedView bags() const { return {values, offsets, weights}; }
};

struct Case {
  std::int64_t batch = 0;
  std::vector<HostTable> tables;
  // As the device has them.
  std::vector<std::int64_t> values, offsets{0};
  std::vector<float> weights;
};

Case make_case(std::uint64_t seed, bool trains, Optimizer optimizer) {
  Case made;
  made.batch = below(seed, 1, 3) == 0 ? below(seed, 2, 3) : 1 + below(seed, 3, 40);
  const std::int64_t tables = 1 + below(seed, 4, 4);
  const bool weighted = below(seed, 5, 2) == 0;
  const std::vector<std::int64_t> dims{1, 2, 3, 4, 7, 8, 16, 20, 64, 128, 132, 200, 260, 520};
  for (std::int64_t t = 0; t < tables; ++t) {
    const std::uint64_t key = random::bits(seed, 6, static_cast<std::uint64_t>(t));
    HostTable table;
    table.rows = 1 + below(key, 1, below(key, 2, 2) ? 5 : 300);
    table.dim = dims[static_cast<std::size_t>(below(key, 3, std::ssize(dims)))];
    table.format = static_cast<RowFormat>(below(key, 4, trains ? 3 : 4));
    table.pooling = below(key, 5, 2) ? Pooling::mean : Pooling::sum;
    table.key = {seed, static_cast<std::uint64_t>(t), below(key, 6, 1000)};
    const std::int64_t bytes = row_bytes(table.format, table.dim);
    table.bytes.resize(static_cast<std::size_t>(table.rows * bytes));
    const auto weights = testing::values(key, 7, table.rows * table.dim);
    for (std::int64_t row = 0; row < table.rows; ++row)
      pack_row(table.format, weights.data() + row * table.dim, table.dim, table.bytes.data() + row * bytes);
    table.state = testing::values(key, 8, table.rows * sparse_state_width(optimizer, table.dim));
    for (float& state : table.state) state = std::abs(state);
    table.offsets.push_back(0);
    for (std::int64_t bag = 0; bag < made.batch; ++bag) {
      const std::int64_t size = below(random::bits(key, 9, static_cast<std::uint64_t>(bag)), 1,
                                      below(random::bits(key, 10, static_cast<std::uint64_t>(bag)), 1, 8) == 0 ? 40 : 6);
      for (std::int64_t i = 0; i < size; ++i) {
        const std::uint64_t id = random::bits(key, 11, static_cast<std::uint64_t>(bag), static_cast<std::uint64_t>(i));
        table.values.push_back(random::below(id, table.rows));
        if (weighted) table.weights.push_back(static_cast<float>(random::normal(id)));
      }
      table.offsets.push_back(std::ssize(table.values));
      made.offsets.push_back(std::ssize(made.values) + std::ssize(table.values));
    }
    made.values.insert(made.values.end(), table.values.begin(), table.values.end());
    made.weights.insert(made.weights.end(), table.weights.begin(), table.weights.end());
    made.tables.push_back(std::move(table));
  }
  return made;
}

/// The case on the device.
struct OnDevice {
  OnDevice(const Case& from, Stream& stream)
      : values(testing::on_device(from.values, stream)),
        offsets(testing::on_device(from.offsets, stream)),
        weights(testing::on_device(from.weights, stream)) {
    std::vector<DeviceTable> described;
    for (const HostTable& table : from.tables) {
      rows.push_back(testing::on_device(table.bytes, stream));
      states.push_back(testing::on_device(table.state, stream));
      DeviceTable one;
      one.rows = rows.back().data();
      one.state = states.back().data();
      one.row_count = table.rows;
      one.dim = static_cast<std::int32_t>(table.dim);
      one.format = table.format;
      one.pooling = table.pooling;
      one.rounding = table.key;
      described.push_back(one);
    }
    tables.emplace(described, true, stream);
    bags = {values.data(), offsets.data(), from.weights.empty() ? nullptr : weights.data(), from.batch,
            std::ssize(from.values)};
  }
  std::vector<DeviceBuffer<std::byte>> rows;
  std::vector<DeviceBuffer<float>> states;
  DeviceBuffer<std::int64_t> values, offsets;
  DeviceBuffer<float> weights;
  std::optional<DeviceTables> tables;
  DeviceBags bags;
};

TEST(PooledLookupForward, HasTheBitsOfTheHost) {
  testing::for_seeds("forward equals the host's", [](std::uint64_t seed) {
    const Case made = make_case(seed, false, Optimizer::sgd);
    Stream stream;
    OnDevice device(made, stream);
    const std::int64_t width = device.tables->width();
    DeviceBuffer<float> out(made.batch * width);
    pooled_lookup_forward(*device.tables, device.bags, out.data(), stream);
    const auto got = testing::on_host(out, stream);
    std::int64_t column = 0;
    for (const HostTable& table : made.tables) {
      std::vector<float> wanted(static_cast<std::size_t>(made.batch * table.dim));
      pooled_lookup_forward(PackedTableView{table.bytes.data(), table.format, table.rows, table.dim}, table.bags(),
                            table.pooling, wanted.data());
      for (std::int64_t bag = 0; bag < made.batch; ++bag)
        EXPECT_TRUE(testing::same_bits(std::span(wanted).subspan(bag * table.dim, table.dim),
                                       std::span(got).subspan(bag * width + column, table.dim)))
            << "seed " << seed << ", bag " << bag << ", dim " << table.dim << ", format " << int(table.format);
      column += table.dim;
    }
  });
}

/// The host's update of all tables; the least bad row through all tables, or -1.
std::int64_t update_on_host(Case& made, std::span<const float> gradient, std::int64_t width, const OptimizerStep& step) {
  std::int64_t column = 0, first_row = 0, bad = -1;
  for (HostTable& table : made.tables) {
    RowGroups groups;
    group_by_row(table.bags(), table.rows, table.pooling, groups);
    std::vector<const float*> bag_gradients;
    for (std::int64_t bag = 0; bag < made.batch; ++bag) bag_gradients.push_back(gradient.data() + bag * width + column);
    const std::int64_t found =
        table.format == RowFormat::fp32
            ? update_rows(step, TableRows{reinterpret_cast<float*>(table.bytes.data()), table.state.data(), table.dim},
                          groups, bag_gradients)
            : update_rows(step, PackedTableRows{table.bytes.data(), table.format, table.state.data(), table.dim},
                          table.key, groups, bag_gradients);
    if (bad < 0 && found >= 0) bad = first_row + found;
    column += table.dim;
    first_row += table.rows;
  }
  return bad;
}

OptimizerStep make_step(std::uint64_t seed) {
  OptimizerStep step;
  step.kind = static_cast<Optimizer>(below(seed, 20, 5));
  step.learning_rate = 0.05F;
  step.epsilon = usual_epsilon(step.kind);
  step.weight_decay = below(seed, 21, 2) ? 0.01F : 0.0F;
  step.step = 1 + below(seed, 22, 100);
  return step;
}

TEST(PooledLookupBackward, HasTheBitsOfTheHostWhereRowsAreSummedWhole) {
  testing::for_seeds("backward equals the host's", [](std::uint64_t seed) {
    const OptimizerStep step = make_step(seed);
    Case made = make_case(seed, true, step.kind);
    Stream stream;
    OnDevice device(made, stream);
    const std::int64_t width = device.tables->width();
    auto gradient = testing::values(seed, 30, made.batch * width);
    if (!gradient.empty() && below(seed, 31, 4) == 0)
      gradient[static_cast<std::size_t>(below(seed, 32, std::ssize(gradient)))] = std::numeric_limits<float>::infinity();
    const auto device_gradient = testing::on_device(gradient, stream);
    DeviceBuffer<unsigned long long> bad(1);
    BackwardScratch scratch;
    pooled_lookup_backward(*device.tables, device.bags, device_gradient.data(), {.step = step, .long_segment = 0}, scratch, bad.data(), stream);
    const std::int64_t bad_row = update_on_host(made, gradient, width, step);
    EXPECT_EQ(testing::on_host(bad, stream)[0], bad_row < 0 ? kNoBadRow : static_cast<unsigned long long>(bad_row));
    for (std::size_t t = 0; t < made.tables.size(); ++t) {
      EXPECT_EQ(testing::on_host(device.rows[t], stream), made.tables[t].bytes)
          << "seed " << seed << ", table " << t << ", dim " << made.tables[t].dim << ", optimizer " << int(step.kind)
          << ", format " << int(made.tables[t].format);
      EXPECT_TRUE(testing::same_bits(made.tables[t].state, testing::on_host(device.states[t], stream))) << "seed " << seed;
    }
  });
}

TEST(PooledLookupBackward, SplitsLongRowsTheSameWayWhateverTheOrder) {
  testing::for_seeds("long rows", [](std::uint64_t seed) {
    const OptimizerStep step = make_step(seed);
    Case made = make_case(seed, true, step.kind);
    for (HostTable& table : made.tables) table.format = RowFormat::fp32;
    for (HostTable& table : made.tables) {
      const auto weights = testing::values(seed, 40, table.rows * table.dim);
      table.bytes.resize(weights.size() * sizeof(float));
      std::memcpy(table.bytes.data(), weights.data(), table.bytes.size());
    }
    const std::int64_t piece = 1 + below(seed, 41, 9);
    std::vector<std::vector<std::vector<std::byte>>> results;
    std::vector<float> gradient;
    testing::under_every_schedule([&] {
      Stream stream;
      OnDevice device(made, stream);
      gradient = testing::values(seed, 30, made.batch * device.tables->width());
      const auto device_gradient = testing::on_device(gradient, stream);
      DeviceBuffer<unsigned long long> bad(1);
      BackwardScratch scratch;
      pooled_lookup_backward(*device.tables, device.bags, device_gradient.data(), {.step = step, .long_segment = piece}, scratch, bad.data(),
                             stream);
      auto& rows = results.emplace_back();
      for (const auto& table : device.rows) rows.push_back(testing::on_host(table, stream));
    });
    for (const auto& result : results) EXPECT_EQ(result, results.front()) << "seed " << seed;
    Case host = made;
    std::int64_t width = 0;
    for (const HostTable& table : made.tables) width += table.dim;
    update_on_host(host, gradient, width, step);
    for (std::size_t t = 0; t < host.tables.size(); ++t) {
      const auto as_floats = [](const std::vector<std::byte>& bytes) {
        std::vector<float> floats(bytes.size() / sizeof(float));
        std::memcpy(floats.data(), bytes.data(), bytes.size());
        return floats;
      };
      EXPECT_TRUE(testing::near(as_floats(host.tables[t].bytes), as_floats(results.front()[t]), 2e-4F, 2e-4F))
          << "seed " << seed << ", pieces of " << piece;
    }
  });
}

TEST(RowSquares, AreWhatTheUpdateWouldHaveFound) {
  testing::for_seeds("a statistic in two steps", [](std::uint64_t seed) {
    OptimizerStep step = make_step(seed);
    step.kind = Optimizer::rowwise_adagrad;
    const Case made = make_case(seed, true, step.kind);
    Stream stream;
    OnDevice whole(made, stream), split(made, stream);
    const std::int64_t width = whole.tables->width(), ids = whole.bags.ids;
    const auto gradient = testing::on_device(testing::values(seed, 30, made.batch * width), stream);
    DeviceBuffer<unsigned long long> bad(1);
    BackwardScratch scratch;
    const RowUpdate update{.step = step, .long_segment = 1 + below(seed, 41, 9)};
    pooled_lookup_backward(*whole.tables, whole.bags, gradient.data(), update, scratch, bad.data(), stream);

    // Every second table is one of which other columns lie elsewhere: here, of none.
    std::vector<DeviceTable> tables(split.tables->on_host().begin(), split.tables->on_host().end());
    for (std::size_t t = 0; t < tables.size(); t += 2) tables[t].splits_statistic = true;
    const DeviceTables described(tables, true, stream);
    const BagGradients gradients{.values = gradient.data(), .width = width};
    DeviceBuffer<float> squares(ids);
    zero(squares.data(), ids, stream);
    group_by_row(described, split.bags, scratch, stream);
    row_squares(described, split.bags, gradients, update, scratch, squares.data(), stream);
    auto means = testing::on_host(squares, stream);
    std::int64_t place = 0;
    for (std::size_t t = 0; t < tables.size(); ++t)
      for (std::size_t i = 0; i < made.tables[t].values.size(); ++i, ++place) {
        auto& mean = means[static_cast<std::size_t>(place)];
        if (!tables[t].splits_statistic) {
          EXPECT_EQ(mean, 0) << "seed " << seed;
        }
        mean /= static_cast<float>(tables[t].dim);
      }
    const auto mean_squares = testing::on_device(means, stream);
    RowUpdate with_means = update;
    with_means.mean_squares = mean_squares.data();
    update_grouped_rows(described, split.bags, gradients, with_means, scratch, bad.data(), stream);
    for (std::size_t t = 0; t < made.tables.size(); ++t) {
      EXPECT_EQ(testing::on_host(whole.rows[t], stream), testing::on_host(split.rows[t], stream)) << "seed " << seed;
      EXPECT_TRUE(testing::same_bits(testing::on_host(whole.states[t], stream),
                                     testing::on_host(split.states[t], stream)))
          << "seed " << seed;
    }
  });
}

TEST(PooledLookupBackward, RefusesWhatItCannotTrain) {
  Stream stream;
  DeviceTable table;
  table.dim = 4;
  table.row_count = 1;
  table.format = RowFormat::int8;
  const DeviceTables tables(std::span(&table, 1), true, stream);
  BackwardScratch scratch;
  DeviceBuffer<unsigned long long> bad(1);
  EXPECT_THROW(pooled_lookup_backward(tables, {}, nullptr, {}, scratch, bad.data(), stream), Failure);
  table.dim = kMaxDim + 1;
  EXPECT_THROW(DeviceTables(std::span(&table, 1), true, stream), Failure);
}

}  // namespace
}  // namespace swallowtail::cuda
