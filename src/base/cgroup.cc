#include "base/cgroup.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string_view>

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

// The least quota from the group `path` ("/a/b") up to the root of the mount. A container sees its own group
// as the root, but may be told the path that the host knows; folders that aren't there are passed over.
double least_quota(const std::string& mount, std::string path, double (*quota)(const std::string&)) {
  double least = 0;
  while (!path.empty() && path != "/") {
    least = lesser(least, quota(mount + path));
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  return lesser(least, quota(mount));
}

bool names_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(comma == std::string_view::npos ? controllers.size() : comma + 1);
  }
  return false;
}

}  // namespace

double cgroup_processors(const std::string& membership, const std::string& mount) {
  double least = 0;
  std::ifstream file(membership);
  // Lines are ID:CONTROLLERS:PATH; version 2 has ID 0 and no controllers.
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = lesser(least, least_quota(mount, path, quota_v2));
    } else if (names_cpu(controllers)) {
      least = lesser(least, least_quota(mount + "/cpu", path, quota_v1));
    }
  }
  return least;
}

}  // namespace stonechat
