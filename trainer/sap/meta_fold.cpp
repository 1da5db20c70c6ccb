#include "trainer/sap/components.h"

namespace swallowtail {
namespace {

void append(Histories& to, const Histories& from, std::int64_t first, std::int64_t last) {
  to.items.insert(to.items.end(), from.items.begin() + first, from.items.begin() + last);
  to.ratings.insert(to.ratings.end(), from.ratings.begin() + first, from.ratings.begin() + last);
  to.times.insert(to.times.end(), from.times.begin() + first, from.times.begin() + last);
  to.offsets.push_back(to.size());
}

}  // namespace

Interactions without_meta(const Interactions& data, std::int64_t least) {
  Interactions fold = data;
  fold.train = {};
  fold.validation = {};
  fold.test = {};
  fold.candidates = {};
  const std::int64_t users = data.users.size();
  fold.test.offsets.assign(static_cast<std::size_t>(users) + 1, 0);
  fold.candidates.offsets = fold.test.offsets;
  for (std::int64_t user = 0; user < users; ++user) {
    const std::int64_t first = data.train.offsets[user], last = data.train.offsets[user + 1];
    const std::int64_t kept = last - first < least ? last : last - 1;
    append(fold.train, data.train, first, kept);
    append(fold.validation, data.train, kept, last);
  }
  fold.fingerprint = data.fingerprint + ", without the last interaction";
  return fold;
}

}  // namespace swallowtail
