"""A stand-in of `lockstep.release.chain` for the loop: a registry that is a folder, images that are a line of JSON.

`installed(folder)` gives the environment in which every Python takes it for the real one, so that the workflow's own
commands run as they are. Building, trying and pushing real images is what tests/test_image*.py do.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lockstep.errors import OutsideError
from lockstep.release import memory
from lockstep.release.wanted import Wanted

FOLDER = "CHAIN_STAND_IN"
DOWN = "down"
"""A file of this name in the registry: it does not answer."""

SITE = """\
import importlib.machinery, importlib.util, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "lockstep.release.chain":
            return importlib.util.spec_from_file_location(name, {file!r})

sys.meta_path.insert(0, Finder)
"""


def installed(folder: Path) -> Mapping[str, str]:
    """What the environment must say; `folder` is the registry."""
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(SITE.format(file=__file__), encoding="utf-8")
    return {"PYTHONPATH": str(site), FOLDER: str(folder)}


def holds(wanted: Wanted, digest: str) -> bool:
    """Is it there, with the wanted identity and version?"""
    path = _registry() / f"{digest.replace(':', '-')}.json"
    labels = json.loads(path.read_bytes())["labels"] if path.exists() else {}
    told = labels.get("lockstep.identity"), labels.get("org.opencontainers.image.version")
    return told == (wanted.identity, wanted.version)


def ship(
    root: Path, model: Path, wanted: Wanted, *, push: bool, progress: Callable[[str], None] = lambda sentence: None
) -> str:
    """Make and send. As with real ones no image has the digest of another."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(model.iterdir())}
    assert set(files) >= {"model.onnx", "contract.json", "golden.json"}
    about = {"labels": wanted.labels, "environment": wanted.environment, "files": files, "built": time.time_ns()}
    content = json.dumps(about).encode()
    progress(f"built {wanted}")
    if not push:
        return ""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (_registry() / f"{digest.replace(':', '-')}.json").write_bytes(content)
    memory.remember(root, wanted, digest)
    return digest


def _registry() -> Path:
    folder = Path(os.environ[FOLDER])
    if (folder / DOWN).exists():
        raise OutsideError("the registry does not answer: safe to try again")
    return folder
