"""Where data and models are kept: writing `.dvc/config` so that every clone and every workflow reads the same.

Two remotes: `main` holds what the default branch's locks need, `pr`, below it, what pull requests made. Who may write
where is the bucket's matter, not git's: see docs/remote.md. Credentials never stand in git.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
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

    Other options that they have stay if this kind of remote has them, `main`'s are given to `pr` as well. Raises
    `InputError` for a URL or option that holds a secret, also one that stands there already, that DVC does not know, or
    for a folder within the work tree.
    """
    if not (root / ".dvc").is_dir():
        raise InputError(f"there is no folder .dvc in {root}: `dvc init` makes it, in the root of the repository")
    place = _place(root, url)
    _refuse_secrets(options)
    _refuse_kept_secrets(root)
    kept = config.read_file(root / FILE)
    before = {name: _known(_without(kept.get(name, {})), place) for name in (MAIN, PR)}
    shared = {**before[MAIN], **options}
    values = {
        MAIN: {**shared, "url": place, "verify": "true"},
        PR: {**shared, **before[PR], **options, "url": f"{place}/{PR}", "verify": "true"},
    }
    _write(root, values)
    return [config.read(root).remotes[name] for name in (MAIN, PR)]


def foreign(root: Path, url: str) -> list[str]:
    """The options of `main` and `pr` in `.dvc/config` that a remote at `url` does not have: `configure` drops them."""
    kept = config.read_file(root / FILE)
    found = {name: _without(kept.get(name, {})) for name in (MAIN, PR)}
    return sorted({option for options in found.values() for option in options.keys() - _known(options, url).keys()})


def unset(found: Sequence[str]) -> str:
    """The commands that take what `secrets` found out of `.dvc/config`."""
    return " && ".join(
        f"dvc remote modify {name} url URL" if option == "url" else f"dvc remote modify --unset {name} {option}"
        for name, _, option in (each.rpartition(".") for each in found)
    )


def secrets(root: Path) -> list[str]:
    """What in `.dvc/config`, the file in git, must not be there: `main.password`, or `main.url`."""
    return [
        f"{name}.{option}"
        for name, options in config.read_file(root / FILE).items()
        for option, value in options.items()
        if is_secret(option) or (option.endswith("url") and _secret_in(urlsplit(value)))
    ]


def _known(options: Mapping[str, str], url: str) -> dict[str, str]:
    """Those that DVC takes for a remote of this kind; all of them where it knows no such kind, and will say so."""
    from dvc.config_schema import REMOTE_SCHEMAS

    schema = REMOTE_SCHEMAS.get(urlsplit(url.strip()).scheme if "://" in url else "")
    known = {str(each) for each in schema or options} | {"verify"}
    return {name: value for name, value in options.items() if name in known}


def _without(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in ("url", "verify")}


def _place(root: Path, url: str) -> str:
    """The URL without a slash at its end, or a folder's path as it was given."""
    if not url.strip():
        raise InputError("the URL is empty (is a variable not set?): write it like s3://bucket/folder")
    text = re.sub(r"^\w+(?=://)", lambda scheme: scheme[0].lower(), url.strip()).rstrip("/")
    if "://" not in text:
        if slip := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/*(.*)", url.strip()):
            raise InputError(f"`{url}` is no URL: write {slip[1].lower()}://{slip[2] or 'bucket/folder'}")
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
    path = Path(os.path.abspath(Path(url).expanduser()))  # noqa: PTH100  (a link stays a link)
    if path.is_relative_to(root.absolute()):
        raise InputError(
            f"`{url}` is a folder's path, and lies in the work tree, where git and DVC would see it: choose a folder "
            f"outside, or write s3://{url.strip().strip('/.') or 'bucket/folder'} for a bucket"
        )
    given = Path(url.strip())
    return os.fspath(given) if given.is_absolute() or url.strip().startswith("~") else os.path.relpath(path)


def _refuse_secrets(options: Mapping[str, str]) -> None:
    for name, value in options.items():
        if is_secret(name) or (name.endswith("url") and _secret_in(urlsplit(value))):
            raise InputError(
                f"option {name} is, or holds, a secret, and .dvc/config is in git. "
                f"`dvc remote modify --local {MAIN} {name} VALUE` keeps it in {LOCAL}, which git ignores"
            )


def _refuse_kept_secrets(root: Path) -> None:
    # The URLs are about to be replaced.
    found = [each for each in secrets(root) if each.startswith((f"{MAIN}.", f"{PR}.")) and not each.endswith(".url")]
    if found:
        raise InputError(
            f"{FILE}, which is in git, holds {', '.join(found)}: this would copy it on. Whoever can read the file has "
            f"it, so make a new one; take it out with `{unset(found)}`, and keep the new one in {LOCAL}: "
            f"`dvc remote modify --local {MAIN} NAME VALUE`. Nothing was changed"
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
        why = " ".join(str(error).split()).rstrip(".")
        remedy = config.missing_part(why)
        hint = f" {remedy[0].upper()}{remedy[1:]}." if remedy else ""
        raise InputError(f"DVC does not take this: {why}.{hint} Nothing was changed") from None
