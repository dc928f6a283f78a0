#include <sqlite3.h>

#include "base/database.h"
#include "base/error.h"

namespace stonechat {
namespace {

constexpr int kBusyMilliseconds = 10'000;

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

int bind(sqlite3_stmt* statement, int index, const Database::Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value))
    return sqlite3_bind_int64(statement, index, *integer);
  if (const auto* real = std::get_if<double>(&value)) return sqlite3_bind_double(statement, index, *real);
  if (const auto* text = std::get_if<std::string>(&value))
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return sqlite3_bind_null(statement, index);
}

Database::Value column(sqlite3_stmt* statement, int index) {
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
      return int64_t{sqlite3_column_int64(statement, index)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, index);
    case SQLITE_NULL:
      return nullptr;
    default: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, index));
      const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, index));
      return bytes == nullptr ? std::string() : std::string(bytes, size);
    }
  }
}

}  // namespace

Database::Database(const std::string& path) : path_(path) {
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  try {
    if (const int code = sqlite3_open_v2(path.c_str(), &connection_, kFlags, nullptr); code != SQLITE_OK)
      refuse(code);
    sqlite3_extended_result_codes(connection_, 1);
    sqlite3_busy_timeout(connection_, kBusyMilliseconds);
    query("SELECT count(*) FROM sqlite_master");  // reads the header, which opening doesn't
  } catch (...) {
    sqlite3_close(connection_);
    throw;
  }
}

Database::~Database() {
  sqlite3_close(connection_);
}

void Database::execute(const std::string& statements) {
  const int code = sqlite3_exec(connection_, statements.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) refuse(code);
}

std::vector<Database::Row> Database::query(std::string_view statement, const std::vector<Value>& values) {
  sqlite3_stmt* raw = nullptr;
  const int prepared =
      sqlite3_prepare_v2(connection_, statement.data(), static_cast<int>(statement.size()), &raw, nullptr);
  const std::unique_ptr<sqlite3_stmt, Finalize> owned(raw);
  if (prepared != SQLITE_OK) refuse(prepared);
  for (size_t i = 0; i < values.size(); ++i) {
    if (const int code = bind(raw, static_cast<int>(i) + 1, values[i]); code != SQLITE_OK) refuse(code);
  }
  std::vector<Row> rows;
  for (;;) {
    const int code = sqlite3_step(raw);
    if (code == SQLITE_DONE) return rows;
    if (code != SQLITE_ROW) refuse(code);
    Row& row = rows.emplace_back();
    for (int i = 0; i < sqlite3_column_count(raw); ++i) row.push_back(column(raw, i));
  }
}

void Database::roll_back() noexcept {
  // SQLite may have rolled back already, which makes this an error that says nothing new.
  sqlite3_exec(connection_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void Database::refuse(int code) const {
  const int kind = code & 0xff;  // without the extended part
  const bool damaged = kind == SQLITE_NOTADB || kind == SQLITE_CORRUPT || kind == SQLITE_ERROR;
  const char* message = connection_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(connection_);
  fail(damaged ? ErrorKind::kBadFile : ErrorKind::kIo, "{}: {}", path_, message);
}

}  // namespace stonechat
