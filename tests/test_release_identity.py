"""What makes an image another image, and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, lay
from lockstep.errors import InputError
from lockstep.release import bento, identity
from lockstep.revision import git
from lockstep.spec import read_spec

MD5S = {"model.onnx": "0" * 32, "contract.json": "1" * 32, "golden.json": "2" * 32}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a service of two files."""
    lay(
        tmp_path,
        {
            "bentofile.yaml": "service: app.service:service\ninclude: [src/app/*.py, model/model.onnx]\n",
            "requirements/serve.txt": "bentoml==1.4.39 --hash=sha256:00\n",
            "versions.toml": 'python = "3.11"\n',
            "src/app/__init__.py": "",
            "src/app/service.py": "service = 1\n",
            "src/other/thing.py": "x = 1\n",
            "README.md": "words\n",
        },
    )
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def edit(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def say(root: Path, section: str, **values: object) -> None:
    """Set keys of params.yaml, which is spelled anew."""
    content = yaml.safe_load((root / "params.yaml").read_text())
    content[section] = content.get(section, {}) | values
    (root / "params.yaml").write_text("# another spelling\n" + yaml.safe_dump(content, allow_unicode=True))


def of(root: Path, **md5s: str) -> str:
    return identity.of(root, read_spec(root / "params.yaml"), MD5S | md5s)


MOVES: dict[str, Callable[[Path], object]] = {
    "a service module": lambda root: edit(root, "src/app/service.py", "1", "2"),
    "a new service module": lambda root: (root / "src/app/more.py").write_text("y = 1\n"),
    "bentofile.yaml": lambda root: edit(root, "bentofile.yaml", "service: app", "labels: {a: b}\nservice: app"),
    "the packages": lambda root: edit(root, "requirements/serve.txt", "00", "01"),
    "the Python": lambda root: edit(root, "versions.toml", "3.11", "3.12"),
    "the name": lambda root: edit(root, "params.yaml", "name: flight-delays", "name: late-flights"),
    "the build image": lambda root: say(root, "release", build_image="other"),
    "the run image": lambda root: say(root, "release", run_image="other"),
    "the log share": lambda root: say(root, "serve", log=0.125),
}


@pytest.mark.parametrize("what", MOVES)
def test_every_service_input_moves_the_identity(root: Path, what: str) -> None:
    before = of(root)
    MOVES[what](root)
    assert of(root) != before


@pytest.mark.parametrize("name", MD5S)
def test_every_file_of_the_model_moves_the_identity(root: Path, name: str) -> None:
    assert of(root, **{name: "f" * 32}) != of(root)


@pytest.mark.parametrize("path", identity.RECIPE)
def test_how_it_is_built_moves_the_identity(root: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of(root)
    other = root.parent / Path(path).name
    other.write_text(Path(path).read_text() + "\n")
    monkeypatch.setattr(identity, "RECIPE", tuple(str(other) if each == path else each for each in identity.RECIPE))
    assert of(root) != before


def test_the_identity_hangs_on_nothing_else(root: Path) -> None:
    before = of(root)
    edit(root, "src/other/thing.py", "1", "2")
    edit(root, "README.md", "words", "other words")
    edit(root, "params.yaml", "at_least: 0.65", "at_least: 0.66")
    lay(root, {"model/model.onnx": "bytes", "src/app/__pycache__/service.cpython-311.pyc": "x", "dvc.lock": "{}"})
    (root / "src/app/.service.py.swp").write_text("x")
    moved = root.parent / f"{root.name}-elsewhere"
    shutil.copytree(root, moved)
    assert of(root) == before == of(moved)
    say(root, "release", trust_pull_requests=True)
    assert identity.of(root, read_spec(root / "params.yaml"), dict(reversed(MD5S.items()))) == before


def test_a_file_that_is_named_and_missing_is_an_error(root: Path) -> None:
    edit(root, "bentofile.yaml", "src/app/*.py", "src/app/*.py, src/app/gone.py")
    with pytest.raises(InputError, match=r"bentofile.yaml includes `src/app/gone.py`, and there is no such file"):
        of(root)


def test_a_lock_without_a_whole_model_has_no_identity(root: Path) -> None:
    with pytest.raises(InputError, match=r"no hash of golden.json"):
        identity.of(root, read_spec(root / "params.yaml"), {k: v for k, v in MD5S.items() if k != "golden.json"})


def test_the_identity_of_this_repository_is_found_without_its_model(tmp_path: Path) -> None:
    assert len(json.dumps(identity.of(ROOT, read_spec(ROOT / "params.yaml"), MD5S))) == 66


def test_a_link_is_not_followed_into_the_image(root: Path) -> None:
    (root / "src/app/notes.py").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"includes src/app/notes\.py, which is a link"):
        of(root)


@pytest.mark.parametrize("how", ["untracked", "--assume-unchanged", "--skip-worktree"])
def test_the_image_holds_nothing_that_its_commit_does_not(root: Path, how: str) -> None:
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    bento.insist_committed(root)
    if how == "untracked":
        (root / "src/app/more.py").write_text("y = 1\n")
    else:
        git(root, "update-index", how, "src/app/service.py")
        edit(root, "src/app/service.py", "1", "2")
    with pytest.raises(InputError, match=r"the image would hold src/app/\w+\.py, which no commit has"):
        bento.insist_committed(root)
