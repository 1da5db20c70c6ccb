// Small JSON values and errors among the ranks that save or restore together.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/error.h"

namespace swallowtail {

/// Collective: one value from every rank to every rank, by rank.
std::vector<nlohmann::json> gather_json(const nlohmann::json& mine, const Tag& tag, Communicator& ranks);

nlohmann::json error_to_json(const Error& error);
Error error_from_json(const nlohmann::json& json);

}  // namespace swallowtail
