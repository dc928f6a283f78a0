#include "hub/hub_client.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/sha256.h"
#include "base/strict_json.h"

namespace stonechat {
namespace {

namespace fs = std::filesystem;

constexpr int kMostRedirects = 10;
constexpr int kMostTries = 5;
constexpr double kMostWaitSeconds = 60;

// Owner, repository and file names become paths: each part must be a plain name.
bool is_plain_path(const std::string& path) {
  if (path.empty() || path.size() > 1000) return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    const bool clean = std::none_of(part.begin(), part.end(), [](char character) {
      return character == '\\' || static_cast<unsigned char>(character) < 0x20;
    });
    if (part.empty() || part == "." || part == ".." || !clean) return false;
    begin = end + 1;
  }
  return true;
}

constexpr std::string_view kDatasets = "datasets/";

bool is_dataset(const std::string& repo) {
  return repo.starts_with(kDatasets) && std::count(repo.begin(), repo.end(), '/') == 2;
}

void check_repo(const std::string& repo) {
  const bool is_model = std::count(repo.begin(), repo.end(), '/') == 1;
  if (!is_plain_path(repo) || !(is_model || is_dataset(repo))) {
    fail(ErrorKind::kUsage, "hf:{}: expected OWNER/REPO", repo);
  }
}

// ETags and commits become file names.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 200 &&
         std::all_of(name.begin(), name.end(), [](unsigned char character) {
           return std::isalnum(character) != 0 || character == '-' || character == '_';
         });
}

std::string unquoted(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  return etag;
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](unsigned char character) {
           return std::isxdigit(character) != 0;
         });
}

// The hub names a large file's content by its SHA-256; other names tell nothing.
bool is_other_content(const std::string& etag, const std::string& sha256) {
  return !sha256.empty() && is_sha256(etag) && etag != sha256;
}

Json parse_answer(const std::string& body, const std::string& repo) {
  try {
    return parse_strict_json(body, repo + ": list of files");
  } catch (const Error& error) {
    throw Error(ErrorKind::kNetwork, error.what());
  }
}

bool parse_size(const std::string& text, uint64_t& size) {
  if (text.empty() || text.size() > 18 || !std::all_of(text.begin(), text.end(), ::isdigit)) return false;
  size = std::stoull(text);
  return true;
}

uint64_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

// Appends to a file that an interrupted download left, or begins it.
class PartialFile {
 public:
  explicit PartialFile(std::string path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail(ErrorKind::kIo, "{}: cannot write: {}", path_, system_message(errno));
    bytes_ = size_of(path_);
  }
  ~PartialFile() { ::close(descriptor_); }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  uint64_t bytes() const { return bytes_; }
  void restart() {
    if (::ftruncate(descriptor_, 0) != 0) fail(ErrorKind::kIo, "{}: {}", path_, system_message(errno));
    bytes_ = 0;
  }
  void append(std::span<const std::byte> data) {
    while (!data.empty()) {
      const ssize_t wrote = ::pwrite(descriptor_, data.data(), data.size(), static_cast<off_t>(bytes_));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail(ErrorKind::kIo, "{}: cannot write: {}", path_, system_message(errno));
      bytes_ += static_cast<uint64_t>(wrote);
      data = data.subspan(static_cast<size_t>(wrote));
    }
  }

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

}  // namespace

std::string HubClient::repo_directory(const std::string& repo) const {
  std::string name = is_dataset(repo) ? repo : "models/" + repo;
  for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/'))
    name.replace(slash, 1, "--");
  return environment_.hub_cache + "/" + name;
}

// The snapshot that the cache takes for the newest; empty when there is none.
std::string HubClient::cached_commit(const std::string& repo) const {
  std::string commit;
  std::ifstream(repo_directory(repo) + "/refs/main") >> commit;
  return is_plain_name(commit) ? commit : "";
}

