#include "trainer/report/metrics_log.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>

#include "trainer/files/durable_file.h"

namespace swallowtail {
namespace {

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_value(const nlohmann::ordered_json& value, std::string& out) {
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    if (!std::isfinite(number)) {
      out += "null";
      return;
    }
    const auto digits = fmt::format("{:.17g}", number);
    out += digits;
    if (digits.find_first_of(".e") == std::string::npos) out += ".0";  // stays a floating number for typed readers
  } else if (value.is_object()) {
    char separator = '{';
    for (const auto& [key, member] : value.items()) {
      out += separator + nlohmann::ordered_json(key).dump() + ':';
      write_value(member, out);
      separator = ',';
    }
    out += value.empty() ? "{}" : "}";
  } else if (value.is_array()) {
    char separator = '[';
    for (const auto& element : value) {
      out += separator;
      write_value(element, out);
      separator = ',';
    }
    out += value.empty() ? "[]" : "]";
  } else {
    // Names of files and columns need not be UTF-8; a replaced character is better than no line.
    out += value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
}

/// Whether the line stays when the run goes on from `step`.
bool is_kept(std::string_view line, std::int64_t step) {
  const auto record = nlohmann::json::parse(line, nullptr, false);
  if (!record.is_object()) return false;
  const auto found = record.find("step");
  return found == record.end() || !found->is_number() || found->get<double>() <= static_cast<double>(step);
}

}  // namespace

std::string exact_json(const nlohmann::ordered_json& value) {
  std::string out;
  write_value(value, out);
  return out;
}

MetricsLog::MetricsLog(const std::filesystem::path& path) : file_(path) {
  const auto text = read_all(path);
  if (!text.empty() && text.back() != '\n') {
    const auto last = text.rfind('\n');
    file_.truncate(last == std::string::npos ? 0 : static_cast<std::int64_t>(last) + 1);
  }
}

void MetricsLog::append(const nlohmann::ordered_json& record) { file_.append(exact_json(record) + '\n'); }

std::int64_t MetricsLog::truncate_after(std::int64_t step) {
  const auto text = read_all(file_.path());
  std::string kept;
  std::int64_t dropped = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = text.find('\n', begin);  // there is one: the constructor saw to it
    const auto line = std::string_view(text).substr(begin, end - begin);
    if (is_kept(line, step))
      kept.append(line) += '\n';
    else
      ++dropped;
    begin = end + 1;
  }
  if (dropped == 0) return 0;
  const auto path = file_.path();
  write_atomically(path, kept);
  file_ = AppendFile(path);
  return dropped;
}

}  // namespace swallowtail
