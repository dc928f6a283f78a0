#include <curl/curl.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "hub/http.h"

namespace stonechat {
namespace {

constexpr long kConnectSeconds = 10;
constexpr long kStallSeconds = 60;

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
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
  CURL* curl = handle.get();
  if (curl == nullptr) fail(ErrorKind::kNetwork, "cannot start libcurl");

  Transfer transfer{&request, {}, nullptr};
  curl_slist* list = nullptr;
  for (const auto& header : request.headers) list = curl_slist_append(list, header.c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "stonechat");
  curl_easy_setopt(curl, CURLOPT_NOBODY, request.head ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);

  const CURLcode code = curl_easy_perform(curl);
  if (transfer.error) std::rethrow_exception(transfer.error);
  if (transfer.body_too_large) {
    fail(ErrorKind::kNetwork, "{}: expected an answer of at most {} bytes", request.url, kMostBodyBytes);
  }
  if (code == CURLE_ABORTED_BY_CALLBACK) fail(ErrorKind::kInterrupted, "interrupted");
  if (code != CURLE_OK) fail(ErrorKind::kNetwork, "{}: {}", request.url, curl_easy_strerror(code));
  return transfer.response;
}

}  // namespace stonechat