std::string HubClient::cached(const std::string& repo, const std::string& file,
                              const std::string& sha256) const {
  const std::string commit = cached_commit(repo);
  if (commit.empty()) return {};
  const std::string path = repo_directory(repo) + "/snapshots/" + commit + "/" + file;
  std::error_code error;
  const std::string blob = fs::read_symlink(path, error).filename().string();
  return fs::is_regular_file(path, error) && !is_other_content(blob, sha256) ? path : "";
}

// The token is for the hub alone, whoever it sends us to.
std::vector<std::string> HubClient::headers_for(const std::string& url) const {
  std::vector<std::string> headers;
  if (!environment_.token.empty() && origin_of(url) == origin_of(environment_.endpoint)) {
    headers.push_back("Authorization: Bearer " + environment_.token);
  }
  return headers;
}

void HubClient::wait(double seconds) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (callbacks_.should_stop && callbacks_.should_stop()) fail(ErrorKind::kInterrupted, "interrupted");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

// One exchange; waits and tries again where the server asks for that. An answer that is an error is thrown.
HttpResponse HubClient::exchange(HttpRequest request, const std::string& what) {
  request.should_stop = callbacks_.should_stop;
  for (int attempt = 1;; ++attempt) {
    const HttpResponse response = http_exchange(request);
    const bool busy = response.status == 429 || (response.status >= 500 && response.status <= 599);
    if (busy && attempt < kMostTries) {
      uint64_t asked = 0;
      const bool says = parse_size(response.header("retry-after"), asked);
      const double seconds =
          std::min(kMostWaitSeconds, says ? static_cast<double>(asked) : 0.25 * (1 << attempt));
      if (callbacks_.notice) {
        callbacks_.notice(fmt::format("{}: the server answered {}; trying again in {:.3g} s", what,
                                      response.status, seconds));
      }
      wait(seconds);
      continue;
    }
    if (response.status == 401 || response.status == 403) {
      fail(
          ErrorKind::kNetwork, "{}: the server refused ({}): {}", what, response.status,
          environment_.token.empty() ? "it may need a token, in HF_TOKEN" : "HF_TOKEN gives no access to it");
    }
    if (response.status == 404)
      fail(ErrorKind::kNetwork, "{}: not found (404) at {}", what, environment_.endpoint);
    if (response.status >= 400)
      fail(ErrorKind::kNetwork, "{}: the server answered {}", what, response.status);
    return response;
  }
}

HubClient::Remote HubClient::look_up(const std::string& repo, const std::string& file) {
  Remote remote;
  remote.url = fmt::format("{}/{}/resolve/main/{}", environment_.endpoint, repo, encode_path(file));
  const std::string what = repo + "/" + file;
  for (int redirects = 0;; ++redirects) {
    const HttpResponse response =
        exchange({remote.url, headers_for(remote.url), /*head=*/true, {}, {}}, what);
    const auto take = [&](std::string& field, const char* header) {
      if (field.empty()) field = unquoted(response.header(header));
    };
    take(remote.commit, "x-repo-commit");
    take(remote.etag, "x-linked-etag");
    if (!remote.size_known) remote.size_known = parse_size(response.header("x-linked-size"), remote.bytes);
    if (!response.is_redirect()) {
      take(remote.etag, "etag");
      if (!remote.size_known) remote.size_known = parse_size(response.header("content-length"), remote.bytes);
      break;
    }
    const std::string target = resolve_location(remote.url, response.header("location"));
    // Where the content lies elsewhere, the hub has said all that we need.
    if (origin_of(target) != origin_of(remote.url)) break;
    if (redirects == kMostRedirects)
      fail(ErrorKind::kNetwork, "{}: more than {} redirects", what, kMostRedirects);
    remote.url = target;
  }
  if (!is_plain_name(remote.etag))
    fail(ErrorKind::kNetwork, "{}: expected an ETag, found '{}'", what, remote.etag);
  if (!is_plain_name(remote.commit)) {
    fail(ErrorKind::kNetwork, "{}: expected X-Repo-Commit, found '{}'", what, remote.commit);
  }
  return remote;
}

