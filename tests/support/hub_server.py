"""A server that speaks the Hugging Face hub's protocol, well or badly, for the tests of `stonechat pull`."""
import hashlib
import http.server
import threading


class Hub:
    """Files by "OWNER/REPO/FILE". Behaviours are set as attributes; `log` holds (method, path, headers)."""

    def __init__(self):
        self.files = {}
        self.commit = "0123456789abcdef0123456789abcdef01234567"
        self.log = []
        self.token = None  # required when set
        self.cdn = None  # another Hub that sends the contents
        self.statuses = []  # answered first, one a request: (status, headers)
        self.break_after = []  # bytes after which a GET's connection breaks, one a GET
        self.wrong_etag = None
        self.wrong_size = None
        self.ignore_range = False
        self.relative_redirect = False
        self.api = None  # overrides the answer of /api/models
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        # The interval is how long shutdown() waits.
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def gets(self):
        return [(path, headers) for method, path, headers in self.log if method == "GET"]

    def _handler(hub):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, headers=(), body=b""):
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def serve(self):
                hub.log.append((self.command, self.path, dict(self.headers)))
                if hub.statuses:
                    return self.answer(*hub.statuses.pop(0))
                if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                    return self.answer(401)
                if self.path.startswith("/api/models/"):
                    repo = self.path.removeprefix("/api/models/")
                    names = [name.split("/", 2)[2] for name in hub.files if name.startswith(repo + "/")]
                    listing = '{"siblings": [%s]}' % ", ".join('{"rfilename": "%s"}' % name for name in names)
                    return self.answer(200, {}, (hub.api if hub.api is not None else listing).encode())
                path = self.path.lstrip("/").removeprefix("cdn/").replace("/resolve/main/", "/")
                content = hub.files.get(path)
                if content is None:
                    return self.answer(404)
                if hub.relative_redirect and not self.path.startswith("/cdn/"):
                    return self.answer(307, {"Location": "/cdn" + self.path, "X-Repo-Commit": hub.commit})
                etag = hub.wrong_etag or hashlib.sha256(content).hexdigest()
                size = hub.wrong_size or len(content)
                headers = {"X-Repo-Commit": hub.commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
                if hub.cdn:
                    headers.update({"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(size)})
                    headers["Location"] = f"{hub.cdn.url}/{path}"
                    return self.answer(302, headers)
                self.content(content, headers, size)

            def content(self, content, headers, size):
                start = 0
                wanted = self.headers.get("Range")
                if wanted and not hub.ignore_range:
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.send_response(206 if start else 200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(size - start))
                self.end_headers()
                if self.command == "HEAD":
                    return
                part = content[start:]
                if hub.break_after:
                    part = part[: hub.break_after.pop(0)]
                self.wfile.write(part)
                if len(part) != size - start:
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(2)

            do_GET = do_HEAD = serve

        return Handler
