#include "trainer/data/row_blocks.h"

#include <numeric>

namespace swallowtail {

void RawRows::clear() {
  rows_.clear();
  numbers_.clear();
  ids_.clear();
  ends_.clear();
  text_ends_.clear();
  words_.clear();
  texts_.clear();
}

void RawRows::add(const RawRow& row) {
  numbers_each_ = row.numbers.size();
  features_ = row.ends.size();
  texts_each_ = row.texts.size();
  numbers_.insert(numbers_.end(), row.numbers.begin(), row.numbers.end());
  for (const RawId& id : row.ids) {
    words_.insert(words_.end(), id.text.begin(), id.text.end());
    ids_.push_back({.text_end = words_.size(), .index = id.index, .weight = id.weight});
  }
  ends_.insert(ends_.end(), row.ends.begin(), row.ends.end());
  for (const std::string_view text : row.texts) {
    texts_.insert(texts_.end(), text.begin(), text.end());
    text_ends_.push_back(texts_.size());
  }
  rows_.push_back({.line = row.line, .label = row.label, .weight = row.weight, .ids_end = ids_.size()});
}

void RawRows::get(std::size_t row, RawRow& out) const {
  out.clear();
  const Row& about = rows_[row];
  out.line = about.line;
  out.label = about.label;
  out.weight = about.weight;
  const auto numbers = std::span(numbers_).subspan(row * numbers_each_, numbers_each_);
  out.numbers.assign(numbers.begin(), numbers.end());
  const auto ends = std::span(ends_).subspan(row * features_, features_);
  out.ends.assign(ends.begin(), ends.end());
  for (std::size_t i = row == 0 ? 0 : rows_[row - 1].ids_end; i < about.ids_end; ++i) {
    const std::size_t begin = i == 0 ? 0 : ids_[i - 1].text_end;
    out.ids.push_back(
        {.text = {words_.data() + begin, ids_[i].text_end - begin}, .index = ids_[i].index, .weight = ids_[i].weight});
  }
  for (std::size_t t = row * texts_each_; t < (row + 1) * texts_each_; ++t) {
    const std::size_t begin = t == 0 ? 0 : text_ends_[t - 1];
    out.texts.emplace_back(texts_.data() + begin, text_ends_[t] - begin);
  }
}

void EncodedRows::clear() {
  rows_.clear();
  dense_.clear();
  id_weights_.clear();
  ids_.clear();
  ends_.clear();
}

void EncodedRows::add(const EncodedRow& row, std::int64_t line) {
  dense_each_ = row.dense.size();
  features_ = row.ends.size();
  dense_.insert(dense_.end(), row.dense.begin(), row.dense.end());
  ids_.insert(ids_.end(), row.ids.begin(), row.ids.end());
  id_weights_.insert(id_weights_.end(), row.id_weights.begin(), row.id_weights.end());
  ends_.insert(ends_.end(), row.ends.begin(), row.ends.end());
  rows_.push_back({.line = line, .label = row.label, .weight = row.weight, .ids_end = ids_.size()});
}

OneHotRows::OneHotRows(EncodedRows& rows, std::size_t most, std::size_t dense, std::size_t features) : rows_(rows) {
  rows_.dense_each_ = dense;
  rows_.features_ = features;
  rows_.rows_.reserve(most);
  rows_.dense_.resize(most * dense);
  rows_.ids_.resize(most * features);
}

OneHotRows::~OneHotRows() {
  rows_.dense_.resize(size() * rows_.dense_each_);
  rows_.ids_.resize(size() * rows_.features_);
  // Of every row the same: the k-th feature ends behind k ids.
  if (rows_.ends_.size() != rows_.features_) {
    rows_.ends_.resize(rows_.features_);
    std::iota(rows_.ends_.begin(), rows_.ends_.end(), std::size_t{1});
  }
}

void OneHotRows::finish(std::int64_t line, float label) {
  rows_.rows_.push_back({.line = line, .label = label, .weight = 1, .ids_end = (size() + 1) * rows_.features_});
}

EncodedView EncodedRows::at(std::size_t row) const {
  const std::size_t begin = row == 0 ? 0 : rows_[row - 1].ids_end, count = rows_[row].ids_end - begin;
  return {.dense = std::span(dense_).subspan(row * dense_each_, dense_each_),
          .label = rows_[row].label,
          .weight = rows_[row].weight,
          .ids = std::span(ids_).subspan(begin, count),
          .id_weights = id_weights_.empty() ? std::span<const float>() : std::span(id_weights_).subspan(begin, count),
          .ends = std::span(ends_).subspan(ends_.size() == features_ ? 0 : row * features_, features_)};
}

}  // namespace swallowtail