void HubClient::fetch_rest(const Remote& remote, const std::string& file, const std::string& partial) {
  PartialFile out(partial);
  if (remote.size_known && out.bytes() > remote.bytes) out.restart();
  if (remote.size_known && out.bytes() == remote.bytes && out.bytes() > 0) return;
  const uint64_t had = out.bytes();
  bool started = false;
  std::string url = remote.url;
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    HttpRequest request{url, headers_for(url), false, {}, {}};
    if (had > 0) request.headers.push_back(fmt::format("Range: bytes={}-", had));
    request.sink = [&](const HttpResponse& response, std::span<const std::byte> data) {
      if (!started) {
        started = true;
        const bool resumes = response.status == 206 &&
                             response.header("content-range").starts_with(fmt::format("bytes {}-", had));
        if (had > 0 && !resumes) out.restart();
      }
      if (remote.size_known && out.bytes() + data.size() > remote.bytes) {
        out.restart();
        fail(ErrorKind::kNetwork, "{}: expected {} bytes, the server sends more", file, remote.bytes);
      }
      out.append(data);
      if (callbacks_.progress) callbacks_.progress(file, out.bytes(), remote.size_known ? remote.bytes : 0);
    };
    const HttpResponse response = exchange(request, file);
    if (!response.is_redirect()) {
      if (remote.size_known && out.bytes() < remote.bytes) {
        fail(ErrorKind::kNetwork, "{}: the connection ended after {} of {} bytes", file, out.bytes(),
             remote.bytes);
      }
      return;
    }
    url = resolve_location(url, response.header("location"));
  }
  fail(ErrorKind::kNetwork, "{}: more than {} redirects", file, kMostRedirects);
}

void HubClient::fetch_blob(const Remote& remote, const std::string& file, const std::string& partial) {
  for (int attempt = 1;; ++attempt) {
    const uint64_t before = size_of(partial);
    try {
      fetch_rest(remote, file, partial);
      return;
    } catch (const Error& error) {
      // A broken connection is taken up where it broke, as long as that gets us further.
      const bool got_further = size_of(partial) > before;
      if (error.kind() != ErrorKind::kNetwork || (attempt >= kMostTries && !got_further) || attempt >= 100 ||
          (!got_further && size_of(partial) == 0)) {
        throw;
      }
      if (callbacks_.notice) callbacks_.notice(fmt::format("{}; going on", error.what()));
      wait(0.2);
    }
  }
}

void HubClient::check_blob(const Remote& remote, const std::string& file, const std::string& partial,
                           const std::string& sha256) const {
  const std::string& expected = is_sha256(remote.etag) ? remote.etag : sha256;
  if (expected.empty()) return;
  const std::string digest = sha256_of_file(partial);
  if (digest == expected) return;
  fs::remove(partial);
  fail(ErrorKind::kNetwork, "{}: expected SHA-256 {}, got {}; what was fetched is thrown away", file,
       expected, digest);
}

// Makes the snapshot's link and the reference; returns the link.
std::string HubClient::link(const std::string& repo, const std::string& file, const Remote& remote) const {
  const std::string directory = repo_directory(repo);
  const fs::path path = fs::path(directory) / "snapshots" / remote.commit / file;
  fs::create_directories(path.parent_path());
  const fs::path target = fs::relative(fs::path(directory) / "blobs" / remote.etag, path.parent_path());
  std::error_code error;
  if (fs::read_symlink(path, error) != target) {
    // By a temporary name, as another process may be doing the same.
    const fs::path temporary = path.string() + fmt::format(".{}.link", ::getpid());
    fs::remove(temporary, error);
    fs::create_symlink(target, temporary);
    fs::rename(temporary, path);
  }
  // Nothing is written where all is there already: the cache may be another's.
  if (cached_commit(repo) != remote.commit) {
    fs::create_directories(directory + "/refs");
    write_text_file(directory + "/refs/main", remote.commit);
  }
  return path.string();
}

