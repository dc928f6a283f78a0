#include "hub/catalog.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "hub/catalog_text.h"

namespace stonechat {
namespace {

const OrderedJson& required(const OrderedJson& object, const std::string& where, const char* field) {
  if (!object.is_object() || !object.contains(field))
    fail(ErrorKind::kBadFile, "catalog: {}.{} is missing", where, field);
  return object[field];
}

std::string text(const OrderedJson& object, const std::string& where, const char* field) {
  const OrderedJson& value = required(object, where, field);
  if (!value.is_string()) fail(ErrorKind::kBadFile, "catalog: {}.{}: expected a text", where, field);
  return value.get<std::string>();
}

const OrderedJson& list(const OrderedJson& object, const std::string& where, const char* field) {
  const OrderedJson& value = required(object, where, field);
  if (!value.is_array() || value.empty())
    fail(ErrorKind::kBadFile, "catalog: {}.{}: expected a list", where, field);
  return value;
}

CatalogSource parse_source(const OrderedJson& json, const std::string& where) {
  CatalogSource source;
  const std::string kind = text(json, where, "kind");
  if (kind == "hub") {
    source.repo = text(json, where, "repo");
    for (const auto& file : list(json, where, "files")) {
      if (!file.is_string()) fail(ErrorKind::kBadFile, "catalog: {}.files: expected texts", where);
      source.files.push_back(file.get<std::string>());
    }
  } else if (kind == "python-packages") {
    source.kind = CatalogSource::Kind::kPythonPackages;
    for (const auto& part : list(json, where, "parts")) {
      source.parts.push_back(
          {text(part, where + ".parts", "package"), text(part, where + ".parts", "member")});
    }
  } else {
    fail(ErrorKind::kBadFile, "catalog: {}.kind: expected hub or python-packages, found '{}'", where, kind);
  }
  return source;
}

}  // namespace

std::vector<CatalogEntry> parse_catalog(std::string_view json_text) {
  const OrderedJson json = OrderedJson::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) fail(ErrorKind::kBadFile, "catalog: expected a JSON object");
  std::vector<CatalogEntry> entries;
  for (const auto& [name, value] : json.items()) {
    CatalogEntry entry;
    entry.name = name;
    entry.about = text(value, name, "about");
    if (value.contains("file")) {
      entry.file = text(value, name, "file");
      entry.sha256 = text(value, name, "sha256");
      const OrderedJson& bytes = required(value, name, "bytes");
      if (!bytes.is_number_unsigned())
        fail(ErrorKind::kBadFile, "catalog: {}.bytes: expected a number", name);
      entry.bytes = bytes.get<uint64_t>();
    }
    for (const auto& source : list(value, name, "sources"))
      entry.sources.push_back(parse_source(source, name));
    entries.push_back(std::move(entry));
  }
  return entries;
}

const std::vector<CatalogEntry>& catalog() {
  static const std::vector<CatalogEntry> entries = parse_catalog(kCatalogText);
  return entries;
}

const CatalogEntry* find_in_catalog(std::string_view name) {
  const auto found = std::find_if(catalog().begin(), catalog().end(),
                                  [&](const CatalogEntry& entry) { return entry.name == name; });
  return found == catalog().end() ? nullptr : &*found;
}

}  // namespace stonechat
