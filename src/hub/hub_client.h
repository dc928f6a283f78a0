// Files of the Hugging Face hub, kept in the hub's own cache layout.
//
// models--OWNER--REPO/blobs/ETAG holds a content, snapshots/COMMIT/FILE links to it, refs/main names the
// commit; a part of a content is blobs/ETAG.incomplete, and .locks/models--OWNER--REPO/ETAG.lock keeps
// processes apart. A data set's repository is "datasets/OWNER/REPO" here and datasets--OWNER--REPO there.
// Source: the documentation of huggingface_hub ("Understand caching").
#pragma once

#include <string>
#include <vector>

#include "hub/environment.h"
#include "hub/http.h"
#include "hub/pull.h"

namespace stonechat {

class HubClient {
 public:
  HubClient(const HubEnvironment& environment, const PullCallbacks& callbacks)
      : environment_(environment), callbacks_(callbacks) {}

  // The path of the file in the cache, fetched if need be. `sha256` (or empty) is compared with what the hub
  // or the cache names the content by where that is a SHA-256, else with what is fetched. Error{kUsage} for
  // names that would leave the cache.
  std::string get(const std::string& repo, const std::string& file, const std::string& sha256);

  // Names of all files of a repository; of those in the cache when the hub can't be asked.
  std::vector<std::string> list(const std::string& repo);

 private:
  // What the hub says of a file.
  struct Remote {
    std::string url;  // after redirects within the hub
    std::string commit;
    std::string etag;
    uint64_t bytes = 0;
    bool size_known = false;
  };

  std::string repo_directory(const std::string& repo) const;
  std::string cached_commit(const std::string& repo) const;
  // Empty when it isn't there.
  std::string cached(const std::string& repo, const std::string& file, const std::string& sha256) const;
  std::vector<std::string> cached_list(const std::string& repo) const;
  std::vector<std::string> fetch_list(const std::string& repo);
  std::vector<std::string> headers_for(const std::string& url) const;
  HttpResponse exchange(HttpRequest request, const std::string& what);
  Remote look_up(const std::string& repo, const std::string& file);
  void fetch_blob(const Remote& remote, const std::string& file, const std::string& blob);
  void fetch_rest(const Remote& remote, const std::string& file, const std::string& partial);
  void check_blob(const Remote& remote, const std::string& file, const std::string& partial,
                  const std::string& sha256) const;
  std::string link(const std::string& repo, const std::string& file, const Remote& remote) const;
  void wait(double seconds) const;

  const HubEnvironment& environment_;
  const PullCallbacks& callbacks_;
};

}  // namespace stonechat
