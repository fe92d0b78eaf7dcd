"""A small project to release: git with a bare origin, DVC with a remote, three stages in shell, a real GTO.

The image alone is played, by `Registry`: a file of digests. `python -m release_world` in the project's folder releases
what HEAD is, and dies where DIES says: `origin.push 2 before kill` is before the second push.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import TOY, lay
from lockstep.errors import OutsideError, Refused, exit_code
from lockstep.lock import fresh, reproduce, seal
from lockstep.release import bento, chain, identity, memory, release, sbom
from lockstep.release.release import Options, Outcome
from lockstep.release.wanted import Wanted
from lockstep.revision import git
from lockstep.running import versions
from lockstep.running.console import say

NAME = "toy"
IMAGE = "127.0.0.1:5000/team/toy"

PIPELINE = """
stages:
  ingest:
    cmd: mkdir -p data/raw && cp source.txt data/raw/all.txt
    deps: [code.txt]
    outs:
      - data/raw:
          persist: true
  train:
    cmd: mkdir -p model && cat data/raw/all.txt code.txt > model/model.onnx && cp contract.txt model/contract.json
    deps: [data/raw, code.txt, contract.txt]
    params: [train]
    outs: [model/model.onnx, model/contract.json]
  evaluate:
    cmd: mkdir -p reports && cat model/model.onnx contract.txt > model/golden.json && wc -c < model/golden.json > reports/metrics.json
    deps: [model/model.onnx, contract.txt]
    outs: [model/golden.json]
    metrics:
      - reports/metrics.json:
          cache: false
"""  # noqa: E501

FILES = {
    "dvc.yaml": PIPELINE,
    "params.yaml": TOY["params.yaml"].replace("source: toy.source:load", "files: rows.csv"),
    "versions.toml": f'python = "{versions.python()}"\n',
    "source.txt": "rows\n",
    "code.txt": "1\n",
    "contract.txt": "{}\n",
    "service.txt": "1\n",
    ".gitignore": "__pycache__/\n/data/\n/model/\n",
    ".dvcignore": "__pycache__/\n",
    ".dvc/.gitignore": "/tmp\n/cache\n/config.local\n",
    "deploy/README.md": "where it runs\n",
    "deploy/base/kustomization.yaml": """\
resources: [deployment.yaml]
images:
  # a release writes it
  - name: service
    newName: not-released.invalid/service
""",
    "deploy/base/deployment.yaml": """\
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - name: service
          image: service
""",
    "deploy/overlays/staging/kustomization.yaml": "resources: [../../base]\n",
}


@dataclass
class Registry:
    """Digests with what their images say, in a file, and what the tags by identity name."""

    path: Path

    def holds(self, wanted: Wanted, digest: str) -> bool:
        found = self._content().get(digest)
        return found is not None and (found["identity"], found["version"]) == (wanted.identity, wanted.version)

    def ship(
        self, root: Path, model: Path, wanted: Wanted, *, push: bool, progress: Callable[[str], None] = say
    ) -> str:
        names = ("model.onnx", "contract.json", "golden.json")
        served = b"".join((model / name).read_bytes() for name in names)
        if b"poison" in served:
            raise Refused("the image answers otherwise than the golden rows say")
        if not push:
            return ""
        if (down := self.path.with_suffix(".down")).exists():
            down.unlink()
            raise OutsideError("the registry went away")
        again = self.path.with_suffix(".again").exists()  # two builds of one image have two digests
        digest = f"sha256:{hashlib.sha256(served + wanted.identity.encode() + b'again' * again).hexdigest()}"
        self.put(wanted.identity, wanted.version, digest)
        memory.remember(root, wanted, digest)
        progress(f"built {wanted}")
        return digest

    def put(self, identity: str, version: str, digest: str) -> None:
        """An image arrives, whoever sent it."""
        content = self._content() | {digest: {"identity": identity, "version": version}}
        self.path.write_text(json.dumps(content))

    def loses(self, digest: str) -> None:
        """It has been cleaned up; what is built from now on has another digest."""
        self.path.write_text(json.dumps({each: about for each, about in self._content().items() if each != digest}))
        self.path.with_suffix(".again").touch()

    def _content(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text())) if self.path.exists() else {}

    def images(self) -> dict[str, str]:
        """Versions by digest."""
        return {digest: each["version"] for digest, each in self._content().items()}

    def breaks(self) -> None:
        """The next push fails."""
        self.path.with_suffix(".down").touch()

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Play the image's part."""
        patch.setattr(chain, "holds", self.holds)
        patch.setattr(chain, "ship", self.ship)
        patch.setattr(sbom, "write", write_bill)
        patch.setattr(identity, "of", identity_of)
        patch.setattr(bento, "insist_committed", lambda root: None)


