"""The manifests of an environment: its image stands in one file, by digest, or nothing of it is fit to be deployed."""

from __future__ import annotations

import io
import json
import posixpath
import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.release import registry
from lockstep.remotes.config import without_secrets

IMAGE = "service"
"""What workloads call the image; Kustomize puts the released one in its place."""

KUSTOMIZATION = "base/kustomization.yaml"
"""The file of an environment that a release rewrites. All overlays inherit from it."""

_RENDERED = ("base", "components", "overlays")
_BESIDE = ("examples", "grafana", "prometheus")
"""Folders that no cluster renders."""

_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_YAML = (".yaml", ".yml", ".json")
_KEYS = frozenset({
    "apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels",
    "commonAnnotations", "resources", "bases", "components", "patches", "patchesStrategicMerge", "patchesJson6902",
    "images", "replicas", "configMapGenerator", "secretGenerator", "generatorOptions", "sortOptions", "buildMetadata",
})  # fmt: skip
"""What a kustomization may say. All else, such as `replacements` or `helmCharts`, may name images unseen."""

_LISTED = ("resources", "bases", "components", "patchesStrategicMerge")
_REPLACES = re.compile(r"/image$|/containers$|^(?!add|test)\w+ .*/containers/\d+$")
"""Operation and path of a patch that may put another container, or its image, where ours is."""

_TAG = r"(?!latest$)[\w.-]*\d[\w.-]*"
_PINNED = re.compile(rf"[^@\s]+(?:@sha256:[0-9a-f]{{64}}|:{_TAG})")
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
    ours = _ours(document)
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
        ours = _ours(yaml.safe_load(text))
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
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    files = [_File(path=path, name=path.relative_to(folder).as_posix()) for path in paths]
    inside = {file.name: file for file in files if file.name.partition("/")[0] in _RENDERED}
    base = [entry for document in inside[KUSTOMIZATION].documents for entry in _ours(document)]
    found = [f"{KUSTOMIZATION}: {wrong}" for wrong in _wrong_in_base(base)]
    addresses = {str(entry.get("newName")) for entry in base}
    for file in files:
        wrongs = _wrong_file(file, inside, addresses) if file.name in inside else _wrong_beside(file)
        found += [f"{file.name}: {wrong}" for wrong in wrongs]
    if not any((IMAGE, IMAGE) in file.images for file in inside.values()):
        found.append(f"no container `{IMAGE}` runs the image `{IMAGE}`")
    return found


@dataclass(frozen=True, kw_only=True)
class _File:
    """One of an environment's folder; `name` is its path below it."""

    path: Path
    name: str

    @property
    def is_kustomization(self) -> bool:
        return self.path.name in _NAMES

    @cached_property
    def _read(self) -> tuple[list[Any], list[tuple[str, str]], str]:
        if self.path.is_symlink():
            return [], [], ""
        try:
            documents = _parsed(self.path.read_text(encoding="utf-8"))
            return documents, list(_images(documents)), ""
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            return [], [], " ".join(str(error).split())

    @property
    def documents(self) -> list[Any]:
        """What it holds as YAML or JSON, whatever it is called; nothing when it is neither."""
        return self._read[0]

    @property
    def images(self) -> list[tuple[str, str]]:
        return self._read[1]

    @property
    def trouble(self) -> str:
        return self._read[2]


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: programs differ in which of the two holds."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"the key `{twice}` is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _parsed(text: str) -> list[Any]:
    """Raises `YAMLError` or `ValueError` for what is neither YAML nor JSON."""
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.scanner.ScannerError:
        # JSON may be indented by tabs.
        if not text.lstrip().startswith(("{", "[")):
            raise
        return [json.loads(text)]


def _wrong_file(file: _File, inside: Mapping[str, _File], addresses: Collection[str]) -> Iterator[str]:
    if file.path.is_symlink():
        yield "it is a link: put the file itself here"
    elif file.trouble and (file.is_kustomization or file.path.suffix in _YAML):
        yield f"it is not YAML: {file.trouble}"
    for document in file.documents if file.is_kustomization else ():
        yield from _wrong_kustomization(file, document, inside)
        for entry in _entries(document):
            if file.name != KUSTOMIZATION or entry.get("name") != IMAGE:
                yield from _wrong_entry(file, entry, addresses)
    yield from _wrong_images(file.images)


