"""A real web server on the loopback that can go wrong."""

import contextlib
import functools
import hashlib
import http.server
import re
import threading


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `server.spoil` says how it goes wrong with weights files,
    and with all files where it is "break text".

    It answers `Range` with `If-Range` unless `server.ranges` is false.
    """

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        spoil = self.server.spoil
        if not self.path.endswith(".h5") and spoil != "break text":
            super().do_GET()
            return
        if callable(spoil):
            spoil = spoil(len(self.server.asked))
        if isinstance(spoil, int):
            self.send_error(spoil)
            return
        try:
            with open(self.translate_path(self.path), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            self.send_error(404)
            return
        if spoil == "alter":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if spoil == "longer":
            content += b"x"
        if spoil == "truncated":
            content = content[: len(content) // 2]
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = self.start_of_range(tag)
        part = content[start:]
        self.send_response(206 if start else 200)
        if start:
            end = f"{len(content) - 1}/{len(content)}"
            shift = 1 if spoil == "elsewhere" else 0
            self.send_header("Content-Range", f"bytes {start + shift}-{end}")
        self.send_header("ETag", tag)
        if spoil not in ("silent", "silently longer"):
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if spoil == "silently longer":
            part += b"x"
        self.server.sent.append((start, len(part)))
        cut = spoil in ("break", "break text", "silent", "elsewhere")
        self.wfile.write(part[: len(part) // 2] if cut else part)

    def start_of_range(self, tag):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not self.server.ranges or asked is None:
            return 0
        return int(asked[1]) if self.headers.get("If-Range") == tag else 0


@contextlib.contextmanager
def serve(folder, handler=Handler):
    """Runs a server over a folder until the block ends.

    Yields:
        The server: `url`, `folder`, what was `asked`, what of the weights was `sent`.
    """
    folder.mkdir(exist_ok=True)
    handler = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked, server.sent, server.spoil, server.ranges = [], [], None, True
        server.folder = folder
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
