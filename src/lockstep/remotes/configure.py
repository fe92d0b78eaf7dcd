"""Where data and models are kept: writing `.dvc/config` so that every clone and every workflow reads the same.

Two remotes: `main` holds what the default branch's locks need, `pr`, below it, what pull requests made. Who may write
where is the bucket's matter, not git's: see docs/remote.md. Credentials never stand in git.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from lockstep.errors import InputError
from lockstep.remotes import config
from lockstep.remotes.config import FILE, LOCAL, Remote

MAIN, PR = "main", "pr"
WITH_USER = frozenset({"ssh", "hdfs", "webhdfs"})
"""Schemes in whose URLs a user's name is no secret."""

_SECRET = re.compile(
    r"access_key_id|account_key|auth|client_secret|connection_string|credentials?$|_key_secret|oss_key_id|pass(word|"
    r"phrase)|proxy|sas_token|secret|session_token|sse_customer_key|token|gdrive_user_credentials_file"
)
_NO_SECRET = frozenset({"ask_password", "ask_passphrase", "gss_auth", "auth", "gdrive_use_service_account"})


def is_secret(option: str) -> bool:
    """Is it an option of DVC's whose value must not stand in git?

    >>> is_secret("secret_access_key"), is_secret("password"), is_secret("region"), is_secret("ask_password")
    (True, True, False, False)
    """
    return option not in _NO_SECRET and _SECRET.search(option) is not None


def configure(root: Path, url: str, options: Mapping[str, str]) -> list[Remote]:
    """Write remotes `main` (the default) and `pr`, with `options` for both; returns them.

    Other options that they have stay, `main`'s are given to `pr` as well. Raises `InputError` for a URL or option that
    holds a secret, that DVC does not know, or for a folder within the work tree.
    """
    if not (root / ".dvc").is_dir():
        raise InputError(f"there is no folder .dvc in {root}: `dvc init` makes it, in the root of the repository")
    place = _place(root, url)
    _refuse_secrets(options)
    kept = config.read_file(root / FILE)
    shared = {**_without(kept.get(MAIN, {})), **options}
    values = {
        MAIN: {**shared, "url": place, "verify": "true"},
        PR: {**shared, **_without(kept.get(PR, {})), **options, "url": f"{place}/{PR}", "verify": "true"},
    }
    _write(root, values)
    return [config.read(root).remotes[name] for name in (MAIN, PR)]


def secrets(root: Path) -> list[str]:
    """What in `.dvc/config`, the file in git, must not be there: `main.password`, or `main.url`."""
    return [
        f"{name}.{option}"
        for name, options in config.read_file(root / FILE).items()
        for option, value in options.items()
        if is_secret(option) or (option == "url" and _secret_in(urlsplit(value)))
    ]


def _without(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in ("url", "verify")}


def _place(root: Path, url: str) -> str:
    """The URL without a slash at its end, or a folder's path as it was given."""
    text = url.strip().rstrip("/")
    if "://" not in text:
        return _folder(root, url)
    parts = urlsplit(text)
    if what := _secret_in(parts):
        raise InputError(
            f"the URL holds {what}, and .dvc/config is in git. Give the URL without it; credentials belong into the "
            f"environment, or into {LOCAL}, which git ignores: `dvc remote modify --local {MAIN} NAME VALUE`"
        )
    if parts.scheme != "file" and not parts.netloc:
        raise InputError(f"`{url}` names no bucket or host: write it like s3://bucket/folder")
    return text


def _secret_in(parts: SplitResult) -> str:
    """Which part of a URL may be a secret, or nothing."""
    if parts.password is not None:
        return "a password"
    if parts.username and parts.scheme not in WITH_USER:
        return "a user's name or key"
    return "a query or fragment (what follows `?` or `#`)" if parts.query or parts.fragment else ""


def _folder(root: Path, url: str) -> str:
    if not url.strip():
        raise InputError("the URL is empty: write it like s3://bucket/folder, or give a folder's path")
    path = Path(os.path.abspath(Path(url).expanduser()))  # noqa: PTH100  (a link stays a link)
    if path.is_relative_to(root.absolute()):
        raise InputError(f"{url} lies in the work tree, where git and DVC would see it: choose a folder outside")
    given = Path(url.strip())
    return os.fspath(given) if given.is_absolute() or url.strip().startswith("~") else os.path.relpath(path)


def _refuse_secrets(options: Mapping[str, str]) -> None:
    for name, value in options.items():
        if is_secret(name) or (name.endswith("url") and _secret_in(urlsplit(value))):
            raise InputError(
                f"option {name} is, or holds, a secret, and .dvc/config is in git. "
                f"`dvc remote modify --local {MAIN} {name} VALUE` keeps it in {LOCAL}, which git ignores"
            )


def _write(root: Path, remotes: Mapping[str, Mapping[str, str]]) -> None:
    """Through DVC's own code, which knows every option of every kind of remote."""
    from dvc.config import Config, ConfigError
    from dvc.fs import get_cloud_fs

    before = (root / FILE).read_bytes() if (root / FILE).exists() else None
    try:
        settings = Config(os.fspath(root / ".dvc"), validate=False)
        with settings.edit("repo") as content:
            content["core"]["remote"] = MAIN
            content["remote"].update({name: dict(options) for name, options in remotes.items()})
        for name in remotes:
            get_cloud_fs(settings, name=name)
    except (ConfigError, ImportError, ValueError) as error:
        if before is None:
            (root / FILE).unlink(missing_ok=True)
        else:
            (root / FILE).write_bytes(before)
        raise InputError(f"DVC does not take this: {' '.join(str(error).split())}. Nothing was changed") from None
