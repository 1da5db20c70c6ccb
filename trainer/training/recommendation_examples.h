// Recommendations for a few users with the reasons for them, for people to read: the examples of report.html
// (trainer/report/ranking_page.h says their form).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "trainer/training/ranking_session.h"

namespace swallowtail {

/// Collective: of a user from each of the model's first groups, or of a few users where it has none. What is known of
/// them is training and validation. The model is prepared to score.
nlohmann::json recommendation_examples(RankingSession& session);

}  // namespace swallowtail
