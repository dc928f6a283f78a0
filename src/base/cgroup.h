// Linux's control groups: where this process's groups are, and how much processor time they give it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

struct CgroupFolder {
  std::string path;
  bool version2;
};

// The folders of the process's group of a controller ("cpu", "memory") and of the groups above it, up to the
// root of the mount. A container sees its own group as the root, but may be told the path that the host
// knows: folders that aren't there may be among them.
//
// `membership` is the file that names the process's groups (proc(5), cgroups(7)), `mount` where they are
// mounted.
std::vector<CgroupFolder> cgroup_folders(std::string_view controller, const std::string& membership,
                                         const std::string& mount);

// Processors that the CPU quotas of the process's group and of the groups above it allow, such as 1.5; the
// least of them counts. 0 where there is none, or no control groups. Reads version 2 (cpu.max) and version 1
// (cpu.cfs_quota_us, cpu.cfs_period_us).
double cgroup_processors(const std::string& membership = "/proc/self/cgroup",
                         const std::string& mount = "/sys/fs/cgroup");

}  // namespace stonechat
