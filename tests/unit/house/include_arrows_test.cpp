// The arrows of the house: which room may include which. And the size of files.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

struct Room {
  std::string_view path;                  // the longest one that a file's path begins with is its room
  std::vector<std::string_view> allowed;  // beginnings of what it may include, beside itself
  std::vector<std::string_view> system;   // of the libraries that cost or bind: see kGuarded
};

// Only these rooms may include these, whoever else may not: torch costs 8 to 35 s a file, MPI binds to ranks.
const std::vector<std::string_view> kGuarded{"torch/", "ATen/", "c10/", "mpi.h", "yaml-cpp/"};
const std::vector<std::string_view> kTorch{"torch/", "ATen/", "c10/"};

const std::vector<Room> kRooms{
    {"kernels/", {}, {}},
    {"parallel/", {"kernels/"}, {"mpi.h"}},
    {"trainer/config/",
     {"kernels/", "parallel/error.h", "parallel/all_to_all/all_to_all.h", "parallel/simulated/network.h"},
     {"yaml-cpp/"}},
    {"trainer/files/", {"parallel/error.h"}, {}},
    {"trainer/data/",
     {"kernels/", "parallel/", "trainer/config/", "trainer/files/"},
     {}},  // reading is shared among ranks; no model
    {"trainer/evaluation/", {"kernels/", "parallel/error.h"}, {}},
    {"trainer/report/", {"kernels/", "parallel/error.h", "trainer/files/", "trainer/evaluation/"}, {}},
    {"trainer/embedding/", {"kernels/", "parallel/", "trainer/config/", "trainer/data/batch.h"}, {}},
    // Models that rank items for users, their negatives and their losses: without torch and without files.
    {"trainer/ranking/",
     {"kernels/", "parallel/", "trainer/config/", "trainer/data/", "trainer/evaluation/", "trainer/embedding/",
      "trainer/device/"},
     {}},
    // The stages of SAP, which compose rankers: without torch as well.
    {"trainer/sap/",
     {"kernels/", "parallel/", "trainer/config/", "trainer/data/", "trainer/evaluation/", "trainer/embedding/",
      "trainer/ranking/"},
     {}},
    // Those models that torch computes.
    {"trainer/rankers/",
     {"kernels/", "parallel/", "trainer/config/", "trainer/data/", "trainer/embedding/", "trainer/ranking/",
      "trainer/sap/", "trainer/models/text_encoder.h", "trainer/models/image_encoder.h"},
     kTorch},
    // Searches over experiments: what is tried next, and what has come of it.
    {"trainer/tuning/", {"kernels/", "parallel/error.h", "trainer/config/", "trainer/files/"}, {}},
    // Plans on paper: from what the experiment and the data say, without a model, a batch or a rank.
    {"trainer/planning/",
     {"kernels/", "parallel/", "trainer/config/", "trainer/data/batch.h", "trainer/embedding/", "trainer/report/"},
     {}},
    // A rank's work on a device: without torch, without files.
    {"trainer/device/", {"kernels/", "parallel/", "trainer/config/", "trainer/data/batch.h", "trainer/embedding/"}, {}},
    {"trainer/checkpoint/", {"kernels/", "parallel/", "trainer/files/"}, {}},
    {"trainer/export/", {"kernels/", "parallel/", "trainer/config/", "trainer/files/", "trainer/checkpoint/"}, {}},
    // Models know no files and no ranks: of the data, only the batch.
    {"trainer/models/",
     {"kernels/", "parallel/error.h", "trainer/config/", "trainer/data/batch.h", "trainer/embedding/",
      "trainer/device/dlrm_network.h"},
     kTorch},
    {"trainer/training/",
     {"kernels/", "parallel/", "trainer/config/", "trainer/files/", "trainer/data/", "trainer/evaluation/",
      "trainer/report/", "trainer/embedding/", "trainer/device/", "trainer/ranking/", "trainer/rankers/",
      "trainer/sap/", "trainer/planning/", "trainer/tuning/", "trainer/checkpoint/", "trainer/models/"},
     kTorch},
    {"trainer/cli/", {"kernels/", "parallel/", "trainer/"}, {"torch/version.h", "mpi.h"}},
};

bool begins_with_any(std::string_view text, const std::vector<std::string_view>& beginnings) {
  return std::ranges::any_of(beginnings, [&](std::string_view beginning) { return text.starts_with(beginning); });
}

const Room* room_of(std::string_view file) {
  const Room* found = nullptr;
  for (const Room& room : kRooms)
    if (file.starts_with(room.path) && (!found || room.path.size() > found->path.size())) found = &room;
  return found;
}

