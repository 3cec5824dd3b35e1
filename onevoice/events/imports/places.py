"""Where files are: on this machine, in an object store (s3://, gs://, az://) or behind http(s)://.

What is elsewhere is streamed to a file here and counted: an import reads whole files only. Keys come from the
environment, as the stores' own tools take them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...), or from `[stores.s3]` in the
settings, where `endpoint` and the like also are.
"""

import gzip
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from onevoice.events.imports.files import READERS
from onevoice.kernel.errors import InvalidInput, NotFound, Unavailable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STORES = ("s3", "gs", "az")
WEB = ("http", "https")
PACKED = (".gz", ".zst")
BLOCK = 1 << 20

Resolve = Callable[[str, int], str]
"""The address to connect to for a host and port; see `reach`. None: whatever the name means."""


@dataclass(frozen=True)
class Place:
    """A file somewhere. `mark` changes when its content does (an ETag; empty: not known before it has been read)."""

    url: str  # or a path
    name: str
    size: int  # bytes; 0: not known
    mark: str = ""

    @property
    def is_local(self) -> bool:
        return scheme(self.url) == ""

    @property
    def stem(self) -> str:
        """The name without its endings."""
        name = self.name
        for ending in PACKED:
            name = name.removesuffix(ending)
        return PurePosixPath(name).stem


def scheme(url: str) -> str:
    """s3, https, ...; empty for a path on this machine."""
    head, mark, _ = url.partition("://")
    return head.lower() if mark else ""


def find(url: str, stores: Mapping[str, Mapping[str, Any]], resolve: Resolve | None = None) -> list[Place]:
    """The files at a place: the one there, or those in a folder of a kind we know, in the order of their names.

    Raises InvalidInput, NotFound, Unavailable.
    """
    kind = scheme(url)
    if kind == "":
        found = _on_disk(Path(url))
    elif kind in WEB:
        found = [_on_the_web(url, resolve)]
    elif kind in STORES:
        found = _in_store(url, stores)
    else:
        raise InvalidInput(f"{url}: a place is a path, or begins with {', '.join(s + '://' for s in (*STORES, *WEB))}")
    if not found:
        raise NotFound(f"{url} has no file that ends in {', '.join(READERS)} (or these with .gz or .zst)")
    return found


def fetched(
    place: Place,
    folder: Path,
    stores: Mapping[str, Mapping[str, Any]],
    resolve: Resolve | None = None,
    tell: Callable[[int], None] = lambda count: None,
    keep_free: int = 0,
) -> tuple[Path, str]:
    """A file on this machine with the place's content, unpacked, and the content's mark.

    The place's own file where it is here and not packed; else a new one in `folder`, which is the caller's to remove.
    `tell` is told how many bytes have come. Raises Unavailable where less came than was announced or the disk would
    have less than `keep_free` bytes left, InvalidInput where it cannot be unpacked.
    """
    if place.is_local and not place.name.endswith(PACKED):
        return Path(place.url), ""
    digest = blake2b(digest_size=16)
    count = 0
    packed = next((ending for ending in PACKED if place.name.endswith(ending)), "")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (place.name.removesuffix(packed) or "file")
    with target.with_name(target.name + packed + ".part").open("w+b") as raw:
        try:
            for block in _blocks(place, stores, resolve):
                _room(folder, keep_free)
                raw.write(block)
                digest.update(block)
                count += len(block)
                tell(count)
        except (httpx.HTTPError, BaseError) as error:
            raise Unavailable(f"{place.url} broke off after {count:,} bytes: {error}") from error
        if place.size and count != place.size:
            raise Unavailable(f"{place.url}: {count:,} bytes came of {place.size:,}; try again")
        raw.seek(0)
        with target.open("wb") as file:
            _unpack(raw, packed, file, place.url, folder, keep_free)
    Path(raw.name).unlink()
    return target, place.mark or digest.hexdigest()


