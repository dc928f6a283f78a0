#include <curl/curl.h>
#include <dlfcn.h>

#include <algorithm>
#include <exception>
#include <memory>

#include "base/error.h"
#include "hub/http.h"

namespace stonechat {
namespace {

constexpr const char* kCurlLibrary = "libcurl.so.4";
constexpr long kConnectSeconds = 10;
constexpr long kStallSeconds = 60;

// libcurl and the thirty libraries that it needs take longer to load than a packed model does. So they are
// loaded when something is fetched, not at every start.
class Curl {
 public:
  // Stays loaded until the program ends.
  static const Curl& get() {
    static const Curl curl;
    return curl;
  }

  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_perform) easy_perform;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;

 private:
  Curl() : library_(::dlopen(kCurlLibrary, RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) fail(ErrorKind::kNetwork, "cannot load {}: {}", kCurlLibrary, ::dlerror());
    decltype(&::curl_global_init) global_init;
    load("curl_global_init", global_init);
    load("curl_easy_init", easy_init);
    load("curl_easy_cleanup", easy_cleanup);
    load("curl_easy_setopt", easy_setopt);
    load("curl_easy_perform", easy_perform);
    load("curl_easy_strerror", easy_strerror);
    load("curl_slist_append", slist_append);
    load("curl_slist_free_all", slist_free_all);
    global_init(CURL_GLOBAL_DEFAULT);
  }

  template <typename Function>
  void load(const char* name, Function& function) const {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
    if (function == nullptr) fail(ErrorKind::kNetwork, "{} has no {}", kCurlLibrary, name);
  }

  void* library_;
};

struct Transfer {
  const HttpRequest* request;
  HttpResponse response;
  std::exception_ptr error;  // thrown by the sink; C code must not see it
  bool body_too_large = false;
};

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string line(data, size * count);
  if (line.starts_with("HTTP/")) {
    // A new head begins (after "100 Continue", say): only the last one counts.
    transfer.response.headers.clear();
    const size_t space = line.find(' ');
    transfer.response.status = space == std::string::npos ? 0 : std::atoi(line.c_str() + space);
    return size * count;
  }
  const size_t colon = line.find(':');
  if (colon == std::string::npos) return size * count;
  std::string name = line.substr(0, colon);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char character) { return static_cast<char>(std::tolower(character)); });
  const size_t begin = line.find_first_not_of(" \t", colon + 1);
  const size_t end = line.find_last_not_of(" \t\r\n");
  const bool empty = begin == std::string::npos || end < begin || end == std::string::npos;
  transfer.response.headers[name] = empty ? "" : line.substr(begin, end - begin + 1);
  return size * count;
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  const bool succeeded = transfer.response.status >= 200 && transfer.response.status < 300;
  if (succeeded && transfer.request->sink) {
    try {
      transfer.request->sink(transfer.response, std::as_bytes(std::span(data, bytes)));
      return bytes;
    } catch (...) {
      transfer.error = std::current_exception();
      return 0;
    }
  }
  if (transfer.response.body.size() + bytes > kMostBodyBytes) {
    transfer.body_too_large = true;
    return 0;
  }
  transfer.response.body.append(data, bytes);
  return bytes;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& transfer = *static_cast<Transfer*>(user);
  return transfer.request->should_stop && transfer.request->should_stop() ? 1 : 0;
}

}  // namespace

HttpResponse http_exchange(const HttpRequest& request) {
  const Curl& library = Curl::get();
  const std::unique_ptr<CURL, decltype(library.easy_cleanup)> handle(library.easy_init(),
                                                                     library.easy_cleanup);
  CURL* curl = handle.get();
  if (curl == nullptr) fail(ErrorKind::kNetwork, "cannot start libcurl");

  Transfer transfer{&request, {}, nullptr};
  curl_slist* list = nullptr;
  for (const auto& header : request.headers) list = library.slist_append(list, header.c_str());
  const std::unique_ptr<curl_slist, decltype(library.slist_free_all)> headers(list, library.slist_free_all);
  library.easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  library.easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  library.easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  library.easy_setopt(curl, CURLOPT_USERAGENT, "stonechat");
  library.easy_setopt(curl, CURLOPT_NOBODY, request.head ? 1L : 0L);
  library.easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  library.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  library.easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  library.easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  library.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  library.easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  library.easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  library.easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  library.easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  library.easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  library.easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  library.easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);

  const CURLcode code = library.easy_perform(curl);
  if (transfer.error) std::rethrow_exception(transfer.error);
  // Without the query, which may be a signature that lets whoever has it fetch the file.
  const std::string url = request.url.substr(0, request.url.find('?'));
  if (transfer.body_too_large)
    fail(ErrorKind::kNetwork, "{}: expected an answer of at most {} bytes", url, kMostBodyBytes);
  if (code == CURLE_ABORTED_BY_CALLBACK) fail(ErrorKind::kInterrupted, "interrupted");
  if (code != CURLE_OK) fail(ErrorKind::kNetwork, "{}: {}", url, library.easy_strerror(code));
  return transfer.response;
}

}  // namespace stonechat
