// A SQLite file that results are kept in as they come: what was committed outlives a kill or a power cut.
//
// Not for several threads at once. Several processes may have one file open; a writer waits up to 10 seconds
// for another. Errors: ErrorKind::kBadFile for a file that isn't a database or is damaged, ErrorKind::kIo for
// what the system refuses (no such directory, disk full), both naming the file; ErrorKind::kUsage in a build
// without SQLite.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct sqlite3;

namespace stonechat {

class Database {
 public:
  using Value = std::variant<std::nullptr_t, int64_t, double, std::string>;
  using Row = std::vector<Value>;

  // Opens the file, or creates it.
  explicit Database(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }

  // Statements without results, and without values of their own: CREATE TABLE, PRAGMA.
  void execute(const std::string& statements);
  // One statement with a value for each `?`, and its rows.
  std::vector<Row> query(std::string_view statement, const std::vector<Value>& values = {});
  // All that `change` does, or nothing when it throws.
  template <typename Change>
  void transaction(Change&& change) {
    execute("BEGIN IMMEDIATE");
    try {
      change();
      execute("COMMIT");
    } catch (...) {
      roll_back();
      throw;
    }
  }

 private:
  void roll_back() noexcept;
  [[noreturn]] void refuse(int code) const;

  std::string path_;
  sqlite3* connection_ = nullptr;
};

}  // namespace stonechat
