"""git with the workflow's token: it reaches GitHub and stands nowhere else. A real git asks a server on loopback."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lockstep.github import credentials
from lockstep.revision import git


class Server(BaseHTTPRequestHandler):
    """Writes down who asks, and says no."""

    heard: list[list[str]]

    def do_GET(self) -> None:
        self.heard.append(self.headers.get_all("Authorization") or [])
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[list[str]]]]:
    heard: list[list[str]] = []
    served = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Server,), {"heard": heard}))
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{served.server_address[1]}", heard
    served.shutdown()
    served.server_close()
    thread.join()


def ask(root: Path, url: str, **more: str) -> None:
    environ = credentials.environment({**os.environ, "GITHUB_TOKEN": "s3cret", **more})
    subprocess.run(["git", "-C", str(root), "ls-remote", f"{url}/acme/flights"], env=environ, capture_output=True)


EXPECTED = f"basic {base64.b64encode(b'x-access-token:s3cret').decode()}"


def test_the_token_reaches_the_server_and_is_not_in_the_configuration(
    tmp_path: Path, server: tuple[str, list[list[str]]]
) -> None:
    url, heard = server
    git(tmp_path, "init", "--quiet")
    before = (tmp_path / ".git/config").read_bytes()
    ask(tmp_path, url, GITHUB_SERVER_URL=url)
    assert heard == [[EXPECTED]]
    assert (tmp_path / ".git/config").read_bytes() == before


def test_what_a_checkout_left_in_the_configuration_is_not_sent_as_well(
    tmp_path: Path, server: tuple[str, list[list[str]]]
) -> None:
    url, heard = server
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", f"http.{url}/.extraheader", "AUTHORIZATION: basic b2xk")
    ask(tmp_path, url, GITHUB_SERVER_URL=url)
    assert heard == [[EXPECTED]]


def test_another_server_never_gets_it(tmp_path: Path, server: tuple[str, list[list[str]]]) -> None:
    url, heard = server
    git(tmp_path, "init", "--quiet")
    ask(tmp_path, url)
    assert heard == [[]]


def test_what_the_environment_configures_stays() -> None:
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "me", "GITHUB_TOKEN": "x"}
    made = credentials.environment(given)
    assert made["GIT_CONFIG_KEY_0"] == "user.name"
    assert int(made["GIT_CONFIG_COUNT"]) == len([name for name in made if name.startswith("GIT_CONFIG_KEY_")])
    assert "x-access-token" not in "".join(made.values())


def test_without_a_token_nothing_is_sent_and_nobody_is_asked() -> None:
    made = credentials.environment({})
    assert made["GIT_TERMINAL_PROMPT"] == "0"
    assert not any("extraheader" in value for value in made.values())
