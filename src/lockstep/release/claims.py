"""What an image, a service, a tag and the branch `deploy` say of a release. Whether that is true is asked elsewhere.

A reference is an image (`ghcr.io/owner/name:tag`, `…@sha256:…`), a digest, a version (`v1.2.0`) or its tag, a running
service's URL, or an environment's name.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from lockstep.errors import InputError, OutsideError, nearest
from lockstep.lock.entries import FILE
from lockstep.release import deployment, origin, registry, versions
from lockstep.release.deployment import PRODUCTION, STAGING, Record
from lockstep.release.tags import Released, Version, model_at, released
from lockstep.release.wanted import PREFIX
from lockstep.remotes.config import without_secrets
from lockstep.revision import Revision, git_bytes

ENVIRONMENTS = (STAGING, PRODUCTION)
FIELDS = ("name", "image", "digest", "version", "identity", "model", "commit", "lock")

_LABEL = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_VERSION = re.compile(r"(?:[a-z][a-z0-9-]*@)?v?\d+\.\d+\.\d+")
_URL = re.compile(r"https?://", re.I)
_SERVICE = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?(/(version/?)?)?|[\w.-]+:\d+(/(version/?)?)?", re.I)
"""A service's address whose http:// was forgotten; of an image's neither has this form."""

_OPEN = "org.opencontainers.image"
_DATA = f"{PREFIX}.data."
PATIENCE = (5, 20)
"""Seconds to connect to a service, and to wait for its answer."""

TRIES, PAUSE = 3, 0.3
"""A service that is being rolled out drops a connection now and then; seconds to wait, longer each time."""

BUSY = (502, 503, 504)
"""What an ingress answers while no pod of a service is ready."""

MOST = 100_000
"""Bytes of an answer."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one source says; "" for what it does not say. `data` holds md5 by the path with dots for slashes."""

    source: str
    name: str = ""
    image: str = ""
    digest: str = ""
    version: str = ""
    identity: str = ""
    model: str = ""
    commit: str = ""
    lock: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """All that was said, the one who was asked first; `notes` say who could not be asked."""

    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()


def hear(root: Path, asked: str, *, project: str, address: str = "") -> Heard:
    """Ask what the reference names, then who knows more of it. `address` is where images of this project are.

    Raises `InputError` for a reference that stands for nothing, `OutsideError` when the one who was asked cannot be.
    """
    if asked in ENVIRONMENTS:
        return _with_image([_environment(root, asked)])
    if _URL.match(asked):
        told = of_service(asked)
        known = [_recorded(*each) for each in _records(root) if each[1].version == told.version]
        return _with_image([told, *known[:1]])
    if _VERSION.fullmatch(asked):
        return _version(root, asked, project)
    return _image(root, asked, address)


def _environment(root: Path, name: str) -> Claim:
    for where, record in _records(root, newest=True):
        if where.startswith(f"{name}/"):
            return _recorded(where, record)
    raise InputError(f"branch `{origin.DEPLOY}` says nothing of {name} here: `git fetch` brings what the remote has")


def _version(root: Path, asked: str, project: str) -> Heard:
    name, _, number = asked.rpartition("@")
    version = Version.parse(number)
    known = released(root, name or project)
    tag = next((each for each in known if each.version == version), None)
    if tag is None:
        names = [str(each.version) for each in known]
        shown = ", ".join(names[-8:]) or "nothing"
        raise InputError(f"{version} was not released here. Released: {shown}.{nearest(str(version), names)}")
    records = [each for each in _records(root) if each[1].version == str(version)][:1]
    said = _tagged(root, tag, records[0][1].digest if records else "")
    return _with_image([said, *(_recorded(*each) for each in records)])


