"""The repository on GitHub that a clone belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lockstep.revision import git_bytes


def of(root: Path, environ: Mapping[str, str]) -> str | None:
    """`OWNER/NAME` on GitHub: of the workflow that this runs in, else of `origin`; None for another host."""
    server = urlsplit(environ.get("GITHUB_SERVER_URL") or "https://github.com").hostname or ""
    origin = git_bytes(root, "remote", "get-url", "origin").stdout.decode(errors="replace").strip()
    return environ.get("GITHUB_REPOSITORY") or named_by(origin, server)


def named_by(url: str, server: str = "github.com") -> str | None:
    """`OWNER/NAME` of a repository on GitHub, however git's URL is written.

    >>> named_by("git@github.com:team/flights.git"), named_by("https://github.com/team/flights")
    ('team/flights', 'team/flights')
    >>> named_by("ssh://git@github.com:22/team/flights.git"), named_by("/srv/git/flights.git")
    ('team/flights', None)
    """
    if "://" not in url:
        host, colon, path = url.partition(":")
        host = host.rpartition("@")[2] if colon else ""
    else:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    name = path.strip("/").removesuffix(".git")
    return name if host == server and name.count("/") == 1 else None