def identity_of(root: Path, spec: Any, md5s: Mapping[str, str]) -> str:
    """As the real one: of the model, and of what serves it."""
    return hashlib.sha256(json.dumps([sorted(md5s.items()), (root / "service.txt").read_text()]).encode()).hexdigest()


def write_bill(root: Path, wanted: Wanted, digest: str, path: Path) -> None:
    """As the real one, shorter."""
    path.write_text(json.dumps({"digest": digest, "identity": wanted.identity}))


WORKFLOWS = """\
#!/bin/bash
# GitHub, towards an App's token without the right `workflows`.
while read -r old new ref; do
  [[ $ref == refs/tags/* ]] || continue
  mine=$(git rev-parse "$new^{commit}:.github/workflows" 2>&1)
  for tip in $(git for-each-ref --format='%(objectname)' refs/heads); do
    [ "$(git rev-parse "$tip:.github/workflows" 2>&1)" == "$mine" ] && continue 2
  done
  echo 'refusing to allow a GitHub App to create or update workflow `.github/workflows/a.yml` without `workflows`' \
    permission >&2
  exit 1
done
"""


@dataclass
class World:
    """A clone, its origin, its remote of objects, the registry."""

    root: Path
    bare: Path
    objects: Path
    registry: Registry

    def write(self, **contents: str) -> None:
        """Write files by name: `code_txt`, with `__` for `/`."""
        lay(self.root, {name.replace("__", "/").replace("_", "."): text for name, text in contents.items()})

    def repro(self) -> None:
        """Run and seal."""
        reproduce.reproduce(self.root)

    def commit(self, message: str = "a change", *, push: bool = True) -> str:
        """Commit everything on main, and merge it."""
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", message)
        if push:
            git(self.root, "push", "--quiet", "origin", "HEAD:main")
        return git(self.root, "rev-parse", "HEAD")

    def change(self, message: str = "a change", **contents: str) -> str:
        """Files, their lock, a merged commit."""
        self.write(**contents)
        self.repro()
        return self.commit(message)

    def release(self, **options: Any) -> Outcome:
        """Release HEAD."""
        return release.release(self.root, Options(**{"registry": IMAGE} | options), say)

    def start(self, dies: str = "", root: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Release HEAD in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "release_world"], cwd=root or self.root, text=True, capture_output=True,
            env=self.environment(dies),
        )  # fmt: skip

    def environment(self, dies: str = "") -> dict[str, str]:
        """For a process that releases."""
        path = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
        return os.environ | {"PYTHONPATH": path, "REGISTRY": str(self.registry.path), "DIES": dies}

    def clone(self) -> World:
        """Another clone, without any objects."""
        folder = self.root.with_name("other")
        subprocess.run(["git", "clone", "--quiet", str(self.bare), str(folder)], check=True)
        return World(folder, self.bare, self.objects, self.registry)

    def origin(self, *arguments: str) -> str:
        """Ask the origin's git."""
        return git(self.bare, *arguments)

    def tags(self) -> dict[str, str]:
        """The origin's tags, and the commit that each is on."""
        listed = self.origin("for-each-ref", "--format=%(refname:strip=2) %(*objectname)", "refs/tags").splitlines()
        return dict(line.split(" ") for line in listed)

    def staging(self, path: str = "release.json", environment: str = "staging") -> str:
        """A file on the branch `deploy`."""
        return self.origin("show", f"deploy:{environment}/{path}")

    def record(self, environment: str = "staging") -> dict[str, Any]:
        """What staging says of itself."""
        return dict(json.loads(self.staging(environment=environment)))

    def edits(self, path: str, change: Callable[[str], str]) -> None:
        """Somebody who may push writes to the branch `deploy`."""
        tree = self.root.with_name("deployed")
        subprocess.run(["git", "clone", "--quiet", "--branch=deploy", str(self.bare), str(tree)], check=True)
        (tree / path).write_text(change((tree / path).read_text()))
        git(tree, "commit", "--quiet", "--all", "--message", "by hand")
        git(tree, "push", "--quiet", "origin", "HEAD:deploy")
        shutil.rmtree(tree)

    def says(self, environment: str, **changes: Any) -> None:
        """And lets an environment say something else of itself."""
        self.edits(f"{environment}/release.json", lambda text: json.dumps(json.loads(text) | changes))

    def workflow(self, text: str) -> str:
        """A changed workflow is merged."""
        self.write(**{".github__workflows__a_yml": text})
        return self.commit(f"workflow {text}")

    def guards_workflows(self) -> Path:
        """Origin lets none tag a commit whose workflows are no branch's any more; returns the hook that does it."""
        hook = self.bare / "hooks/pre-receive"
        hook.write_text(WORKFLOWS)
        hook.chmod(0o755)
        return hook

    def tagged_by_hand(self, tag: str, on: str = "HEAD") -> None:
        """Somebody makes a tag, and pushes it."""
        git(self.root, "tag", "--annotate", "--message", "by hand", tag, on)
        git(self.root, "push", "--quiet", "origin", f"refs/tags/{tag}")

    def state(self) -> tuple[Any, ...]:
        """All that others can see."""
        tip = self.origin("rev-parse", "deploy^{tree}")
        count = self.origin("rev-list", "--count", "deploy")
        sent = sorted(path.name for path in self.objects.rglob("*") if path.is_file())
        return self.tags(), tip, count, self.registry.images(), sent

    def forge(self) -> str:
        """A model that no stage made, in lock, seal, cache and remote; merged. Returns its md5."""
        forged = b"forged\n"
        md5 = hashlib.md5(forged).hexdigest()
        lock = self.root / "dvc.lock"
        right = fresh.read_lock(self.root)["train"].outs["model/model.onnx"]
        size = (self.root / "model/model.onnx").stat().st_size
        lock.write_text(lock.read_text().replace(right, md5).replace(f"size: {size}", f"size: {len(forged)}"))
        seal.write(self.root, seal.lines(fresh.read_lock(self.root)))
        for place in (self.root / ".dvc/cache", self.objects):
            path = place / "files/md5" / md5[:2] / md5[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(forged)
        self.commit("an honest change")
        return md5

    def damage(self, path: str) -> Path:
        """Cut off DVC's copy of an output; returns where it lies."""
        outs = {out: md5 for entry in fresh.read_lock(self.root).values() for out, md5 in entry.outs.items()}
        kept = self.root / ".dvc/cache/files/md5" / outs[path][:2] / outs[path][2:]
        kept.chmod(0o644)
        kept.write_bytes(b"cut")
        return kept


def build(folder: Path, files: Mapping[str, str] = FILES) -> World:
    """A project, run, sealed, committed and pushed; nothing is released."""
    root, bare, objects = folder / "work", folder / "origin.git", folder / "objects"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(root)], check=True)
    git(root, "remote", "add", "origin", str(bare))
    objects.mkdir()
    config = "[core]\n    analytics = false\n    remote = main\n['remote \"main\"']\n    url = ../../objects\n"
    lay(root, {**files, ".dvc/config": config})
    world = World(root, bare, objects, Registry(folder / "registry.json"))
    world.repro()
    world.commit("the first model")
    return world


