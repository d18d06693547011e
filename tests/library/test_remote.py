"""A pool over HTTP is read by ranges: what is asked for, and no more of it."""

import io
import re
import urllib.request
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

import thinmeta
from tests.cases import image_bytes
from tests.golden import parsed_xml, thin_dump

CASE = "a09-discards-and-deletes"
LARGE = "d02-shared-subtrees"


class RangeServer(ThreadingHTTPServer):
    """Serves `files` by name, whole or by ranges, and counts what it sends."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Ranges)
        self.files = files
        self.sent = 0
        self.fails_from: int | None = None

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Ranges(BaseHTTPRequestHandler):
    server: RangeServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def _answer(self, *, has_body: bool) -> None:
        content = self.server.files[self.path[1:]]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        begin, end = (int(asked[1]), int(asked[2] or len(content) - 1)) if asked else (0, -1)
        part = content[begin : end + 1] if asked else content
        fails = self.server.fails_from
        if fails is not None and begin + len(part) > fails:
            self.send_error(500)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if asked:
            last = begin + len(part) - 1
            self.send_header("Content-Range", f"bytes {begin}-{last}/{len(content)}")
        self.end_headers()
        if has_body:
            self.server.sent += len(part)
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


class HttpFile(io.RawIOBase):
    """The least that reads ranges over HTTP, of the standard library alone."""

    def __init__(self, url: str) -> None:
        self.url, self._at = url, 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
            self._size = int(answer.headers["Content-Length"])

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        end = self._size if size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        ranged = {"Range": f"bytes={self._at}-{end - 1}"}
        with urllib.request.urlopen(urllib.request.Request(self.url, headers=ranged)) as answer:
            content: bytes = answer.read()
        self._at += len(content)
        return content


@pytest.fixture
def server() -> Iterator[RangeServer]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("meta.bin", image_bytes(CASE))
    files = {
        "meta.bin": image_bytes(CASE),
        "large.bin": image_bytes(LARGE),
        "images.zip": packed.getvalue(),
    }
    with RangeServer(files) as opened:
        thread = Thread(target=opened.serve_forever, args=(0.01,))
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def runs_of(pool: thinmeta.OpenPool) -> dict[int, list[thinmeta.Run]]:
    return {each: list(device.runs().read()) for each, device in pool.devices.items()}


def expected() -> dict[int, list[thinmeta.Run]]:
    devices = parsed_xml(thin_dump(CASE, "meta", "thin_dump", "0.9.0")).devices
    return {device.device_id: device.runs for device in devices}


def test_ranges_are_read_where_they_are_needed(server: RangeServer) -> None:
    with thinmeta.open_pool(HttpFile(server.url("meta.bin"))) as pool:
        assert runs_of(pool) == expected()
    assert server.sent < len(server.files["meta.bin"]) / 20


def test_a_part_of_a_large_pool_costs_its_part(server: RangeServer) -> None:
    with thinmeta.open_pool(HttpFile(server.url("large.bin"))) as pool:
        first = next(pool.device(1).runs().chunks())
        one = server.sent
        assert first.length.sum() > 0
        pool.usage()
    assert one < server.sent < len(server.files["large.bin"])


def test_what_the_server_has_no_more_is_a_block_that_cannot_be_read(server: RangeServer) -> None:
    with thinmeta.open_pool(HttpFile(server.url("meta.bin"))) as pool:
        server.fails_from = 4096
        with pytest.raises(thinmeta.DamagedMetadataError, match="cannot be read"):
            list(pool.devices)


@pytest.mark.parametrize("kind", ["http", "zip over http", "memory"])
def test_fsspec_opens_it_anywhere(kind: str, server: RangeServer) -> None:
    fsspec: Any = pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    memory = fsspec.filesystem("memory")
    memory.pipe("/meta.bin", image_bytes(CASE))
    place = {
        "http": server.url("meta.bin"),
        "zip over http": f"zip://meta.bin::{server.url('images.zip')}",
        "memory": "memory://meta.bin",
    }[kind]
    options = {"block_size": 1 << 16, "cache_type": "readahead"} if kind == "http" else {}

    with fsspec.open(place, **options) as file, thinmeta.open_pool(file) as pool:
        assert runs_of(pool) == expected()
        assert not file.closed
    if kind == "http":
        assert 0 < server.sent < len(server.files["meta.bin"]) / 2
