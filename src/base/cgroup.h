// How much processor time Linux's control groups give this process.
#pragma once

#include <string>

namespace stonechat {

// Processors that the CPU quotas of the process's group and of the groups above it allow, such as 1.5; the
// least of them counts. 0 where there is none, or no control groups. Reads version 2 (cpu.max) and version 1
// (cpu.cfs_quota_us, cpu.cfs_period_us).
//
// `membership` is the file that names the process's groups (proc(5), cgroups(7)), `mount` where they are
// mounted.
double cgroup_processors(const std::string& membership = "/proc/self/cgroup",
                         const std::string& mount = "/sys/fs/cgroup");

}  // namespace stonechat
