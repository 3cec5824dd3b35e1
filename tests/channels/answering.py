"""An HTTP server that gives every request the same answer, or none."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Heard:
    """A request that came; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes


_heard: dict[str, list[Heard]] = {}


def heard(url: str) -> list[Heard]:
    """What was asked of the server at the URL."""
    return _heard[url]


@contextmanager
def answering(status: int | None, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """Its URL. With no status it takes the request and stays silent."""
    over = threading.Event()
    requests: list[Heard] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            requests.append(Heard({name.lower(): value for name, value in self.headers.items()}, sent))
            if status is None:
                over.wait(10)
                return
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if "content-length" not in (headers or {}):  # a test may promise more than it gives
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    _heard[url] = requests
    try:
        yield url
    finally:
        over.set()
        server.shutdown()
        server.server_close()
