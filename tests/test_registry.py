"""The registry: an image that is missing, in each registry's words, and one that cannot be asked for."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import require
from lockstep.errors import OutsideError
from lockstep.release import engines, outside
from lockstep.release import registry as registries
from lockstep.release.engines import Engine

DIGEST = f"sha256:{'a' * 64}"


def errors(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@contextmanager
def answering(status: int, content: bytes, *, hello: int = 200) -> Iterator[str]:
    """A registry on loopback that answers so when asked for an image, and to a greeting with `hello`; an address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"{}" if self.path == "/v2/" else content
            self.send_response(hello if self.path == "/v2/" else status)
            self.send_header("Content-Type", "application/json" if body.startswith(b"{") else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/team/toy"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _skopeo() -> None:
    require(shutil.which("skopeo"), "skopeo")


@pytest.mark.parametrize(
    "content",
    [
        errors("NOT_FOUND", f"artifact team/toy@{DIGEST} not found"),
        errors("NOT_FOUND", "repository team/toy not found"),
        errors("NAME_UNKNOWN", "repository name not known to registry"),
        errors("NAME_UNKNOWN", "no words for it"),
        errors("MANIFEST_UNKNOWN", "no words for it"),
        b"<html>404 page not found</html>",
        b"",
    ],
)
def test_an_image_that_is_missing_is_missing_in_whatever_words(content: bytes) -> None:
    with answering(404, content) as address:
        assert registries.find(address, DIGEST) is None
        assert registries.find(address, "v1.0.0") is None


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (401, b"no"),
        (401, errors("UNAUTHORIZED", "artifact team/toy not found")),
        (403, b"no"),
        (403, errors("DENIED", "repository team/toy not found")),
        (429, errors("TOOMANYREQUESTS", "come again")),
        (500, errors("NOT_FOUND", "artifact team/toy not found")),
        (503, b"manifest unknown"),
    ],
)
def test_who_may_not_look_or_cannot_be_asked_has_not_heard_that_an_image_is_missing(
    status: int, content: bytes
) -> None:
    with answering(status, content) as address, pytest.raises(OutsideError, match="Is the registry up"):
        registries.find(address, DIGEST)


def test_what_is_no_registry_at_all_has_not_said_that_an_image_is_missing() -> None:
    with answering(404, b"", hello=404) as address, pytest.raises(OutsideError, match="Is the registry up"):
        registries.find(address, DIGEST)
    with pytest.raises(OutsideError, match="connection refused"):
        registries.find("127.0.0.1:1/team/toy", DIGEST)


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("Error response from daemon: manifest for 127.0.0.1:1/team/toy:v1 not found: manifest unknown", True),
        ("unexpected status from HEAD request to https://h/v2/team/toy/manifests/v1: 404 Not Found", True),
        ("unexpected status from HEAD request to https://h/v2/team/toy/manifests/v1: 403 Forbidden", False),
        ("Get \"https://h/v2/\": dial tcp: lookup h: no such host", False),
    ],
)  # fmt: skip
def test_an_engine_s_words_without_skopeo_are_understood_too(
    said: str, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = Engine(name="docker", builder="docker", runner="docker", same_bytes=())

    def pull(engine: Engine, name: str) -> None:
        raise outside.Failed(f"looking for {name} failed: {said}", said)

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(engines, "chosen", lambda: docker)
    monkeypatch.setattr(registries, "_pull", pull)
    if missing:
        assert registries.find("127.0.0.1:1/team/toy", "v1") is None
    else:
        with pytest.raises(OutsideError, match=re.escape(said)):
            registries.find("127.0.0.1:1/team/toy", "v1")
