// The closing lines for people, made from the JSON that --json prints. Every line starts with "swallowtail: ".
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace swallowtail::cli {

std::string summary_text(const nlohmann::json& summary);        // train
std::string memory_bill_text(const nlohmann::json& bill);       // train --dry-run
std::string evaluation_text(const nlohmann::json& evaluation);  // evaluate
std::string comparison_text(const nlohmann::json& comparison);  // evaluate --compare

std::string human_bytes(double bytes);  // 1,610,612,736 -> "1.5 GiB"

}  // namespace swallowtail::cli