def _wrong_beside(file: _File) -> Iterator[str]:
    """What would be rendered although nobody looked at it."""
    if file.name.partition("/")[0] in _BESIDE:
        return
    kinds = [each for each in file.documents if isinstance(each, Mapping) and {"apiVersion", "kind"} <= set(each)]
    if file.is_kustomization or kinds:
        yield f"only {', '.join(_RENDERED)} may hold what runs, since images are looked for there: move it there"


def _wrong_kustomization(file: _File, document: Any, inside: Mapping[str, _File]) -> Iterator[str]:
    if not isinstance(document, Mapping):
        yield "it is no mapping of keys"
        return
    for key in sorted(map(str, set(document) - _KEYS)):
        yield f"`{key}` may bring in an image unseen: list what it makes under `resources`, or use `patches`"
    if any("fields" in each for each in _mappings(document.get("labels"))):
        yield "`fields` of `labels` may bring in an image unseen: use `includeTemplates`, or `patches`"
    for key, reference, manifest in _references(document):
        name = posixpath.normpath(posixpath.join(posixpath.dirname(file.name), reference))
        if _is_here(name, inside, manifest=manifest):
            continue
        shown = without_secrets(reference.partition("\n")[0])
        yield (
            f"`{key}` names `{shown}`, which is no file below {', '.join(_RENDERED)} that can be looked at: "
            "put it there, not at an address"
        )


def _references(document: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """The files and folders that a kustomization names, by which key, and whether they are to be manifests."""
    for key in _LISTED:
        yield from ((key, str(each), True) for each in _list(document.get(key)))
    for key in ("patches", "patchesJson6902"):
        yield from ((key, str(each["path"]), True) for each in _mappings(document.get(key)) if "path" in each)
    for key in ("configMapGenerator", "secretGenerator"):
        for each in _mappings(document.get(key)):
            named = [*_list(each.get("files")), *_list(each.get("envs")), *_list(each.get("env"))]
            yield from ((key, str(name).rpartition("=")[2], False) for name in named)


def _is_here(name: str, inside: Mapping[str, _File], *, manifest: bool) -> bool:
    if name in inside:
        return not (manifest and inside[name].trouble)
    return manifest and any(f"{name}/{each}" in inside for each in _NAMES)


def _list(node: Any) -> list[Any]:
    return node if isinstance(node, list) else [node] if isinstance(node, str) else []


def _mappings(node: Any) -> list[Mapping[str, Any]]:
    return [each for each in _list(node) if isinstance(each, Mapping)]


def _entries(document: Any) -> list[Any]:
    """A kustomization's entries for images."""
    return _mappings(document.get("images")) if isinstance(document, Mapping) else []


def _ours(document: Any) -> list[Any]:
    return [entry for entry in _entries(document) if entry.get("name") == IMAGE]


def _images(node: Any) -> Iterator[tuple[str, str]]:
    """Every container and its image that a manifest or a patch names. A patch by position may mean ours."""
    if isinstance(node, Mapping):
        if "op" in node and _REPLACES.search(f"{node['op']} {node.get('path')}"):
            value = node.get("value")
            yield IMAGE, str(value.get("image") if isinstance(value, Mapping) else value)
        if "image" in node and not isinstance(node["image"], (Mapping, list)):
            yield str(node.get("name", "")), str(node["image"])
        if isinstance(node.get("patch"), str):
            yield from _images(_parsed(node["patch"]))
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


def _wrong_entry(file: _File, entry: Mapping[str, Any], addresses: Collection[str]) -> Iterator[str]:
    """An entry for an image that is not ours. To Kustomize its name is a pattern, so that it might mean ours."""
    name, tag, digest = (str(entry.get(key, "")) for key in ("name", "newTag", "digest"))
    if file.name != KUSTOMIZATION:
        yield f"it sets the image `{name}`: {KUSTOMIZATION} alone does, so that what was released is what runs"
    elif not re.fullmatch(r"[\w./:-]+", name) or any(re.fullmatch(name, ours) for ours in (IMAGE, *addresses)):
        yield f"the entry `{name}` under `images` may mean the released image too: name the other one exactly"
    elif digest:
        yield from _wrong_digest(digest)
    elif tag and not re.fullmatch(_TAG, tag):
        yield f"the image `{name}:{tag}` may be another one tomorrow: name it by digest or by an exact tag"


def _wrong_images(images: list[tuple[str, str]]) -> Iterator[str]:
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
