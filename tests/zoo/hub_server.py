"""As much of the Hugging Face Hub as reading a file of a repository takes."""

import hashlib
import http.server
import re

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves `<folder>/<owner>/<repository>/<file>` as the Hub's revision `main`.

    A file that ends in `.h5` is answered as `server.spoil` says.
    """

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(with_content=False)

    def do_GET(self):
        self.answer(with_content=True)

    def answer(self, with_content):
        self.server.asked.append((self.command, self.path))
        asked = re.fullmatch(r"/([^/]+/[^/]+)/resolve/main/(.+)", self.path)
        if asked is None:  # the library asks for more than files
            return self.fail(404, "")
        repository = self.server.folder / asked[1]
        path = repository / asked[2]
        if not repository.is_dir():
            self.fail(401, "RepoNotFound")
        elif not path.is_file():
            self.fail(404, "EntryNotFound")
        elif self.server.spoil == 500:
            self.fail(500, "")
        else:
            self.send(path, with_content)

    def fail(self, code, kind):
        self.send_response(code)
        self.send_header("X-Error-Code", kind)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, path, with_content):
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        if self.server.spoil == "alter" and path.suffix == ".h5":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            self.wfile.write(content)
