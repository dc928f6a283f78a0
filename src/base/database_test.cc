// Results kept in SQLite: values come back, a change is whole or not there, bad files are named.
#include "base/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Database, ValuesComeBackAfterItWasClosed) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("results.sqlite");
  const std::string with_zero("a\0b", 3);
  {
    Database database(path);
    database.execute("CREATE TABLE t(i INTEGER, r REAL, s TEXT, n TEXT)");
    database.query("INSERT INTO t VALUES (?, ?, ?, ?)", {int64_t{1} << 60, 0.1, with_zero, nullptr});
    database.query("INSERT INTO t VALUES (?, ?, ?, ?)", {int64_t{-1}, -2.5, std::string(), nullptr});
  }
  Database database(path);
  const auto rows = database.query("SELECT i, r, s, n FROM t WHERE i > ?", {int64_t{0}});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_THAT(rows[0], ElementsAre(Database::Value(int64_t{1} << 60), Database::Value(0.1),
                                   Database::Value(with_zero), Database::Value(nullptr)));
  EXPECT_EQ(database.query("SELECT s FROM t").size(), 2U);
}

TEST(Database, ATransactionThatThrowsLeavesNothing) {
  const TemporaryDirectory directory;
  Database database(directory.file("results.sqlite"));
  database.execute("CREATE TABLE t(i INTEGER)");
  const auto change = [&] {
    database.query("INSERT INTO t VALUES (1)");
    fail(ErrorKind::kInterrupted, "stop");
  };
  EXPECT_THROW(database.transaction(change), Error);
  EXPECT_TRUE(database.query("SELECT i FROM t").empty());
  database.transaction([&] { database.query("INSERT INTO t VALUES (2)"); });
  EXPECT_EQ(database.query("SELECT i FROM t").size(), 1U);
}

TEST(Database, ErrorsNameTheFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("text.sqlite");
  std::ofstream(path) << std::string(4096, 'x');
  const auto open = [](const std::string& file) {
    try {
      Database database(file);
    } catch (const Error& error) {
      return std::pair(error.kind(), std::string(error.what()));
    }
    return std::pair(ErrorKind::kUsage, std::string("no error"));
  };
  EXPECT_EQ(open(path).first, ErrorKind::kBadFile);
  EXPECT_THAT(open(path).second, HasSubstr(path));
  const std::string nowhere = directory.file("no/such/folder.sqlite");
  EXPECT_EQ(open(nowhere).first, ErrorKind::kIo);
  EXPECT_THAT(open(nowhere).second, HasSubstr(nowhere));
}

TEST(Database, ATruncatedFileIsRefusedNotCrashed) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("results.sqlite");
  {
    Database database(path);
    database.execute("CREATE TABLE t(s TEXT)");
    for (int i = 0; i < 100; ++i) database.query("INSERT INTO t VALUES (?)", {std::string(1000, 'x')});
  }
  std::filesystem::resize_file(path, 9000);
  const auto read = [&] {
    Database database(path);
    database.query("SELECT count(s), max(length(s)) FROM t");
  };
  EXPECT_THROW(read(), Error);
}

}  // namespace
}  // namespace stonechat
