#include "trainer/tuning/trial_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "parallel/error.h"
#include "trainer/files/append_file.h"
#include "trainer/files/file_descriptor.h"
#include "trainer/files/untrusted_json.h"

namespace swallowtail {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json to_json(const TrialRecord& record, const std::vector<SearchParameter>& space) {
  ordered_json parameters = ordered_json::object();
  for (std::size_t p = 0; p < space.size(); ++p) parameters[space[p].key] = record.trial.point[p];
  ordered_json line;
  line["trial"] = record.trial.number;
  line["epochs"] = record.trial.epochs;
  line["parameters"] = parameters;
  line["state"] = record.value ? "done" : "failed";
  line["value"] = record.value ? ordered_json(*record.value) : ordered_json();
  line["seconds"] = record.seconds;
  if (!record.value) line["error"] = record.error;
  line["metrics"] = record.metrics;
  return line;
}

TrialRecord trial_record(const json& line, const std::vector<SearchParameter>& space, const std::string& place) {
  TrialRecord record;
  try {
    record.trial.number = json_integer(line.at("trial"));
    record.trial.epochs = json_integer(line.at("epochs"));
    const json& parameters = line.at("parameters");
    for (const SearchParameter& parameter : space)
      if (parameters.contains(parameter.key))
        record.trial.point.push_back(parameters.at(parameter.key).get<std::string>());
    if (record.trial.point.size() != space.size() || parameters.size() != space.size())
      throw Error{ExitCode::usage, "the search has tried other parameters than tune.parameters names", place,
                  "restore the experiment, or start again with --force"};
    if (!line.at("value").is_null()) record.value = line.at("value").get<double>();
    if (line.contains("error")) record.error = line.at("error").get<std::string>();
    record.seconds = line.at("seconds").get<double>();
    record.metrics = line.at("metrics");
  } catch (const json::exception& error) {
    throw Error{ExitCode::damaged, fmt::format("this line is no record of a trial: {}", error.what()), place,
                "take the line out, or start again with --force"};
  }
  return record;
}

std::vector<TrialRecord> TrialLog::open(const std::vector<SearchParameter>& space) const {
  std::vector<TrialRecord> records;
  std::ifstream in(path_, std::ios::binary);
  if (!in) return records;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::size_t begin = 0;
  for (std::int64_t number = 1; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string place = fmt::format("{}:{}", path_.string(), number);
    const json line = json::parse(text.substr(begin, end - begin), nullptr, false);
    records.push_back(trial_record(line, space, place));
    begin = end + 1;
  }
  if (begin < text.size()) AppendFile(path_).truncate(static_cast<std::int64_t>(begin));
  std::ranges::sort(records, {}, [](const TrialRecord& record) { return record.trial.number; });
  return records;
}

void TrialLog::append(const TrialRecord& record, const std::vector<SearchParameter>& space) const {
  const std::string line = to_json(record, space).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  // One writer at a time, so that a write that fails takes back its own bytes alone. Without locks (some parallel file
  // systems) a line is still written by one call.
  const FileDescriptor lock = open_file(path_, O_RDWR | O_CREAT);
  while (::flock(lock.number(), LOCK_EX) != 0 && errno == EINTR) {
  }
  AppendFile file(path_);
  file.append(line);
  file.sync();
}

}  // namespace swallowtail