def _image(root: Path, asked: str, address: str) -> Heard:
    """An image by name, or by its digest alone."""
    place, reference = _split(asked)
    records = (
        [each for each in _records(root) if each[1].digest == reference] if registry.DIGEST.fullmatch(reference) else []
    )
    place = place or next((record.image for _, record in records), "") or address
    if not place:
        raise InputError(
            f"where is {asked}? `--registry ADDRESS` or LOCKSTEP_REGISTRY says, such as ghcr.io/owner/name"
        )
    found = of_image(place, reference)
    if found is None:
        raise InputError(f"the registry has no {asked}" + ("" if asked.startswith(place) else f" at {place}"))
    return Heard(claims=(found, *[_recorded(*each) for each in records[:1]]))


def _split(asked: str) -> tuple[str, str]:
    """Address and tag or digest; the address is "" for a bare digest. Raises `InputError` for what is neither.

    >>> _split("127.0.0.1:5000/a/b:id-1"), _split("ghcr.io/a/b")
    (('127.0.0.1:5000/a/b', 'id-1'), ('ghcr.io/a/b', 'latest'))
    """
    if registry.DIGEST.fullmatch(asked):
        return "", asked
    if _SERVICE.fullmatch(asked):
        raise InputError(f"`{asked}` is no image's address: did you mean http://{asked}?")
    place, at, digest = asked.partition("@")
    before, colon, tag = place.rpartition(":")
    if not colon or "/" in tag:
        before, tag = place, "latest"
    wrong = not registry.DIGEST.fullmatch(digest) if at else not _LABEL.fullmatch(tag)
    if wrong or "/" not in before or not registry.is_address(before):
        raise InputError(
            f"`{asked}` is none of: an image such as ghcr.io/owner/name:tag, a digest, a version such as v1.2.0, a "
            f"URL, {', '.join(ENVIRONMENTS)}.{nearest(asked, ENVIRONMENTS)}"
        )
    return before, digest or tag


def _with_image(claims: list[Claim]) -> Heard:
    """With what the image says, where one of them names it. That it cannot be asked is a note."""
    named = next((claim for claim in claims if claim.image and claim.digest), None)
    if named is None:
        return Heard(claims=tuple(claims), notes=("no image is known: nothing on the branch `deploy` names it",))
    try:
        found = of_image(named.image, named.digest)
    except (OutsideError, InputError) as error:
        return Heard(claims=tuple(claims), notes=(f"the image was not looked at: {error}",))
    if found is None:
        return Heard(claims=tuple(claims), notes=(f"{named.image} has no {named.digest} any more",))
    return Heard(claims=(*claims, found))


def of_image(address: str, reference: str) -> Claim | None:
    """What an image's labels say; None when the registry has none. Raises as `registry.find` does."""
    image = registry.find(address, reference)
    if image is None:
        return None
    told = {key: str(value) for key, value in image.labels.items()}
    ours: dict[str, Any] = {name: told.get(f"{PREFIX}.{name}", "") for name in ("identity", "model", "lock")}
    return Claim(
        source="the image's labels",
        image=address,
        digest=image.digest,
        name=told.get(f"{_OPEN}.title", ""),
        version=told.get(f"{_OPEN}.version", ""),
        commit=told.get(f"{_OPEN}.revision", ""),
        **ours,
        data={key.removeprefix(_DATA): md5 for key, md5 in told.items() if key.startswith(_DATA)},
    )


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    content: bytes
    leads: str


class _Busy(Exception):
    """An answer of who stands before a service that is being rolled out."""


def _asked(place: str) -> _Answer:
    """Raises `_Busy`, or what `requests` raises."""
    import requests

    with requests.get(place, timeout=PATIENCE, stream=True, allow_redirects=False) as answer:
        if answer.status_code in BUSY:
            raise _Busy(f"it answered {answer.status_code}")
        content = b""
        for part in answer.iter_content(8192):
            content += part
            if len(content) > MOST:
                break
        return _Answer(
            status=answer.status_code, content=content[:MOST],
            leads=answer.headers.get("Location", "") if answer.is_redirect else "",
        )  # fmt: skip