def copied(made: World, folder: Path) -> World:
    """A world of one's own like `made`."""
    shutil.copytree(made.root.parent, folder, symlinks=True, dirs_exist_ok=True)
    world = World(folder / "work", folder / "origin.git", folder / "objects", Registry(folder / "registry.json"))
    git(world.root, "remote", "set-url", "origin", str(world.bare))
    return world


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("release"))


@pytest.fixture
def world(made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A merged model, nothing released."""
    world = copied(made, tmp_path / "world")
    world.registry.use(monkeypatch)
    return world


@pytest.fixture
def released(world: World) -> World:
    """And once released."""
    world.release()
    return world


def dying(name: str, number: int, when: str, how: str) -> None:
    """Let this process end, or fail, before or after the call of that number to a function of the release."""
    module, _, function = name.rpartition(".")
    place = sys.modules[f"lockstep.release.{module}"]
    work, calls = getattr(place, function), [0]

    def end() -> None:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OutsideError(f"{name} failed")

    def called(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == number and when == "before":
            end()
        result = work(*arguments, **options)
        if calls[0] == number and when == "after":
            end()
        return result

    setattr(place, function, called)


def start_late(moment: float) -> None:
    """Release HEAD at a moment, so that two do it at once."""
    time.sleep(max(0.0, moment - time.time()))
    raise SystemExit(main())


def main() -> int:
    """Release HEAD."""
    Registry(Path(os.environ["REGISTRY"])).use(pytest.MonkeyPatch())
    if os.environ["DIES"]:
        name, number, when, how = os.environ["DIES"].split()
        dying(name, int(number), when, how)
    return exit_code(lambda: print(release.release(Path.cwd(), Options(registry=IMAGE), say).sentence))


if __name__ == "__main__":
    raise SystemExit(main())
