"""The image registry: is an image there, send one, read back what arrived.

Who we are there is the engines' own login (`podman login`, `docker login`); we hold no credentials. Unencrypted only on
loopback.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import InputError, OutsideError
from lockstep.release import engines, outside
from lockstep.release.engines import Engine
from lockstep.release.wanted import PREFIX

LOOK, SEND = 120.0, 1800.0
"""Seconds."""

_ADDRESS = re.compile(
    r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+|\[[0-9a-f:]+\](:\d+)?(/[a-z0-9._-]+)+"
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_UNKNOWN = re.compile(
    r"(manifest|name|repository)[ _]unknown|repository name not known|RepositoryNotFound|\bNOT_FOUND\b"
    r"|\b(manifest|artifact|repository|project)\b.* not found|StatusCode: 404|\b404 Not Found|HTTP 404 response",
    re.I,
)
"""How registries say that they have no such image; some give no code, as what is read for them by a proxy."""
_OUTAGE = re.compile(
    r"pinging container registry|status(code)?:? (40[13]|429|5\d\d)\b|(denied|unauthorized|toomanyrequests): "
    r"|connection refused|no such host",
    re.I,
)
"""What says nothing of the image, whatever else stands beside it."""
_DENIED = re.compile(r"denied|forbidden|unauthorized|\b40[13]\b", re.I)
GHCR = "ghcr.io/"
"""Says "denied" of a package that does not exist yet, and of one that is not ours; a push then tells which."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One that a registry has: the digest of its manifest, and what it says of itself."""

    digest: str
    labels: Mapping[str, str]

    @property
    def identity(self) -> str:
        """The identity that it claims; "" when it is none of ours."""
        return self.labels.get(f"{PREFIX}.identity", "")

    @property
    def version(self) -> str:
        """The version that it claims; "" when it claims none."""
        return self.labels.get("org.opencontainers.image.version", "")


def is_address(text: str) -> bool:
    """Is it the address of an image without tag?"""
    return _ADDRESS.fullmatch(text) is not None


def check(address: str) -> str:
    """The address, if it is one of an image without tag. Raises `InputError` otherwise."""
    if not is_address(address):
        if not address:
            raise InputError(
                "the registry is not known: `--registry ghcr.io/OWNER/NAME`, an image's address without tag, or set "
                "LOCKSTEP_REGISTRY"
            )
        raise InputError(
            f"`{address}` is not an image's address without tag, in lower case, such as ghcr.io/owner/name"
        )
    return address


def is_loopback(address: str) -> bool:
    """Does the registry of an image run on this machine?

    >>> is_loopback("127.0.0.1:5000/team/name"), is_loopback("ghcr.io/owner/name"), is_loopback("localhost.evil.org/a")
    (True, False, False)
    """
    place = address.partition("/")[0]
    host = re.sub(r":\d+$", "", place).strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find(address: str, reference: str) -> Image | None:
    """The image that a tag or a digest of `address` stands for; None when the registry has none.

    Raises `OutsideError` when the registry cannot be asked, or does not let us look.
    """
    name = _join(check(address), reference)
    try:
        found = _skopeo(name) if shutil.which("skopeo") else _pulled(engines.chosen(), name)
    except outside.Failed as error:
        if _is_missing(name, error.said):
            return None
        raise OutsideError(
            f"{error}\nIs the registry up, and is this machine logged in there (`skopeo login`, `podman login` or "
            "`docker login`)? It is safe to repeat"
        ) from None
    if not DIGEST.fullmatch(found.digest):
        raise OutsideError(f"the registry gave no digest for {name}")
    return found


def _is_missing(name: str, said: str) -> bool:
    """Does the registry say that it has no such image, rather than that nobody may look or nothing works?"""
    if name.startswith(GHCR) and _DENIED.search(said):
        return True
    return _UNKNOWN.search(said) is not None and not _OUTAGE.search(said)


def send(engine: Engine, image: str, address: str, tag: str) -> str:
    """Push an image that is here, and read it back by its digest, which is returned.

    Raises `OutsideError` when it did not arrive whole: it is safe to repeat, and what got through is not sent again.
    """
    target = _join(check(address), tag)
    try:
        digest = _docker(engine, image, target) if engine.name == "docker" else _push(engine, image, target)
    except outside.Failed as error:
        raise OutsideError(f"{error}\nNothing refers to what got through: it is safe to repeat") from None
    sent = find(address, digest) if DIGEST.fullmatch(digest) else None
    if sent is None or sent.digest != digest:
        raise OutsideError(
            f"{target} was pushed, but the registry does not have it as {digest or 'any digest'}: repeat"
        )
    return digest


def _join(address: str, reference: str) -> str:
    return f"{address}@{reference}" if reference.startswith("sha256:") else f"{address}:{reference}"


def _skopeo(name: str) -> Image:
    tls = ["--tls-verify=false"] if is_loopback(name) else []
    said = outside.run(
        ["skopeo", "inspect", "--no-tags", *tls, f"docker://{name}"], f"looking for {name}", timeout=LOOK
    )
    content = json.loads(said)
    return Image(digest=content.get("Digest", ""), labels=content.get("Labels") or {})


def _pulled(engine: Engine, name: str) -> Image:
    """Without skopeo an image has to come here to be looked at."""
    _pull(engine, name)
    return Image(digest=_repo_digest(engine, name), labels=engines.field(engine, name, ".Config.Labels") or {})


def _pull(engine: Engine, name: str) -> None:
    tls = ["--tls-verify=false"] if is_loopback(name) and engine.runner != "docker" else []
    outside.run([engine.runner, "pull", "--quiet", *tls, name], f"looking for {name}", timeout=SEND)


def _push(engine: Engine, image: str, target: str) -> str:
    insecure = is_loopback(target)
    with tempfile.TemporaryDirectory(prefix="lockstep-push-") as folder:
        file = Path(folder) / "digest"
        if shutil.which("skopeo"):
            tls = ["--dest-tls-verify=false"] if insecure else []
            command = ["skopeo", "copy", "--quiet", *tls, f"--digestfile={file}", f"containers-storage:{image}"]
        else:
            tls = ["--tls-verify=false"] if insecure else []
            command = [engine.runner, "push", "--quiet", *tls, f"--digestfile={file}", image]
        outside.run([*command, f"docker://{target}"], f"the push to {target}", timeout=SEND)
        return file.read_text(encoding="utf-8").strip()


def _docker(engine: Engine, image: str, target: str) -> str:
    outside.run(["docker", "tag", image, target], "naming the image", timeout=LOOK)
    outside.run(["docker", "push", "--quiet", target], f"the push to {target}", timeout=SEND)
    return _repo_digest(engine, target)


def _repo_digest(engine: Engine, name: str) -> str:
    """The digest by which the registry has an image that is here; "" when it has none.

    Engines also list digests that are their own, so each is asked for.
    """
    address, at, digest = name.partition("@")
    if at:
        return digest
    address = re.sub(r":[^/:]*$", "", address)
    names: list[str] = engines.field(engine, name, ".RepoDigests") or []
    listed = [each.partition("@")[::2] for each in names]
    for digest in [digest for place, digest in listed if place == address]:
        with suppress(outside.Failed):
            _pull(engine, f"{address}@{digest}")
            return digest
    return ""
