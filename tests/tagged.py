"""Tags as a release writes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lockstep.release.tags import model_of
from lockstep.revision import git, resolve


def facts(root: Path, commit: str = "HEAD", **changes: str) -> dict[str, str]:
    """What the tag of a commit's release says: an image of its model."""
    model = model_of(resolve(root, commit).entries()) or "0" * 64
    digest = f"sha256:{hashlib.sha256(b'image' + model.encode()).hexdigest()}"
    return {"identity": hashlib.sha256(model.encode()).hexdigest(), "digest": digest, "model": model} | changes


def message(about: dict[str, str]) -> str:
    """The message of such a tag."""
    return "a release\n\n" + "".join(f"{key}: {value}\n" for key, value in about.items())


def tag(root: Path, name: str, commit: str = "HEAD", **changes: str) -> None:
    """Tag a commit as released."""
    git(root, "tag", "--annotate", "--message", message(facts(root, commit, **changes)), name, commit)