def _patiently(place: str) -> _Answer:
    """Raises `InputError` for what is no address, at once, and `OutsideError` when nobody answers in time."""
    import requests

    shown, failed = without_secrets(place), ""
    for attempt in range(1, TRIES + 1):
        try:
            return _asked(place)
        except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
            raise OutsideError(f"{shown} could not be asked ({_reason(error)}): nothing is asked unencrypted") from None
        except _Busy as error:
            failed = str(error)
        except ValueError:
            # Those of `requests` for addresses are ValueErrors, as is urllib3's; their words may quote a password.
            raise InputError(f"`{shown}` is no address of a service, such as http://host:3000") from None
        except requests.RequestException as error:
            failed = _reason(error)
        if attempt < TRIES:
            time.sleep(PAUSE * attempt)
    raise OutsideError(
        f"{shown} could not be asked (asked {TRIES} times, the last time: {failed}). Does the service run?"
    )


def _reason(error: BaseException) -> str:
    """What the system said, such as "Connection refused". Not what lies around it, which may quote a password."""
    first, name = error, type(error).__name__
    while inner := first.__cause__ or first.__context__:
        first = inner
    known = first if isinstance(first, OSError) and first is not error else None
    return (known.strerror or str(known) or name) if known else name


def of_service(url: str) -> Claim:
    """What a running service says at /version.

    Raises `InputError` for what is no address, `OutsideError` when it cannot be asked or is none of ours.
    """
    place = f"{url.rstrip('/').removesuffix('/version')}/version"
    shown, answer = without_secrets(place), _patiently(place)
    if answer.leads:
        leads = without_secrets(urljoin(place, answer.leads))
        raise OutsideError(f"{shown} answered {answer.status} and leads to {leads}: ask there")
    told = _mapping(answer.content) if answer.status == 200 else {}
    if "model" not in told:
        raise OutsideError(f"{shown} answered {answer.status}, but not as a service of ours does")
    fields: dict[str, Any] = {name: str(told.get(name) or "") for name in ("name", "version", "commit", "lock")}
    fields["model"] = str(told.get("fingerprint") or told["model"])
    return Claim(source=f"the service at {urlsplit(url).netloc.rpartition('@')[2]}", **fields)


def _mapping(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tagged(root: Path, tag: Released, deployed: str) -> Claim:
    """What the tags of a version say; where an image was built again, they say more than one digest."""
    name = tag.tag.partition("@")[0]
    said = [*versions.told(root, name, tag.version).values()]
    facts = next((each for each in said if each["digest"] == deployed), said[0] if said else {})
    revision = Revision(root=root, sha=tag.commit)
    content = revision.read(FILE)
    return Claim(
        source=f"the tag {tag.tag}",
        name=name,
        digest=facts.get("digest", ""),
        version=str(tag.version),
        identity=facts.get("identity", ""),
        commit=tag.commit,
        lock=hashlib.sha256(content).hexdigest() if content is not None else "",
        model=model_at(revision) or "",
    )


def _recorded(where: str, record: Record) -> Claim:
    return Claim(source=where, **{name: getattr(record, name) for name in FIELDS})


def _records(root: Path, *, newest: bool = False) -> Iterator[tuple[str, Record]]:
    """What the branch `deploy` says and has said, newest first; the newest only what it says now."""
    for ref in (f"refs/remotes/{origin.REMOTE}/{origin.DEPLOY}", f"refs/heads/{origin.DEPLOY}"):
        paths = [f"{name}/{deployment.RECORD}" for name in ENVIRONMENTS]
        limit = ["-1"] if newest else ["--max-count=500"]
        listed = git_bytes(root, "rev-list", *limit, ref, "--", *([] if newest else paths))
        if listed.returncode:
            continue
        for tip in listed.stdout.decode().split():
            for environment in ENVIRONMENTS:
                if record := deployment.record(root, tip, environment):
                    yield f"{environment}/{deployment.RECORD} on `{origin.DEPLOY}`", record
        return
