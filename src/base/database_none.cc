// Stands in for database_sqlite.cc where SQLite isn't there (cross builds).
#include "base/database.h"
#include "base/error.h"

namespace stonechat {

Database::Database(const std::string& path) : path_(path) {
  fail(ErrorKind::kUsage, "{}: this build of stonechat has no SQLite, so it cannot keep results", path);
}

// Never called, as there is no object.
Database::~Database() = default;
void Database::execute(const std::string&) {}
std::vector<Database::Row> Database::query(std::string_view, const std::vector<Value>&) {
  return {};
}
void Database::roll_back() noexcept {}

}  // namespace stonechat