def write(url: str, pieces: Iterator[bytes], stores: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes pieces to a file or an object; what is not whole does not appear under the name."""
    kind = scheme(url)
    if kind == "":
        target = Path(url)
        part = target.with_name(target.name + ".part")
        try:
            with part.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    elif kind in STORES:
        store, path = _store(url, stores)
        try:
            obstore.put(store, path, (piece for piece in pieces if piece))
        except BaseError as error:
            raise Unavailable(f"{url} cannot be written: {error}") from error
    else:
        raise InvalidInput(f"{url}: write to a path, or to {', '.join(s + '://' for s in STORES)}")


def is_known(name: str) -> bool:
    """Whether a file's ending is one we read; reports of ours are not for reading."""
    for ending in PACKED:
        name = name.removesuffix(ending)
    return PurePosixPath(name).suffix.lower() in READERS and ".report." not in name


def _on_disk(path: Path) -> list[Place]:
    if path.is_file():
        return [Place(str(path), path.name, path.stat().st_size)]
    if not path.is_dir():
        raise NotFound(f"There is no file or folder {path}")
    files = sorted(one for one in path.iterdir() if one.is_file() and is_known(one.name))
    return [Place(str(one), one.name, one.stat().st_size) for one in files]


def _aimed(url: str, resolve: Resolve | None) -> dict[str, Any]:
    """What httpx needs to ask for the URL: at the address that was resolved, by the name that was given."""
    told = httpx.URL(url)
    if resolve is None:
        return {"url": told, "headers": {}}
    at = resolve(told.host, told.port or (443 if told.scheme == "https" else 80))
    return {
        "url": told.copy_with(host=at),
        "headers": {"host": told.netloc.decode()},
        "extensions": {"sni_hostname": told.host},
    }


def _on_the_web(url: str, resolve: Resolve | None) -> Place:
    name = PurePosixPath(unquote(urlsplit(url).path)).name or "file"
    try:
        with httpx.Client(timeout=30.0) as client:
            response = client.request("HEAD", **_aimed(url, resolve))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} does not answer: {error}") from error
    if response.status_code in (405, 501):  # no HEAD there: size and content are known once it has come
        return Place(url, name, 0)
    if response.status_code != 200:
        raise NotFound(f"{url} answers HTTP {response.status_code}")
    is_plain = response.headers.get("content-encoding", "identity") == "identity"
    size = int(response.headers.get("content-length", 0)) if is_plain else 0
    return Place(url, name, size, response.headers.get("etag", ""))


def _in_store(url: str, stores: Mapping[str, Mapping[str, Any]]) -> list[Place]:
    store, path = _store(url, stores)
    root = url[: len(url) - len(path)]
    try:
        if path and not path.endswith("/"):
            try:
                found = obstore.head(store, path)
                return [Place(url, PurePosixPath(path).name, found["size"], found["e_tag"] or "")]
            except FileNotFoundError:
                pass  # then it is a folder
        listed = [meta for some in obstore.list(store, path.rstrip("/") or None) for meta in some]
    except FileNotFoundError as error:
        raise NotFound(f"There is nothing at {url}") from error
    except BaseError as error:
        raise Unavailable(f"{url} cannot be read: {error}") from error
    listed.sort(key=lambda meta: meta["path"])
    return [
        Place(root + meta["path"], PurePosixPath(meta["path"]).name, meta["size"], meta["e_tag"] or "")
        for meta in listed
        if is_known(meta["path"])
    ]


def _store(url: str, stores: Mapping[str, Mapping[str, Any]]) -> tuple[Any, str]:
    parts = urlsplit(url)
    if not parts.netloc:
        raise InvalidInput(f"{url} names no bucket; write {parts.scheme}://BUCKET/PATH")
    options: Any = {key: str(value) for key, value in stores.get(parts.scheme, {}).items()}
    client: Any = {"allow_http": True} if options.get("endpoint", "").startswith("http://") else None
    try:
        store = from_url(f"{parts.scheme}://{parts.netloc}", config=options or None, client_options=client)
    except (BaseError, ValueError) as error:
        raise InvalidInput(f"{url}: {error}") from error
    return store, parts.path.lstrip("/")


def _blocks(place: Place, stores: Mapping[str, Mapping[str, Any]], resolve: Resolve | None) -> Iterator[bytes]:
    kind = scheme(place.url)
    if kind == "":
        with Path(place.url).open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    elif kind in WEB:
        asked = _aimed(place.url, resolve)
        asked["headers"] |= {"accept-encoding": "identity"} | (
            {"if-match": place.mark} if place.mark[:1] == '"' else {}
        )
        with httpx.Client(timeout=60.0) as client, client.stream("GET", **asked) as response:
            if response.status_code != 200:
                raise Unavailable(f"{place.url} answers HTTP {response.status_code}")
            yield from response.iter_raw(BLOCK)
    else:
        store, path = _store(place.url, stores)
        options: Any = {"if_match": place.mark} if place.mark else None
        for block in obstore.get(store, path, options=options).stream(min_chunk_size=BLOCK):
            yield bytes(block)


def _room(folder: Path, keep_free: int) -> None:
    if keep_free and shutil.disk_usage(folder).free < keep_free:
        raise Unavailable(f"The file does not fit: {keep_free:,} bytes of the disk are to stay free (disk_reserve_mb)")


def _unpack(raw: IO[bytes], packed: str, target: IO[bytes], url: str, folder: Path, keep_free: int) -> None:
    source: Any = raw
    if packed == ".gz":
        source = gzip.GzipFile(fileobj=raw)
    elif packed == ".zst":
        source = zstd.ZstdFile(raw)
    try:
        while block := source.read(BLOCK):
            _room(folder, keep_free)
            target.write(block)
    except (OSError, EOFError, zstd.ZstdError) as error:
        raise InvalidInput(f"{url} cannot be unpacked: {error}") from error
