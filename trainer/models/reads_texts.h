// What a model may be beside Model: one that reads the columns of text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/data/batch.h"
#include "trainer/models/text_encoder.h"

namespace swallowtail {

class ReadsTexts {
 public:
  virtual ~ReadsTexts() = default;
  /// The texts of a batch, borrowed until the next call: forward() takes those of its samples by
  /// ModelInput::first_sample. `first_sample`: place of the batch's first sample within the global batch. Without any,
  /// every text is empty.
  virtual void read_texts(std::span<const JaggedIds> texts, std::int64_t first_sample) = 0;
  /// One a column, in their order.
  virtual std::vector<TextEncoder> text_encoders() = 0;
};

}  // namespace swallowtail
