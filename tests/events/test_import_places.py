"""Where files are: a folder, packed files, an S3 server, a web server; each gives the bytes that are there."""

import gzip
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

from onevoice.events.imports import places
from onevoice.events.imports.places import zstd
from onevoice.kernel.errors import InvalidInput, NotFound, Unavailable

TEXT = b"user_id,city\nu1,Roma\n" * 1000
MOTO = Path(".venv/peers/bin/moto_server")


def fetched(url: str, tmp_path: Path, stores: dict[str, dict[str, str]] | None = None) -> dict[str, bytes]:
    found = places.find(url, stores or {})
    return {one.name: places.fetched(one, tmp_path / "here", stores or {})[0].read_bytes() for one in found}


def test_a_folder_is_its_files_of_the_kinds_we_know_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "c.report.csv", "d.txt", "e.PARQUET", "f.jsonl.zst"):
        (tmp_path / name).touch()
    assert [one.name for one in places.find(str(tmp_path), {})] == ["a.csv.gz", "b.csv", "e.PARQUET", "f.jsonl.zst"]


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "b.csv.zst").write_bytes(zstd.compress(TEXT))
    assert fetched(str(tmp_path), tmp_path) == {"a.csv.gz": TEXT, "b.csv.zst": TEXT}


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst"])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    packed = gzip.compress(os.urandom(50_000)) if name.endswith("gz") else zstd.compress(os.urandom(50_000))
    (tmp_path / name).write_bytes(packed[:30_000])
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        fetched(str(tmp_path / name), tmp_path)


@pytest.mark.parametrize(
    ("url", "error"), [("ftp://x/y.csv", InvalidInput), ("/no/such.csv", NotFound), ("s3:///x.csv", InvalidInput)]
)
def test_a_place_that_is_none_says_so(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        places.find(url, {})


# -- S3


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, dict[str, str]]]:
    """A real S3 server with a bucket, as settings of stores."""
    if not MOTO.exists():
        pytest.skip("moto_server is not installed: see the Makefile's `peers`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([MOTO, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.put(f"{endpoint}/shop")
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "moto_server does not start"
                time.sleep(0.1)
        keys = {"access_key_id": "k", "secret_access_key": "s", "region": "us-east-1"}
        yield {"s3": {"endpoint": endpoint, **keys}}
    finally:
        server.terminate()
        server.wait(10)


def bucket(s3: dict[str, dict[str, str]]) -> S3Store:
    return S3Store("shop", config=s3["s3"], client_options={"allow_http": True})  # type: ignore[arg-type]


def test_objects_and_their_folders_are_fetched_from_s3(s3: dict[str, dict[str, str]], tmp_path: Path) -> None:
    for name, data in (("in/a.csv", TEXT), ("in/b.csv.gz", gzip.compress(TEXT)), ("in/c.txt", b"")):
        obstore.put(bucket(s3), name, data)
    assert fetched("s3://shop/in/a.csv", tmp_path, s3) == {"a.csv": TEXT}
    assert fetched("s3://shop/in", tmp_path, s3) == {"a.csv": TEXT, "b.csv.gz": TEXT}
    with pytest.raises(NotFound):
        places.find("s3://shop/out/", s3)


def test_an_object_that_changes_meanwhile_is_not_taken(s3: dict[str, dict[str, str]], tmp_path: Path) -> None:
    obstore.put(bucket(s3), "x.csv", TEXT)
    (found,) = places.find("s3://shop/x.csv", s3)
    obstore.put(bucket(s3), "x.csv", TEXT[:-21])
    with pytest.raises(Unavailable):
        places.fetched(found, tmp_path, s3)


def test_what_is_written_to_s3_is_there(s3: dict[str, dict[str, str]]) -> None:
    places.write("s3://shop/out/x.csv", iter([b"a", b"", b"b" * 12_000_000]), s3)
    assert bytes(obstore.get(bucket(s3), "out/x.csv").bytes()) == b"a" + b"b" * 12_000_000


# -- the web


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A real web server over tmp_path/web."""
    (tmp_path / "web").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "web")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/short"):  # promises more than it sends
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if self.path.startswith("/short"):
            self.send_response(501)
            self.end_headers()
        else:
            super().do_HEAD()


def test_a_file_is_fetched_from_the_web(web: str, tmp_path: Path) -> None:
    (tmp_path / "web" / "a b.csv").write_bytes(TEXT)
    assert fetched(f"{web}/a%20b.csv?x=1", tmp_path) == {"a b.csv": TEXT}
    with pytest.raises(NotFound, match="404"):
        places.find(f"{web}/none.csv", {})


def test_what_breaks_off_is_not_taken(web: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="broke off"):
        fetched(f"{web}/short.csv", tmp_path)


def test_a_file_that_is_written_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        places.write(str(tmp_path / "x.csv"), broken(), {})
    assert list(tmp_path.iterdir()) == []
