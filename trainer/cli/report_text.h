// The closing lines for people, made from the JSON that --json prints. Every line starts with "swallowtail: ".
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace swallowtail::cli {

std::string summary_text(const nlohmann::json& summary);         // train
std::string memory_bill_text(const nlohmann::json& bill);        // train --dry-run
std::string evaluation_text(const nlohmann::json& evaluation);   // evaluate

}  // namespace swallowtail::cli
