#include "parallel/all_to_all/schedule.h"

namespace swallowtail {

void Round::clear() {
  blocks.clear();
  sends.clear();
  receives.clear();
}

void Round::begin(std::vector<Message>& messages, int peer) {
  messages.push_back({peer, static_cast<int>(blocks.size()), 0});
  open_ = &messages;
}

void Round::end_message() {
  open_->back().end_block = static_cast<int>(blocks.size());
  if (open_->back().end_block == open_->back().first_block) open_->pop_back();
}

bool is_plain(std::span<const Block> blocks, int sender, int receiver) noexcept {
  return blocks.size() == 1 && blocks[0] == Block{sender, receiver};
}

}  // namespace swallowtail