std::string HubClient::get(const std::string& repo, const std::string& file, const std::string& sha256) {
  check_repo(repo);
  if (!is_plain_path(file)) fail(ErrorKind::kUsage, "hf:{}/{}: expected the name of a file", repo, file);
  const std::string known = cached(repo, file, sha256);
  if (environment_.offline) {
    if (!known.empty()) return known;
    fail(ErrorKind::kNetwork, "{}/{}{}: not in the cache {}, and HF_HUB_OFFLINE is set", repo, file,
         sha256.empty() ? "" : " with SHA-256 " + sha256, environment_.hub_cache);
  }
  Remote remote;
  try {
    remote = look_up(repo, file);
    if (is_other_content(remote.etag, sha256)) {
      fail(ErrorKind::kNetwork, "{}/{}: expected SHA-256 {}, the hub has {}", repo, file, sha256,
           remote.etag);
    }
  } catch (const Error& error) {
    if (known.empty() || error.kind() != ErrorKind::kNetwork) throw;
    if (callbacks_.notice) callbacks_.notice(fmt::format("{}; using the file in the cache", error.what()));
    return known;
  }
  const std::string directory = repo_directory(repo);
  const std::string blob = directory + "/blobs/" + remote.etag;
  // One of another length is what a power failure left of it.
  const auto is_there = [&] {
    return fs::is_regular_file(blob) && (!remote.size_known || size_of(blob) == remote.bytes);
  };
  fs::create_directories(directory + "/blobs");
  if (!is_there()) {
    const FileLock lock(
        fmt::format("{}/.locks/{}/{}.lock", environment_.hub_cache, fs::path(directory).filename().string(),
                    remote.etag),
        [&] {
          if (callbacks_.notice)
            callbacks_.notice(fmt::format("{}: another process is fetching it; waiting", file));
        },
        callbacks_.should_stop);
    if (!is_there()) {
      const std::string partial = blob + ".incomplete";
      fetch_blob(remote, file, partial);
      check_blob(remote, file, partial, sha256);
      rename_synced(partial, blob);
    }
  }
  return link(repo, file, remote);
}

std::vector<std::string> HubClient::list(const std::string& repo) {
  check_repo(repo);
  const std::vector<std::string> known = cached_list(repo);
  if (environment_.offline) {
    if (!known.empty()) return known;
    fail(ErrorKind::kNetwork, "{}: its files can't be listed, HF_HUB_OFFLINE is set; name one: hf:{}/FILE",
         repo, repo);
  }
  try {
    return fetch_list(repo);
  } catch (const Error& error) {
    if (known.empty() || error.kind() != ErrorKind::kNetwork) throw;
    if (callbacks_.notice) callbacks_.notice(fmt::format("{}; using the files in the cache", error.what()));
    return known;
  }
}

std::vector<std::string> HubClient::cached_list(const std::string& repo) const {
  const std::string commit = cached_commit(repo);
  std::vector<std::string> files;
  if (commit.empty()) return files;
  const fs::path snapshot = fs::path(repo_directory(repo)) / "snapshots" / commit;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(snapshot, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) files.push_back(entry->path().lexically_relative(snapshot).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> HubClient::fetch_list(const std::string& repo) {
  const std::string url = fmt::format("{}/api/models/{}", environment_.endpoint, repo);
  const HttpResponse response = exchange({url, headers_for(url), false, {}, {}}, repo);
  const Json json = parse_answer(response.body, repo);
  if (!json.is_object() || !json.contains("siblings") || !json["siblings"].is_array()) {
    fail(ErrorKind::kNetwork, "{}: expected a list of files, the server sent something else", repo);
  }
  std::vector<std::string> files;
  for (const auto& sibling : json["siblings"]) {
    if (sibling.is_object() && sibling.contains("rfilename") && sibling["rfilename"].is_string()) {
      files.push_back(sibling["rfilename"].get<std::string>());
    }
  }
  return files;
}

}  // namespace stonechat
