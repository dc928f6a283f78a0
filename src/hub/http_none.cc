// Stands in for http_curl.cc where libcurl isn't there (cross builds): everything but downloads works.
#include "base/error.h"
#include "hub/http.h"

namespace stonechat {

HttpResponse http_exchange(const HttpRequest& request) {
  fail(ErrorKind::kNetwork, "{}: this build of stonechat has no libcurl, so it cannot download", request.url);
}

}  // namespace stonechat
