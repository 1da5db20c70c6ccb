// The schema in words: what `swallowtail train --help-config` prints, and the page configs/REFERENCE.md.
#pragma once

#include <string>

namespace swallowtail {

/// Every key with its default, type, range and meaning, as plain text of at most 120 columns.
std::string help_config();

/// The same as Markdown, with the rules of the file and an example a section. A test compares it with the committed
/// page.
std::string reference_page();

}  // namespace swallowtail
