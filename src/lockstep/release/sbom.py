"""What is in an image, for machines (CycloneDX): every package of requirements/serve.txt, and the model with its hash.

Of what the base image brings it says nothing: that image is named, and scanners read the packages of its system.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.markers import Marker

from lockstep.errors import InputError
from lockstep.release import bento, outside
from lockstep.release.wanted import PREFIX, Wanted

VERSION = "1.6"
LIMIT = 120.0

_LINE = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)\s*(?:;(?P<marker>[^\\]+))?")


def write(root: Path, wanted: Wanted, digest: str, path: Path) -> None:
    """Write the bill of materials of the image that the registry has under `digest`; the same bytes every time.

    Needs neither the image nor the model. Raises `InputError` when requirements/serve.txt is missing.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-sbom-") as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("\n".join(installed(root)) + "\n", encoding="utf-8")
        command = [
            sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--output-format", "JSON",
            "--spec-version", VERSION, str(listed),
        ]  # fmt: skip
        bill = json.loads(outside.run(command, "`cyclonedx-py`", timeout=LIMIT, folder=Path(folder)))
    _describe(bill, wanted, digest)
    text = json.dumps(bill, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def installed(root: Path) -> Iterator[str]:
    """Requirements with their hashes, of the packages that the image's Python installs from the lock."""
    try:
        text = (root / bento.REQUIREMENTS).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{bento.REQUIREMENTS} is missing: `make lock` resolves it") from None
    python = bento.python(root)
    there = {
        "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
        "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    for block in re.split(r"(?m)^(?=[\w.-]+==)", text):
        match = _LINE.match(block)
        if match and (not match["marker"] or Marker(match["marker"].strip()).evaluate(there)):
            hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}", block)
            yield " ".join([f"{match['name']}=={match['version']}", *hashes])


def _describe(bill: dict[str, Any], wanted: Wanted, digest: str) -> None:
    """The image is what the bill is about; the model is a part of it."""
    name = wanted.registry.rpartition("/")[2] or wanted.name
    place = f"?repository_url={wanted.registry}" if wanted.registry else ""
    image: dict[str, Any] = {
        "bom-ref": "image", "type": "container", "name": wanted.name, "version": wanted.version,
        "purl": f"pkg:oci/{name}@{digest.replace(':', '%3A')}{place}",
        "hashes": [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}],
        "properties": _properties(
            identity=wanted.identity, commit=wanted.commit, lock=wanted.lock, run_image=wanted.run_image
        ),
    }  # fmt: skip
    model = {
        "bom-ref": "model", "type": "machine-learning-model", "name": f"{wanted.name}-model",
        "version": wanted.version, "properties": _properties(fingerprint=wanted.model, **dict(_data(wanted))),
    }  # fmt: skip
    packages = sorted(bill.get("components", []), key=lambda component: str(component["name"]).lower())
    for package in packages:
        package["bom-ref"] = package["purl"]
        package.pop("description", None)  # the line that it was read from
    parts = [model, *packages]
    bill["components"] = parts
    bill.setdefault("metadata", {})["component"] = image
    bill["dependencies"] = [
        {"ref": "image", "dependsOn": sorted(part["bom-ref"] for part in parts)},
        *({"ref": part["bom-ref"]} for part in parts),
    ]


def _data(wanted: Wanted) -> Iterator[tuple[str, str]]:
    yield from ((f"data:{path}", md5) for path, md5 in sorted(wanted.data.items()))


def _properties(**values: str) -> list[dict[str, str]]:
    return [{"name": f"{PREFIX}:{key}", "value": value} for key, value in values.items()]
