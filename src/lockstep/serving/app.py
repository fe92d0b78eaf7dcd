"""The service over HTTP: one ASGI application that answers everything but the page's own files.

Under `bentoml serve` it is a middleware of BentoML's application; in the image it is wrapped around that. It answers
alike in both places.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from time import perf_counter
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST

from lockstep.errors import nearest
from lockstep.serving import bodies
from lockstep.serving.answers import refusal
from lockstep.serving.arrival import Arrivals, Gone, Receive
from lockstep.serving.bodies import MOST_BYTES, BadRequest
from lockstep.serving.feedback import REQUEST
from lockstep.serving.service import Reply, Service, running

Scope = dict[str, Any]
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Work = Callable[[bytes, str], Reply]

INLINE = 16 << 10
"""Bodies up to so many bytes are answered at once; larger ones in a thread, so that small ones need not wait."""

MOST_LARGE = 32 << 20
"""Bytes of such bodies that wait or are worked on at a time, some seconds' work; more are asked to come again."""

UNZIPPED = 20
"""What a compressed body is taken to grow by, until it is unpacked."""

LATER = (b"retry-after", b"3")

JSON = b"application/json"
PAGES = "/static_content/"
OTHER = "(other)"
"""Stands for all paths that there are not, in the metrics."""

_KNOWN = ("x-request-id", "content-type", "content-length", "content-encoding")


@dataclass(frozen=True, slots=True)
class Document:
    """What a GET is answered with."""

    body: bytes
    media: bytes = JSON
    status: int = 200
    head: tuple[tuple[bytes, bytes], ...] = ()


