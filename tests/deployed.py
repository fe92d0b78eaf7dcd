"""The tree `deploy/` as it is on main, as a release copies it to the branch `deploy`, and as Kustomize renders it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from conftest import ROOT, require
from lockstep.release import manifests

DEPLOY = ROOT / "deploy"
REGISTRY, DIGEST = "ghcr.io/owner/flight-delays", f"sha256:{'5e' * 32}"
ENVIRONMENTS = ("staging", "production")
OVERLAYS = (("staging", "staging"), ("production", "production"), ("production", "canary"))

Manifest = dict[str, Any]


def release(target: Path) -> Path:
    """Copy the tree, and write an image into it as a release does."""
    shutil.copytree(DEPLOY, target)
    base = target / manifests.KUSTOMIZATION
    text = manifests.set_image(base.read_text(encoding="utf-8"), new_name=REGISTRY, digest=DIGEST)
    base.write_text(text, encoding="utf-8")
    return target


def kustomize(folder: Path) -> list[Manifest]:
    """What the real Kustomize makes of a folder; the test is skipped where there is none."""
    found = shutil.which("kustomize")
    command = [found, "build"] if found else ["kubectl", "kustomize"]
    require(found or shutil.which("kubectl"), "kustomize, alone or in kubectl 1.21 or newer")
    made = subprocess.run([*command, str(folder)], text=True, capture_output=True)
    assert made.returncode == 0, made.stderr
    return [each for each in yaml.safe_load_all(made.stdout) if each]


@cache
def _released(environment: str, overlay: str) -> tuple[Manifest, ...]:
    with tempfile.TemporaryDirectory() as folder:
        tree = release(Path(folder) / environment)
        return tuple(kustomize(tree / "overlays" / overlay))


def rendered(overlay: str) -> tuple[Manifest, ...]:
    """An overlay's manifests after a release. Change nothing of them."""
    require(shutil.which("kustomize") or shutil.which("kubectl"), "kustomize, alone or in kubectl 1.21 or newer")
    return _released({name: environment for environment, name in OVERLAYS}[overlay], overlay)


def of_kind(overlay: str, kind: str) -> list[Manifest]:
    """An overlay's manifests of a kind."""
    return [each for each in rendered(overlay) if each["kind"] == kind]


def one(overlay: str, kind: str, name: str | None = None) -> Manifest:
    """An overlay's only manifest of a kind, or with a name."""
    (found,) = [each for each in of_kind(overlay, kind) if name in (None, each["metadata"]["name"])]
    return found


def pod(overlay: str) -> Manifest:
    """The template of the pods."""
    return dict(one(overlay, "Deployment")["spec"]["template"])


def containers(overlay: str) -> dict[str, Manifest]:
    """The service and its sidecar, by name."""
    spec = pod(overlay)["spec"]
    return {each["name"]: each for each in [*spec["containers"], *spec["initContainers"]]}


def alerts() -> list[Manifest]:
    """The alerts of compose.yaml's Prometheus; a test says that the cluster's are the same."""
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def analysis() -> list[tuple[str, Manifest]]:
    """What the canary is asked, each question with its template's name."""
    text = (DEPLOY / "overlays" / "canary" / "analysis.yaml").read_text(encoding="utf-8")
    return [
        (template["metadata"]["name"], metric)
        for template in yaml.safe_load_all(text)
        for metric in template["spec"]["metrics"]
    ]


def strings(node: Any) -> Iterator[str]:
    """Every text in a document."""
    if isinstance(node, str):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from strings(child)


def seconds(duration: str) -> int:
    """`45s` or `2m`."""
    match = re.fullmatch(r"(\d+)([sm])", duration)
    assert match, duration
    return int(match[1]) * {"s": 1, "m": 60}[match[2]]
