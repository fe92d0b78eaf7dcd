"""What DVC's configuration says of remotes and of the cache, read without importing DVC (which takes 0.3 s).

DVC merges four files: the machine's, the user's, the repository's `.dvc/config` and the clone's own
`.dvc/config.local`; a later one wins. A relative path counts from the folder of the file that names it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lockstep.errors import InputError, nearest

FILE = ".dvc/config"
LOCAL = ".dvc/config.local"
OBJECTS = "files/md5"
"""Where objects lie below a cache or a remote; DVC's layout since version 3."""

_SECTION = re.compile(r"""^\s*['"]?(?P<kind>\w+)(?:\s*"(?P<name>.*)")?['"]?\s*$""")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """One remote. `path` is its folder when it is a plain one on this machine, else None. `base` is the folder that
    must be there for it to be there: its own, or that of the remote within which it lies, which it may not have yet.
    """

    name: str
    url: str
    path: Path | None
    base: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"`{self.name}` ({without_secrets(self.url)})"

    def address(self, md5: str) -> str:
        """Where an object lies, in full."""
        return f"{self.path or without_secrets(self.url).rstrip('/')}/{OBJECTS}/{md5[:2]}/{md5[2:]}"

    def removal(self, md5: str) -> str:
        """How its owner removes an object: a command, where we know one."""
        if self.path:
            return f"rm -f {shlex.quote(self.address(md5))}"
        address = self.address(md5)
        return self.aws(f"rm {address}") if self.url.startswith("s3://") else f"remove {address}"

    def aws(self, words: str) -> str:
        """A command of AWS's own tool for this remote, if it is in S3."""
        endpoint = self.options.get("endpointurl")
        return f"aws s3 {words}" + (f" --endpoint-url {without_secrets(endpoint)}" if endpoint else "")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Remotes by name, in the files' order; the default one's name; DVC's cache, and whether a group shares it."""

    remotes: Mapping[str, Remote]
    default: str | None
    cache: Path
    shared: bool

    @property
    def main(self) -> Remote | None:
        """The default remote; None when none is named, or nobody configured it."""
        return self.remotes.get(self.default or "")

    def remote(self, name: str | None) -> Remote:
        """The remote of that name, or the default one. Raises `InputError` when there is none."""
        if name is None and self.default is None:
            has = f" Those there are: {', '.join(self.remotes)}; name one with `--remote`." if self.remotes else ""
            raise InputError(f"no default remote is configured: `lockstep remote URL` configures one.{has}")
        wanted = str(name if name is not None else self.default).lower()
        if wanted not in self.remotes:
            hint = nearest(wanted, self.remotes) or f" There are: {', '.join(self.remotes) or 'none'}."
            raise InputError(f"{FILE} names no remote `{wanted}`.{hint}")
        return self.remotes[wanted]


def read(root: Path) -> Configuration:
    """What applies to the repository at `root`. Raises `InputError` for a file that cannot be read."""
    core: dict[str, str] = {}
    cache: dict[str, str] = {}
    remotes: dict[str, dict[str, str]] = {}
    for file in files(root):
        for kind, name, values in _sections(file):
            if kind == "remote" and name:
                remotes.setdefault(name.lower(), {}).update(_resolved(values, "url", file.parent))
            elif kind == "cache":
                cache.update(_resolved(values, "dir", file.parent))
            elif kind == "core":
                core.update(values)
    found = {name: _remote(name, options, remotes) for name, options in remotes.items() if "url" in options}
    return Configuration(
        remotes={name: replace(each, base=_base(each, found)) for name, each in found.items()},
        default=core.get("remote", "").lower() or None,
        cache=Path(cache.get("dir") or (root / ".dvc" / "cache").absolute()),
        shared=cache.get("shared", "").lower() == "group",
    )


def read_file(path: Path) -> dict[str, dict[str, str]]:
    """The remotes' options as one file has them, by name, nothing resolved."""
    return {name.lower(): values for kind, name, values in _sections(path) if kind == "remote" and name}


def files(root: Path) -> Iterator[Path]:
    """The configuration files that may exist, the strongest last."""
    import platformdirs

    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or platformdirs.site_config_dir("dvc", "iterative")
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or platformdirs.user_config_dir("dvc", "iterative")
    yield Path(system, "config")
    yield Path(user, "config")
    yield root.absolute() / FILE
    yield root.absolute() / LOCAL


def missing_part(why: str) -> str:
    """What to do when DVC opens a kind of remote only with a package that is not installed; else nothing.

    >>> missing_part("gs is supported, but requires 'dvc-gs' to be installed")
    'add a line `dvc-gs` to requirements/pipeline.in, then `make lock` and `make repro`, which installs it'
    >>> missing_part("extra keys not allowed")
    ''
    """
    lacking = re.search(r"requires '(dvc-\w+)' to be installed", why)
    if lacking is None:
        return ""
    return (
        f"add a line `{lacking[1]}` to requirements/pipeline.in, then `make lock` and `make repro`, which installs it"
    )


def without_secrets(text: str) -> str:
    """The text, with user and password, and what follows a `?`, taken out of every URL in it.

    >>> without_secrets("cannot reach https://me:s3cr@t@host/data?token=abc: refused")
    'cannot reach https://host/data: refused'
    """
    return re.sub(r"(\w+://)(?:[^\s/]*@)?([^\s?#'\"]*)(?:[?#][^\s'\":,)]*)?", r"\1\2", text)


def _sections(file: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Kind, name and values of each section, the keys in lower case as DVC reads them."""
    from configobj import ConfigObj, ConfigObjError  # type: ignore[import-untyped]

    try:
        content = ConfigObj(file.read_text(encoding="utf-8").splitlines(), list_values=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError, ConfigObjError) as error:
        raise InputError(f"{file} cannot be read: {' '.join(str(error).split())}. `git diff` shows it") from None
    for heading, values in content.items():
        match = _SECTION.match(heading)
        if match and isinstance(values, Mapping):
            yield match["kind"].lower(), match["name"] or "", {key.lower(): _text(values[key]) for key in values}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _resolved(values: Mapping[str, str], key: str, folder: Path) -> dict[str, str]:
    """The values, with the path at `key` made absolute."""
    found = dict(values)
    if found.get(key) and "://" not in found[key]:
        found[key] = os.path.normpath(folder / Path(found[key]).expanduser())
    return found


def _remote(name: str, options: Mapping[str, str], all_remotes: Mapping[str, Mapping[str, str]]) -> Remote:
    url = _without_reference(options["url"], all_remotes)
    parts = urlsplit(url)
    path = Path(url) if "://" not in url else Path(parts.path) if parts.scheme == "file" else None
    return Remote(name=name, url=url, path=path, options=options)


def _base(remote: Remote, remotes: Mapping[str, Remote]) -> Path | None:
    around = [
        each.path for each in remotes.values() if remote.path and each.path in (remote.path, *remote.path.parents)
    ]
    return min(filter(None, around), key=lambda path: len(path.parts), default=None)


def _without_reference(url: str, all_remotes: Mapping[str, Mapping[str, str]]) -> str:
    """`remote://NAME/folder` stands for a folder within another remote."""
    seen: set[str] = set()
    while (parts := urlsplit(url)).scheme == "remote" and parts.netloc.lower() not in seen:
        seen.add(parts.netloc.lower())
        base = all_remotes.get(parts.netloc.lower(), {}).get("url")
        if not base:
            raise InputError(f"a remote's URL {url} refers to remote `{parts.netloc}`, which is not configured")
        url = "/".join([base.rstrip("/"), parts.path.lstrip("/")])
    return url
