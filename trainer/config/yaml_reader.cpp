#include "trainer/config/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

namespace swallowtail::config {
namespace {

/// Length of the UTF-8 sequence that starts at `at`, or 0 where it is none (overlong forms and surrogates are none).
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                             : (lead & 0xF0) == 0xE0        ? 3
                             : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                            : 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  const unsigned second = byte(at + 1);
  const bool is_overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool is_beyond = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return is_overlong || is_beyond ? 0 : length;
}

/// Builds the Node tree from yaml-cpp's events.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::shared_ptr<const Source> source) : source_(std::move(source)) {}

  Node take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (has_document_)
      throw Error{ExitCode::usage, "a second YAML document", at(mark).words(),
                  "an experiment is one document; remove '---'"};
    has_document_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(Node{.place = at(mark)}, anchor); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_tag(mark, tag);
    if (value.find('\0') != std::string::npos)  // would cut paths short
      throw Error{ExitCode::usage, "a NUL character in a text", at(mark).words(), "remove it"};
    add(Node{.shape = Node::Shape::scalar, .text = value, .is_quoted = tag == "!", .place = at(mark)}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end())
      throw Error{ExitCode::usage, "an alias within its own anchor", at(mark).words(), "write the value out"};
    aliased_nodes_ += found->second.count();
    if (aliased_nodes_ > kMostAliasedNodes)
      throw Error{ExitCode::usage, fmt::format("aliases stand for more than {} nodes", kMostAliasedNodes),
                  at(mark).words(), "write the values out, or use extends"};
    check_depth(open_.size() + found->second.depth() - 1, mark);
    add(Node(found->second), 0, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Shape::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Shape::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {  // a list or map whose end was not seen yet
    Node node;
    YAML::anchor_t anchor = 0;
    std::optional<Node> key = {};  // of a map: read, its value not yet
    std::unordered_set<std::string> keys = {};
  };

  Place at(const YAML::Mark& mark) const { return {source_, mark.line + 1, mark.column + 1}; }

  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Error{ExitCode::usage, fmt::format("tag {}", in_quotes(tag)), at(mark).words(),
                "remove it; the key decides the type"};
  }

  void check_depth(std::size_t depth, const YAML::Mark& mark) const {
    if (depth > kMostDepth)
      throw Error{ExitCode::usage, fmt::format("lists and maps deeper than {}", kMostDepth), at(mark).words(),
                  "an experiment needs no more than 4"};
  }

  void open(Node::Shape shape, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_tag(mark, tag);
    check_depth(open_.size() + 1, mark);
    refuse_as_key(at(mark));
    open_.push_back(Open{.node = Node{.shape = shape, .place = at(mark)}, .anchor = anchor});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    add(std::move(done.node), done.anchor);
  }

  bool expects_key() const {
    return !open_.empty() && open_.back().node.shape == Node::Shape::map && !open_.back().key;
  }

  void refuse_as_key(const Place& place) const {
    if (expects_key())
      throw Error{ExitCode::usage, "a key that is not a plain word", place.words(), "write KEY: VALUE"};
  }

  void add(Node node, YAML::anchor_t anchor, const std::optional<YAML::Mark>& alias = {}) {
    if (alias) {
      refuse_as_key(at(*alias));
    } else if (anchor != 0) {
      anchored_.insert_or_assign(anchor, node);
    }
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (auto& parent = open_.back(); parent.node.shape == Node::Shape::list) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      add_key(parent, std::move(node));
    } else {
      if (node.shape == Node::Shape::null) node.place = parent.key->place;  // yaml-cpp marks what stands after it
      parent.node.entries.push_back({std::move(parent.key->text), parent.key->place, std::move(node)});
      parent.key.reset();
    }
  }

  void add_key(Open& map, Node key) const {
    if (key.shape != Node::Shape::scalar) refuse_as_key(key.place);
    if (key.text == "<<")
      throw Error{ExitCode::usage, "merge key '<<'", key.place.words(), "write the keys out, or use extends"};
    if (!map.keys.insert(key.text).second)
      throw Error{ExitCode::usage, fmt::format("key {} stands twice", in_quotes(key.text)), key.place.words(),
                  "remove one"};
    map.key = std::move(key);
  }

  std::shared_ptr<const Source> source_;
  Node root_;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, Node> anchored_;  // only of finished nodes: an anchor that is open is a cycle
  std::size_t aliased_nodes_ = 0;
  bool has_document_ = false;
};

}  // namespace

void check_bytes(std::string_view text, const std::shared_ptr<const Source>& source) {
  Place place{source, 1, 1};
  bool is_indentation = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const char c = text[at];
    if (length == 0)
      throw Error{ExitCode::usage, fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(c)),
                  place.words(), "save the file as UTF-8"};
    if (c == '\t' && is_indentation)
      throw Error{ExitCode::usage, "a tab in the indentation", place.words(), "indent with spaces"};
    if ((c >= 0 && c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F)
      throw Error{ExitCode::usage, fmt::format("control character 0x{:02x}", static_cast<unsigned char>(c)),
                  place.words(), "remove it, or write it as an escape in double quotes"};
    is_indentation = c == '\n' || (is_indentation && c == ' ');
    place.column = c == '\n' ? 1 : place.column + 1;
    place.line += c == '\n' ? 1 : 0;
    at += length;
  }
}

Node read_yaml(std::string_view text, const std::shared_ptr<const Source>& source) {
  const std::string file = source->name;
  if (text.size() > kMostBytes)
    throw Error{ExitCode::usage, fmt::format("experiment file of more than {} bytes", kMostBytes), file,
                "an experiment holds no data; name data files in it"};
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  check_bytes(text, source);
  TreeBuilder builder(source);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    Place place{source, error.mark.line + 1, error.mark.column + 1};
    throw Error{ExitCode::usage, fmt::format("not YAML: {}", printable(error.msg)),
                error.mark.is_null() ? file : place.words(), "see configs/ for experiments that run"};
  }
  Node root = builder.take_root();
  if (root.shape == Node::Shape::null)
    throw Error{ExitCode::usage, "the experiment file is empty", file, "see configs/ for experiments that run"};
  if (root.shape != Node::Shape::map)
    throw Error{ExitCode::usage, "an experiment is a map of sections", root.place.words(), "write KEY: VALUE"};
  return root;
}

std::string read_text(const std::filesystem::path& file, const std::string& place) {
  std::error_code code;
  const auto status = std::filesystem::status(file, code);
  const std::string where = place.empty() ? printable(file.string()) : place;
  if (!std::filesystem::exists(status))
    throw Error{ExitCode::usage, fmt::format("no experiment file {}", in_quotes(file.string())), place,
                "check the path"};
  if (std::filesystem::is_directory(status))
    throw Error{ExitCode::usage, fmt::format("{} is a directory", in_quotes(file.string())), place,
                "name a YAML file in it"};
  if (!std::filesystem::is_regular_file(status))  // reading a pipe or device could wait for ever
    throw Error{ExitCode::usage, fmt::format("{} is not a regular file", in_quotes(file.string())), place,
                "name a YAML file"};
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMostBytes + 1, '\0');
  errno = 0;
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad())
    throw Error{ExitCode::usage, fmt::format("cannot read {}: {}", in_quotes(file.string()), std::strerror(errno)),
                where, "check its permissions"};
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace swallowtail::config
