"""git with the workflow's token: in the environment of one process, never in its arguments nor in .git/config."""

from __future__ import annotations

import base64
from collections.abc import Mapping

SERVER = "https://github.com"

PATIENCE = {"http.lowSpeedLimit": "1000", "http.lowSpeedTime": "60"}
"""A connection that carries less than so many bytes a second for so many seconds is given up."""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a git that talks to a remote: nobody is asked for a password, and GITHUB_TOKEN goes to
    GitHub's own address alone.

    A header that `.git/config` sets for that address is dropped: GitHub refuses a request that has two.
    """
    settings = list(PATIENCE.items())
    if token := environ.get("GITHUB_TOKEN", ""):
        server = (environ.get("GITHUB_SERVER_URL") or SERVER).rstrip("/")
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        key = f"http.{server}/.extraheader"
        settings += [(key, ""), (key, f"AUTHORIZATION: basic {basic}")]
    return {**environ, "GIT_TERMINAL_PROMPT": "0", **_counted(settings, int(environ.get("GIT_CONFIG_COUNT") or 0))}


def _counted(settings: list[tuple[str, str]], first: int) -> dict[str, str]:
    found = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (key, value) in enumerate(settings, start=first):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found
