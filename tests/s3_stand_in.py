"""An S3 server on loopback, moto's, behind a proxy that can fail as networks and servers do."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUCKET = "team"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "stand-in", "AWS_SECRET_ACCESS_KEY": "stand-in", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Request:
    """What arrives at the proxy: its number since the last fault was set, method, path, headers."""

    number: int
    method: str
    path: str
    headers: dict[str, str]


Fault = Callable[[Request], str]
"""`pass`, `hang` (read nothing, say nothing), `cut` (read half of the body and close), `slow` (a little at a time) or a
status such as `503` or `403`."""


def pass_all(_: Request) -> str:
    """No fault."""
    return "pass"


@dataclass
class StandIn:
    """The server as its clients see it, and its bucket from behind."""

    url: str
    client: Any
    fault: Fault = pass_all
    requests: list[Request] = field(default_factory=list)

    def fail(self, fault: Fault) -> None:
        """From now on, each request meets this fault; requests are counted anew."""
        self.requests.clear()
        self.fault = fault

    def names(self) -> list[str]:
        """The keys of all objects in the bucket."""
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def body(self, key: str) -> bytes:
        """An object's bytes."""
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def put(self, key: str, body: bytes) -> None:
        """Put an object past the proxy, whatever its name promises."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def empty(self) -> None:
        """Remove all objects, and the fault."""
        self.fail(pass_all)
        for key in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def s3() -> Iterator[StandIn]:
    """A server with one empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "stand-in", "aws_secret_access_key": "stand-in", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
    client.create_bucket(Bucket=BUCKET)
    proxy = _Proxy(("127.0.0.1", 0), _Handler)
    stand_in = StandIn(url=f"http://127.0.0.1:{proxy.server_port}", client=client)
    proxy.stand_in, proxy.behind, proxy.ended = stand_in, (host, port), threading.Event()
    threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield stand_in
    finally:
        proxy.ended.set()
        proxy.shutdown()
        proxy.server_close()
        server.stop()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # What a client has sent shall not look arrived while it still waits to be read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        super().server_bind()

    def handle_error(self, *_: object) -> None:
        """A client that was ended leaves broken connections behind."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        stand_in = self.server.stand_in
        request = Request(
            number=len(stand_in.requests), method=self.command, path=self.path, headers=dict(self.headers)
        )
        stand_in.requests.append(request)
        fault, length = stand_in.fault(request), int(self.headers.get("Content-Length") or 0)
        if fault == "hang":
            self.server.ended.wait(120)
            self.close_connection = True
        elif fault == "cut":
            self.rfile.read(length // 2)
            self.close_connection = True
            if not length:
                self._forward(request, b"", cut=True)
        elif fault in ("pass", "slow"):
            self._forward(request, self._slowly(length) if fault == "slow" else self.rfile.read(length))
        else:
            self.rfile.read(length)
            self._refuse(int(fault))

    def _slowly(self, length: int) -> bytes:
        """Read so that a little arrives all the time, but the whole takes its time."""
        body = b""
        while len(body) < length:
            body += self.rfile.read(min(length // 16 + 1, length - len(body)))
            time.sleep(0.25)
        return body

    def _forward(self, request: Request, body: bytes, *, cut: bool = False) -> None:
        connection = http.client.HTTPConnection(*self.server.behind, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "expect"}
        connection.request(request.method, request.path, body=body or None, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        connection.close()

    def _refuse(self, status: int) -> None:
        code = {403: "AccessDenied", 501: "NotImplemented", 503: "SlowDown"}[status]
        content = f"<Error><Code>{code}</Code><Message>the stand-in says {status}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(content)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""
