// Runs a Schedule on a communicator.
#pragma once

#include <memory>

#include "parallel/all_to_all/schedule.h"
#include "parallel/communicator.h"

namespace swallowtail {

/// Communicator::start_all_to_all by a schedule. Collective; opens one channel. Pending::test() begins the next round
/// when one has ended, so a caller that tests now and then moves all rounds along while it computes.
/// `send`, `recv` and their offsets stay valid until it is done.
/// Errors: Error (ExitCode::rank) where ranks disagree on tag or sizes, or one does not come in time.
std::unique_ptr<Pending> start_schedule(Communicator& ranks, const Tag& tag, std::unique_ptr<Schedule> schedule,
                                        ConstChunks send, Chunks recv);

}  // namespace swallowtail
