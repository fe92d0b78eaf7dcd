"""The manifests of an environment: its image stands in one file, by digest, or nothing of it is fit to be deployed."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.release import registry

IMAGE = "service"
"""What workloads call the image; Kustomize puts the released one in its place."""

KUSTOMIZATION = "base/kustomization.yaml"
"""The file of an environment that a release rewrites. All overlays inherit from it."""

_RENDERED = ("base", "components", "overlays")
_PINNED = re.compile(r"[^@\s]+(?:@sha256:[0-9a-f]{64}|:(?!latest$)[\w.-]*\d[\w.-]*)")
_UNUSABLE = ".invalid"


def set_image(text: str, *, new_name: str, digest: str) -> str:
    """The text of a base's kustomization.yaml with the released image in it; everything else stays, comments too.

    `new_name` is the image's address without tag, `digest` as in `sha256:…`.
    Raises `InputError` when either is not that, or the text has no entry for our image.
    """
    wrong = [*_wrong_address(new_name), *_wrong_digest(digest)]
    if wrong:
        raise InputError(f"the image cannot be written to {KUSTOMIZATION}: {wrong[0]}")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    engine = YAML()
    engine.indent(mapping=2, sequence=4, offset=2)
    engine.width, engine.preserve_quotes = 4096, True
    try:
        document = engine.load(text)
    except YAMLError as error:
        raise InputError(f"{KUSTOMIZATION} is not YAML: {' '.join(str(error).split())}") from None
    ours = _entries(document)
    if len(ours) != 1:
        raise InputError(f"{KUSTOMIZATION} has {len(ours)} entries under `images` with the name `{IMAGE}`, not one")
    ours[0].pop("newTag", None)
    ours[0].update(newName=new_name, digest=digest)
    written = io.StringIO()
    engine.dump(document, written)
    return written.getvalue()


def image_of(text: str) -> tuple[str, str]:
    """Address and digest of our image in the text of a base's kustomization.yaml; "" for what it does not say."""
    try:
        ours = _entries(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise InputError(f"{KUSTOMIZATION} is not YAML: {' '.join(str(error).split())}") from None
    entry = ours[0] if len(ours) == 1 else {}
    return str(entry.get("newName", "")), str(entry.get("digest", ""))


def problems(folder: Path) -> list[str]:
    """Why an environment's folder is not fit to be deployed, in sentences; none: it is.

    The released image stands by digest in base/kustomization.yaml and nowhere else, the container `service` runs it,
    and no other image could become another one unnoticed (`latest`, or no tag at all).
    """
    if not (folder / KUSTOMIZATION).is_file():
        return [f"{KUSTOMIZATION} is missing"]
    found: list[str] = []
    documents: dict[str, list[Any]] = {}
    images: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(path for part in _RENDERED for path in (folder / part).rglob("*.y*ml")):
        name = path.relative_to(folder).as_posix()
        try:
            read = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
            documents[name], images[name] = read, list(_images(read))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            found.append(f"{name} is not YAML: {' '.join(str(error).split())}")
    base = [entry for document in documents.pop(KUSTOMIZATION, []) for entry in _entries(document)]
    found += [f"{KUSTOMIZATION}: {wrong}" for wrong in _wrong_in_base(base)]
    addresses = {entry.get("newName") for entry in base}
    for name, read in documents.items():
        found += [f"{name}: {wrong}" for wrong in _wrong_elsewhere(read, images[name], addresses)]
    if (IMAGE, IMAGE) not in [image for named in images.values() for image in named]:
        found.append(f"no container `{IMAGE}` runs the image `{IMAGE}`")
    return found


def _entries(document: Any, names: Collection[Any] = (IMAGE,)) -> list[Any]:
    """A kustomization's entries for images of these names."""
    listed = document.get("images") if isinstance(document, Mapping) else None
    return [entry for entry in listed or () if isinstance(entry, Mapping) and entry.get("name") in names]


def _images(node: Any) -> Iterator[tuple[str, str]]:
    """Every container and its image that a manifest or a patch names. A patch by position may mean ours."""
    if isinstance(node, Mapping):
        if "op" in node and str(node.get("path", "")).endswith("/image"):
            yield IMAGE, str(node.get("value"))
        if isinstance(node.get("image"), str):
            yield str(node.get("name", "")), node["image"]
        if isinstance(node.get("patch"), str):
            yield from _images(list(yaml.safe_load_all(node["patch"])))
    for child in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _images(child)


def _wrong_in_base(ours: list[Any]) -> Iterator[str]:
    if len(ours) != 1:
        yield f"there are {len(ours)} entries under `images` with the name `{IMAGE}`, not one"
        return
    address = str(ours[0].get("newName", ""))
    if address.partition("/")[0].endswith(_UNUSABLE):
        yield "no image is written here: `lockstep release` writes it on the branch `deploy`, never on main"
        return
    yield from _wrong_address(address)
    yield from _wrong_digest(str(ours[0].get("digest", "")))
    more = sorted(set(ours[0]) - {"name", "newName", "digest"})
    if more:
        yield f"`{more[0]}` beside the digest: the digest alone says which image it is"


def _wrong_elsewhere(documents: list[Any], images: list[tuple[str, str]], addresses: Collection[Any]) -> Iterator[str]:
    """`addresses` are those of the released image: once base has named it so, an overlay could name another one."""
    if any(_entries(document, {IMAGE, *addresses}) for document in documents):
        yield f"it sets the image `{IMAGE}`: {KUSTOMIZATION} alone does, so that what was released is what runs"
    for container, image in images:
        if container == IMAGE and image != IMAGE:
            yield f"the image `{image}` may take the place of the released one"
        elif image != IMAGE and not _PINNED.fullmatch(image):
            yield f"the image `{image}` may be another one tomorrow: name it by digest or by an exact tag"


def _wrong_address(address: str) -> Iterator[str]:
    if not registry.is_address(address):
        yield f"`{address}` is not the address of an image without tag, such as ghcr.io/owner/name"


def _wrong_digest(digest: str) -> Iterator[str]:
    if not registry.DIGEST.fullmatch(digest) or digest == f"sha256:{0:064x}":
        yield f"`{digest}` is not a digest, `sha256:` and 64 hexadecimal digits"
