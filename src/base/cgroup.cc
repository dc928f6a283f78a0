#include "base/cgroup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace stonechat {
namespace {

// The lesser of two limits, of which 0 is none.
double lesser(double a, double b) {
  if (a <= 0) return b;
  return b <= 0 || a < b ? a : b;
}

// "max 100000" or "150000 100000", in microseconds.
double quota_v2(const std::string& directory) {
  std::string quota;
  double period = 0;
  std::ifstream file(directory + "/cpu.max");
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(0.0, std::strtod(quota.c_str(), nullptr) / period);
}

// The quota is -1 where there is none.
double quota_v1(const std::string& directory) {
  double quota = 0;
  double period = 0;
  std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
  std::ifstream period_file(directory + "/cpu.cfs_period_us");
  return quota_file >> quota && period_file >> period && quota > 0 && period > 0 ? quota / period : 0;
}

// Whether a list such as "cpu,cpuacct" has the name.
bool names(std::string_view controllers, std::string_view name) {
  while (!controllers.empty()) {
    const size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == name) return true;
    controllers.remove_prefix(comma == std::string_view::npos ? controllers.size() : comma + 1);
  }
  return false;
}

}  // namespace

std::vector<CgroupFolder> cgroup_folders(std::string_view controller, const std::string& membership,
                                         const std::string& mount) {
  std::vector<CgroupFolder> folders;
  std::ifstream file(membership);
  // Lines are ID:CONTROLLERS:PATH; version 2 has ID 0 and no controllers.
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool version2 = controllers.empty();
    if (!version2 && !names(controllers, controller)) continue;
    const std::string root = version2 ? mount : fmt::format("{}/{}", mount, controller);
    for (std::string path = line.substr(second + 1); !path.empty() && path != "/";) {
      folders.push_back({root + path, version2});
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
    folders.push_back({root, version2});
  }
  return folders;
}

double cgroup_processors(const std::string& membership, const std::string& mount) {
  double least = 0;
  for (const CgroupFolder& folder : cgroup_folders("cpu", membership, mount))
    least = lesser(least, folder.version2 ? quota_v2(folder.path) : quota_v1(folder.path));
  return least;
}

}  // namespace stonechat
