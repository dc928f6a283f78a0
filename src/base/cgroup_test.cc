#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

class CgroupTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return directory_.file(name); }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }

  double processors() const { return cgroup_processors(path("membership"), path("mount")); }

  TemporaryDirectory directory_;
};

TEST_F(CgroupTest, NoneWithoutFiles) {
  EXPECT_EQ(processors(), 0);
  write("membership", "0::/a/b\n");
  EXPECT_EQ(processors(), 0);
}

TEST_F(CgroupTest, Version2ReadsTheGroupItself) {
  write("membership", "0::/system.slice/chat.service\n");
  write("mount/system.slice/chat.service/cpu.max", "150000 100000\n");
  write("mount/system.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(processors(), 1.5);
}

TEST_F(CgroupTest, TheLeastOfTheGroupsAboveCounts) {
  write("membership", "0::/a/b/c\n");
  write("mount/a/b/c/cpu.max", "800000 100000\n");
  write("mount/a/b/cpu.max", "200000 100000\n");
  write("mount/a/cpu.max", "300000 100000\n");
  EXPECT_EQ(processors(), 2);
  write("mount/cpu.max", "50000 100000\n");
  EXPECT_EQ(processors(), 0.5);
}

TEST_F(CgroupTest, AContainerSeesItsGroupAsTheRoot) {
  write("mount/cpu.max", "300000 100000\n");
  write("membership", "0::/\n");
  EXPECT_EQ(processors(), 3);
  write("membership", "0::/docker/of/the/host\n");
  EXPECT_EQ(processors(), 3);
}

TEST_F(CgroupTest, Version1) {
  write("membership", "5:cpuset:/x\n4:cpu,cpuacct:/x/y\n1:name=systemd:/x\n");
  write("mount/cpu/x/y/cpu.cfs_quota_us", "-1\n");
  write("mount/cpu/x/y/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(processors(), 0);
  write("mount/cpu/x/cpu.cfs_quota_us", "250000\n");
  write("mount/cpu/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(processors(), 2.5);
}

TEST_F(CgroupTest, WhatMakesNoSenseIsNoQuota) {
  for (const char* text : {"", "max", "1", "100000 0", "-5 100000", "x y", "0 100000"}) {
    write("membership", "0::/\nnonsense\n:\n");
    write("mount/cpu.max", text);
    EXPECT_EQ(processors(), 0) << text;
  }
}

}  // namespace
}  // namespace stonechat
