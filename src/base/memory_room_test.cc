#include "base/memory_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

class MemoryRoomTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return directory_.file(name); }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }

  std::optional<MemoryRoom> room() const {
    return memory_room({path("meminfo"), path("membership"), path("mount")});
  }

  TemporaryDirectory directory_;
};

TEST_F(MemoryRoomTest, NothingWithoutFiles) {
  EXPECT_FALSE(room());
}

TEST_F(MemoryRoomTest, TheSystemsMemory) {
  write("meminfo", "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    2000 kB\nSwapFree:  0 kB\n");
  ASSERT_TRUE(room());
  EXPECT_EQ(room()->bytes, 2000U * 1024);
  EXPECT_THAT(room()->source, HasSubstr("meminfo: MemAvailable)"));
  write("meminfo", "MemAvailable: 2000 kB\nSwapTotal: 9000 kB\nSwapFree: 500 kB\n");
  EXPECT_EQ(room()->bytes, 2500U * 1024);
  EXPECT_THAT(room()->source, HasSubstr("MemAvailable and SwapFree"));
}

TEST_F(MemoryRoomTest, Version2CountsFilesThatCanBeGivenUp) {
  write("meminfo", "MemAvailable: 2000000 kB\n");
  write("membership", "0::/a/b\n");
  write("mount/a/b/memory.max", "100000000\n");
  write("mount/a/b/memory.current", "70000000\n");
  write("mount/a/b/memory.stat",
        "anon 20000000\nfile 50000000\ninactive_file 30000000\nactive_file 15000000\n");
  EXPECT_EQ(room()->bytes, 75'000'000U);
  EXPECT_THAT(room()->source, HasSubstr("of the 100 MB of"));
  EXPECT_THAT(room()->source, HasSubstr("/a/b/memory.max are 75 left"));
}

TEST_F(MemoryRoomTest, TheLeastRoomOfTheGroupsAboveCounts) {
  write("membership", "0::/a/b\n");
  write("mount/a/b/memory.max", "max\n");
  write("mount/a/b/memory.current", "5\n");
  EXPECT_FALSE(room());
  write("mount/a/memory.max", "1000\n");
  write("mount/a/memory.current", "400\n");
  EXPECT_EQ(room()->bytes, 600U);
  write("mount/memory.max", "1000\n");
  write("mount/memory.current", "1500\n");
  EXPECT_EQ(room()->bytes, 0U);
}

TEST_F(MemoryRoomTest, SwapCountsAsFarAsTheGroupMayUseIt) {
  write("meminfo", "MemAvailable: 2000000 kB\nSwapFree: 100 kB\n");
  write("membership", "0::/a\n");
  write("mount/a/memory.max", "1000\n");
  write("mount/a/memory.current", "400\n");
  EXPECT_EQ(room()->bytes, 600U + 102400);
  write("mount/a/memory.swap.max", "50\n");
  write("mount/a/memory.swap.current", "20\n");
  EXPECT_EQ(room()->bytes, 630U);
  write("mount/a/memory.swap.max", "0\n");
  EXPECT_EQ(room()->bytes, 600U);
}

TEST_F(MemoryRoomTest, Version1) {
  write("membership", "5:cpuset:/x\n4:memory:/x/y\n1:name=systemd:/x\n");
  write("mount/memory/x/y/memory.limit_in_bytes", "9223372036854771712\n");
  write("mount/memory/x/y/memory.usage_in_bytes", "10\n");
  EXPECT_FALSE(room());
  write("mount/memory/x/y/memory.limit_in_bytes", "9000\n");
  write("mount/memory/x/y/memory.stat", "inactive_file 7\ntotal_inactive_file 3\ntotal_active_file 4\n");
  EXPECT_EQ(room()->bytes, 9000U - 3);
}

TEST_F(MemoryRoomTest, FilesThatAreNoSuchFilesLimitNothing) {
  write("meminfo", "MemAvailable: many kB\nSwapFree:");
  write("membership", "0:\n::\nx\n0::/a\n");
  for (const char* text : {"", "x", "-5", "99999999999999999999999999"}) {
    write("mount/a/memory.max", text);
    write("mount/a/memory.current", "1");
    EXPECT_FALSE(room()) << text;
  }
  write("mount/a/memory.max", "1000");
  write("mount/a/memory.current", "");
  EXPECT_FALSE(room());
  write("mount/a/memory.current", "100");
  write("mount/a/memory.stat", "active_file x inactive_file 99999999999999999999999999\n");
  EXPECT_EQ(room()->bytes, 900U);
  write("mount/a/memory.stat", "active_file 18446744073709551615\ninactive_file 7\n");
  EXPECT_LE(room()->bytes, 1000U);
}

TEST_F(MemoryRoomTest, ThisSystemTells) {
  const auto room = memory_room();
  if (!room) GTEST_SKIP() << "no /proc";
  EXPECT_GT(room->bytes, 1U << 20);
}

}  // namespace
}  // namespace stonechat