/// "file: includes X" for every include of `text` that the table does not allow.
std::vector<std::string> violations(const std::string& file, const std::string& text) {
  const Room* room = room_of(file);
  if (room == nullptr) return {file + ": lies in no room of the table"};
  std::vector<std::string> found;
  static const std::regex include{R"((^|\n)[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"])"};
  for (auto match = std::sregex_iterator(text.begin(), text.end(), include); match != std::sregex_iterator(); ++match) {
    const std::string name = (*match)[3];
    const bool is_quoted = (*match)[2] == "\"";
    const bool is_ours = name.starts_with("kernels/") || name.starts_with("parallel/") || name.starts_with("trainer/");
    if (is_quoted || is_ours) {
      if (!name.starts_with(room->path) && !begins_with_any(name, room->allowed))
        found.push_back(file + ": includes " + name);
    }
    if (begins_with_any(name, kGuarded) && !begins_with_any(name, room->system))
      found.push_back(file + ": includes " + name);
  }
  return found;
}

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Source files below `folder`, relative to the checkout.
std::vector<std::string> sources(const fs::path& folder, const std::vector<std::string_view>& endings) {
  std::vector<std::string> files;
  const fs::path root = SWALLOWTAIL_SOURCE_DIR;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder))
    if (entry.is_regular_file() && std::ranges::find(endings, entry.path().extension().string()) != endings.end())
      files.push_back(fs::relative(entry.path(), root).generic_string());
  return files;
}

TEST(IncludeArrows, NoFileIncludesAgainstThem) {
  std::size_t checked = 0;
  for (const char* folder : {"kernels", "parallel", "trainer"})
    for (const std::string& file : sources(folder, {".h", ".cpp", ".cuh", ".cu"})) {
      ++checked;
      for (const std::string& violation : violations(file, read(fs::path(SWALLOWTAIL_SOURCE_DIR) / file)))
        ADD_FAILURE() << violation;
    }
  EXPECT_GT(checked, 50u);  // else the walk, not the house, is in order
}

TEST(IncludeArrows, PlantedViolationsAreFound) {
  using Found = std::vector<std::string>;
  EXPECT_EQ(violations("kernels/a.h", "#include \"parallel/error.h\"\n"),
            Found{"kernels/a.h: includes parallel/error.h"});
  EXPECT_EQ(violations("kernels/a.h", "int x;\n  #  include <parallel/error.h>\n"),
            Found{"kernels/a.h: includes parallel/error.h"});
  EXPECT_EQ(violations("parallel/a.cpp", "#include \"trainer/data/batch.h\""),
            Found{"parallel/a.cpp: includes trainer/data/batch.h"});
  EXPECT_EQ(violations("trainer/data/a.cpp", "#include \"trainer/models/model.h\""),
            Found{"trainer/data/a.cpp: includes trainer/models/model.h"});
  EXPECT_EQ(violations("trainer/models/a.cpp", "#include \"parallel/communicator.h\""),
            Found{"trainer/models/a.cpp: includes parallel/communicator.h"});
  EXPECT_EQ(violations("trainer/training/a.cpp", "#include \"trainer/cli/command.h\""),
            Found{"trainer/training/a.cpp: includes trainer/cli/command.h"});
  EXPECT_EQ(violations("trainer/report/a.cpp", "#include <torch/torch.h>"),
            Found{"trainer/report/a.cpp: includes torch/torch.h"});
  EXPECT_EQ(violations("trainer/training/a.cpp", "#include <mpi.h>"), Found{"trainer/training/a.cpp: includes mpi.h"});
  // A name without its folder would hide where it comes from.
  EXPECT_EQ(violations("parallel/a.cpp", "#include \"error.h\""), Found{"parallel/a.cpp: includes error.h"});
  EXPECT_EQ(violations("elsewhere/a.h", ""), Found{"elsewhere/a.h: lies in no room of the table"});
}

TEST(IncludeArrows, AllowedIncludesPass) {
  EXPECT_TRUE(violations("kernels/cpu/a.cpp", "#include \"kernels/a.h\"\n#include <vector>\n").empty());
  EXPECT_TRUE(
      violations("trainer/models/a.cpp", "#include <torch/torch.h>\n#include \"trainer/data/batch.h\"").empty());
  EXPECT_TRUE(violations("trainer/cli/a.cpp", "#include \"trainer/training/training.h\"\n#include <mpi.h>").empty());
}

TEST(FileSize, NoFileIsLongerThan500Lines) {
  for (const char* folder : {"kernels", "parallel", "trainer", "tests", "cmake", "scripts"})
    for (const std::string& file : sources(folder, {".h", ".cpp", ".cuh", ".cu", ".py", ".sh", ".cmake", ".txt", ""})) {
      const std::string text = read(fs::path(SWALLOWTAIL_SOURCE_DIR) / file);
      EXPECT_LE(std::ranges::count(text, '\n'), 500) << file << " asks where the second file is";
    }
}

}  // namespace
}  // namespace swallowtail
