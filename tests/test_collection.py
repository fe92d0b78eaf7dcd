"""What is collected and what is not: objects of released models stay, by the workflow's own command, with real DVC."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT, lay
from lockstep.release import kept
from lockstep.revision import git, resolve

STAGE = "stages:\n  train:\n    cmd: mkdir -p {0} && echo {1} > {0}/model.onnx\n    outs: [{0}/model.onnx]\n"


class Toy:
    """A repository whose stage writes one word: a model."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run DVC."""
        return subprocess.run(
            ["dvc", *arguments], cwd=self.root, env=os.environ | {"DVC_NO_ANALYTICS": "1"}, text=True,
            capture_output=True,
        )  # fmt: skip

    def make(self, word: str, *tags: str, folder: str = "model") -> None:
        """A commit whose model is this word, and its tags."""
        lay(self.root, {"dvc.yaml": STAGE.format(folder, word)})
        done = self.dvc("repro", "--quiet")
        assert done.returncode == 0, done.stderr
        self.commit(word)
        for tag in tags:
            git(self.root, "tag", "-a", "-m", "a release", tag)

    def commit(self, message: str) -> None:
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "-m", message)

    def kept(self, folder: str = ".dvc/cache/files/md5") -> set[str]:
        """The words whose objects are there."""
        return {path.read_text().strip() for path in (self.root / folder).rglob("*") if path.is_file()}

    def collect(self, *more: str) -> subprocess.CompletedProcess[str]:
        """As the job `keep` does."""
        return self.dvc(*keep()["run"].split()[1:], *more)


def steps() -> list[dict[str, Any]]:
    """The steps of the job `keep`."""
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["keep"][
        "steps"
    ]
    return found


def keep() -> dict[str, Any]:
    """The step that drops objects."""
    return next(step for step in steps() if "dvc gc" in step.get("run", ""))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases, one from another folder; two commits that were not released, the newest one's model is here."""
    made = Toy(tmp_path_factory.mktemp("releases"))
    git(made.root, "init", "--quiet", "--initial-branch=main")
    made.dvc("init", "--quiet")
    made.make("first", "toy@v1.0.0")
    made.make("never")
    made.make("moved", "toy@v1.1.0", "toy#staging#1", folder="elsewhere")
    made.make("newest")
    return made.root


@pytest.fixture
def toy(releases: Path, tmp_path: Path) -> Toy:
    """A copy of it for each test."""
    return Toy(Path(shutil.copytree(releases, tmp_path / "toy")))


def test_a_released_model_stays_and_one_that_was_not_released_goes(toy: Toy) -> None:
    assert toy.kept() == {"first", "never", "moved", "newest"}
    done = toy.collect()
    assert done.returncode == 0, done.stderr
    assert toy.kept() == {"first", "moved", "newest"}


def test_a_released_model_can_be_checked_out_after_that(toy: Toy) -> None:
    toy.collect()
    git(toy.root, "checkout", "--quiet", "toy@v1.0.0")
    assert toy.dvc("checkout", "--quiet").returncode == 0
    assert (toy.root / "model/model.onnx").read_text() == "first\n"
    assert kept.look(toy.root, resolve(toy.root, "toy@v1.0.0")).here == ("model/model.onnx",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dvc.lock", "stages: ["), ("dvc.yaml", "stages:\n  train:\n    cmd: x\n    of_tomorrow: 3\n"),
    ],
)  # fmt: skip
def test_of_a_tag_that_dvc_cannot_read_nothing_is_known_so_nothing_goes(toy: Toy, name: str, text: str) -> None:
    before = toy.kept()
    lay(toy.root, {name: text})
    toy.commit("odd")
    git(toy.root, "tag", "odd")
    git(toy.root, "checkout", "--quiet", "HEAD~1")
    assert toy.collect().returncode != 0
    assert toy.kept() == before
    assert keep()["continue-on-error"] is True, "what is there is kept all the same"


def test_a_remote_that_came_after_a_release_is_collected_by_the_same_words(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    remote = tmp_path_factory.mktemp("remote")
    shutil.copytree(toy.root / ".dvc/cache/files", remote / "files")
    toy.dvc("remote", "add", "--quiet", "--default", "main", str(remote))
    toy.commit("a remote")
    done = toy.collect("--cloud", "--remote", "main")
    assert done.returncode == 0, done.stderr
    assert toy.kept(str(remote / "files/md5")) == {"first", "moved", "newest"}


def test_a_shallow_clone_would_forget_releases_so_the_job_has_all_of_history(toy: Toy, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(toy.root, "clone", "--quiet", "--depth", "1", f"file://{toy.root}", str(shallow))
    (shallow / ".dvc").mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", str(toy.root / ".dvc/cache"), str(shallow / ".dvc/")], check=True)
    clone = Toy(shallow)
    clone.collect()
    assert clone.kept() == {"newest"}
    checkout = next(step for step in steps() if "actions/checkout" in step.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0