class App:
    """The application; `inner` answers for the page's files, and is told of start and end."""

    def __init__(self, app: Asgi, service: Service | None = None) -> None:
        self._inner = app
        self.service = service or running()
        self._posts: dict[str, Work] = {"/predict": self.service.predict, "/feedback": self.service.feedback}
        self._gets: Mapping[str, Callable[[], Document]] = {
            "/": lambda: Document(
                self.service.page, b"text/html; charset=utf-8", head=((b"content-security-policy", _POLICY),)
            ),
            "/contract": lambda: Document(self.service.contract),
            "/openapi.json": lambda: Document(self.service.openapi),
            "/docs.json": lambda: Document(self.service.openapi),
            "/version": lambda: Document(orjson.dumps(self.service.version)),
            "/livez": lambda: Document(b'{"alive":true}'),
            "/healthz": lambda: Document(b'{"alive":true}'),
            "/readyz": self._ready,
            "/metrics": lambda: Document(self.service.metrics.render(), CONTENT_TYPE_LATEST.encode()),
        }
        self._random = Random(os.urandom(16))  # noqa: S311  (ids, not secrets)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="large-requests")
        self._large = 0
        self._arrivals = Arrivals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is not ours."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, self._closing(send))
        elif scope["type"] != "http" or (scope["path"].startswith(PAGES) and scope["method"] in ("GET", "HEAD")):
            await self._inner(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def crowded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of a caller for whom there is no room."""
        started, request = perf_counter(), self._request(_head(scope))
        told = refusal("there are too many connections: try again", request)
        head = (LATER, (b"connection", b"close"))
        await self._send(send, Document(orjson.dumps(told), status=503, head=head), request)
        self._count(scope["path"], 503, started)

    def malformed(self) -> None:
        """Count what is no HTTP at all; the server answers it."""
        self._count("", 400, perf_counter())

    def _closing(self, send: Send) -> Send:
        async def passed(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                self._pool.shutdown()
                await asyncio.get_running_loop().run_in_executor(None, self.service.close)
            await send(message)

        return passed

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        path, head = scope["path"], _head(scope)
        request = self._request(head)
        try:
            if path in self._posts and scope["method"] == "POST":
                document = await self._post(self._posts[path], head, receive, request)
            else:
                document = self._get(path, scope["method"])
        except BadRequest as error:
            body = orjson.dumps(refusal(str(error), request))
            document = Document(body, status=error.status, head=error.head)
        except Gone:
            self._count(path, 499, started)
            return
        except Exception:  # noqa: BLE001  (a bug of ours: the traceback is shown, the caller gets an answer)
            sys.stderr.write(f"request {request}: a bug in Lockstep, please report it\n{traceback.format_exc()}")
            document = Document(
                orjson.dumps(refusal("the service failed; this is no fault of the request", request)), status=500
            )
        await self._send(send, document, request)
        self._count(path, document.status, started)

    def _request(self, head: dict[str, str]) -> str:
        asked = head.get("x-request-id", "")
        return asked if REQUEST.fullmatch(asked) else f"{self._random.getrandbits(96):024x}"

    def _count(self, path: str, status: int, started: float) -> None:
        known = path if path in self._posts or path in self._gets else OTHER
        self.service.metrics.answered(known, status, perf_counter() - started)

    async def _send(self, send: Send, document: Document, request: str) -> None:
        body = document.body
        headers = [
            (b"content-type", document.media),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.encode()),
            *document.head,
        ]
        if self.service.health.leaving:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": document.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _post(self, work: Work, head: dict[str, str], receive: Receive, request: str) -> Document:
        _insist_on_json(head)
        body = await self._arrivals.whole(receive, head.get("content-length", ""))
        if len(body) <= INLINE and "content-encoding" not in head:
            reply = work(body, request)
        else:
            reply = await self._aside(work, body, head, request)
        self.service.remember(reply, request)
        return Document(reply.body, status=reply.status)

    async def _aside(self, work: Work, body: bytes, head: dict[str, str], request: str) -> Reply:
        """The same in a thread."""
        zipped = "content-encoding" in head
        size = min(UNZIPPED * len(body), MOST_BYTES) if zipped else len(body)
        if self._large + size > MOST_LARGE:
            raise BadRequest(503, "too much is waiting for an answer: try again", LATER)

        def whole() -> Reply:
            return work(bodies.unzipped(body) if zipped else body, request)

        self._large += size
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, whole)
        finally:
            self._large -= size

    def _get(self, path: str, method: str) -> Document:
        """What there is to read; also for HEAD, whose body the server leaves out."""
        if path in self._gets:
            allowed = b"GET, HEAD, OPTIONS"
            if method in ("GET", "HEAD"):
                return self._gets[path]()
        elif path in self._posts:
            allowed = b"POST, OPTIONS"
        else:
            there = [*self._posts, *self._gets]
            hint = nearest(path, there) if len(path) < PATH else ""
            raise BadRequest(404, f"there is nothing here.{hint or ' See /openapi.json for what there is.'}")
        if method == "OPTIONS":
            return Document(b"", status=204, head=((b"allow", allowed),))
        raise BadRequest(405, f"this takes {allowed.decode()}", (b"allow", allowed))

    def _ready(self) -> Document:
        why = self.service.health.look()
        told = {"ready": not why, "model": self.service.version["model"], "version": self.service.version["version"]}
        return Document(orjson.dumps(told | ({"why": why} if why else {})), status=503 if why else 200)


PATH = 64
"""Longer paths have no nearest match."""

_POLICY = b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
"""The page's browser talks to nobody but us; the OpenAPI page would show its document to a validator elsewhere."""


def _head(scope: Scope) -> dict[str, str]:
    """The headers that we read, by name. Of one that is sent twice, the last."""
    return {name: value.decode("latin-1") for raw, value in scope["headers"] if (name := _NAMES.get(raw)) is not None}


_NAMES = {name.encode(): name for name in _KNOWN}


def _insist_on_json(head: dict[str, str]) -> None:
    kind = head.get("content-type", "application/json")
    if kind != "application/json":
        media, _, parameters = kind.lower().partition(";")
        charset = parameters.strip().removeprefix("charset=").strip('"')
        if media.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
            raise BadRequest(415, "send JSON in UTF-8, with the header `content-type: application/json`")
    encoding = head.get("content-encoding", "").lower()
    if encoding in ("", "identity"):
        head.pop("content-encoding", None)
    elif encoding == "gzip":
        head["content-encoding"] = "gzip"
    else:
        raise BadRequest(415, "send the body as it is, or compressed by gzip", (b"accept-encoding", b"gzip"))
