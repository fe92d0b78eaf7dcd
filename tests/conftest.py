"""What all tests share: a world of their own, and a toy project with two stages on a real DVC."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Before numpy is imported: two test processes with two threads each would wait for one another on two cores.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

# A shell's background job ignores Ctrl-C, and one under nohup a closed terminal too; so would all that tests start in
# order to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).parent.parent


def require(available: object, what: str) -> None:
    """Skip the test without `what`; under LOCKSTEP_REQUIRE=all, as in CI, fail instead."""
    if available:
        return
    if os.environ.get("LOCKSTEP_REQUIRE") == "all":
        pytest.fail(f"LOCKSTEP_REQUIRE=all, but this needs {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session", autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No configuration of the machine or its user reaches git and DVC, and nothing of theirs is left behind."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(("DVC_", "GIT_", "LOCKSTEP_PROJECT")) and name not in ("GIT_SSL_CAINFO",):
                patch.delenv(name)
        # `make test` runs us: a make that a test starts must not take itself for a part of that one.
        for name in ("PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKE_TERMOUT", "MAKE_TERMERR"):
            patch.delenv(name, raising=False)
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("PYTHONPATH", str(ROOT / "src"))
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Test")
            patch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
        yield


TOY = {
    "src/toy/__init__.py": "# a toy\n",
    "src/toy/stages/__init__.py": "",
    "src/toy/helper.py": 'WORD = "hello"\n',
    "src/toy/stages/one.py": """\
import os
import pathlib
import time

from lockstep.running.process import main
from lockstep.running.stage import Output, Stage

STAGE = Stage(
    name="one", description="write a word", spec=("project.name",), writes={"word": Output(path="data/word.txt")}
)


def run(spec, files):
    from toy.helper import WORD

    started = os.environ.get("TOY_STARTED")
    if started:
        pathlib.Path(started).write_text(str(os.getpid()))
    with files.write("word").open("w") as file:
        for _ in range(int(os.environ.get("TOY_LINES", "1"))):
            file.write(f"{spec.project.name} says {WORD}\\n")
        file.flush()
        time.sleep(float(os.environ.get("TOY_SLEEP", "0")))


if __name__ == "__main__":
    raise SystemExit(main(STAGE, run))
""",
    "src/toy/stages/two.py": """\
from lockstep.running.process import main
from lockstep.running.stage import Output, Stage

STAGE = Stage(
    name="two",
    description="count what was written",
    spec=("train.seed", "train.calibrate"),
    reads={"word": "data/word.txt"},
    writes={
        "model": Output(path="model/model.txt"),
        "metrics": Output(path="reports/metrics.json", kind="metric"),
        "card": Output(path="model/card.md", kind="document"),
    },
)


def run(spec, files):
    def _later():
        import sklearn  # counts, though it never runs

    text = files.read("word").read_text()
    files.write("model").write_text(text.upper())
    files.write("metrics").write_text('{"length": %d}' % len(text))
    files.write("card").write_text(f"seed {spec.train.seed}")


if __name__ == "__main__":
    raise SystemExit(main(STAGE, run))
""",
    "params.yaml": """\
project:
  name: toy
  question: Is it a toy?
ingest:
  source: toy.source:load
  from: "2013-01-01"
  until: "2013-03-01"
contract:
  key: [id]
  time: when
  target: {column: late, task: binary, positive: true}
  columns:
    id: {type: integer, feature: false}
    when: {type: datetime, parts: [hour]}
    weight: {type: number}
split: {by: time, holdout: 1 month}
train:
  estimator: sklearn.linear_model.LogisticRegression
  seed: 1
evaluate:
  metrics: [roc_auc]
  primary: roc_auc
""",
    "src/toy/source.py": "def load(start, end):\n    raise NotImplementedError\n",
    ".gitignore": "__pycache__/\n/data/\n/model/model.txt\n",
    ".dvcignore": "__pycache__/\n",
    ".dvc/config": "[core]\n    analytics = false\n",
    ".dvc/.gitignore": "/tmp\n/cache\n",
}


@dataclass
class Project:
    """A repository in a folder of its own, and how to run things in it."""

    root: Path
    modules: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run to the end; output as text."""
        return subprocess.run(
            command, cwd=self.root, env=self._env(more), text=True, capture_output=True, stdin=subprocess.DEVNULL
        )

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        """Run in the background, in a process group of its own."""
        return subprocess.Popen(
            command, cwd=self.root, env=self._env(more), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def repro(self, **more: str) -> subprocess.CompletedProcess[str]:
        """`dvc repro`, which must end well."""
        result = self.run("dvc", "repro", **more)
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    def _env(self, more: dict[str, str]) -> dict[str, str]:
        path = os.pathsep.join([str(self.root / "src"), str(ROOT / "src")])
        return os.environ | {"PYTHONPATH": path} | self.environment | more

    def read(self, name: str) -> str:
        """A file's text."""
        return (self.root / name).read_text(encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        text = self.read(name)
        assert old in text, f"{old} is not in {name}"
        (self.root / name).write_text(text.replace(old, new), encoding="utf-8")


def lay(root: Path, files: dict[str, str]) -> None:
    """Write files, by their path below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def make_toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Project]]:
    """Lays the toy project into a folder: git, DVC, dvc.yaml and versions.toml are there, nothing ran yet."""

    def make(root: Path) -> Project:
        from lockstep import dvcyaml, schema
        from lockstep.running import versions

        lay(root, TOY)
        (root / "requirements").mkdir()
        shutil.copy(ROOT / "requirements" / "pipeline.txt", root / "requirements")
        project = Project(root, {"one": "toy.stages.one", "two": "toy.stages.two"})
        assert project.run("git", "init", "--quiet").returncode == 0
        monkeypatch.syspath_prepend(str(root / "src"))
        schema.write(root)
        versions.fix(root)
        dvcyaml.fix(root, project.modules)
        return project

    yield make
    _forget("toy")


def _forget(top: str) -> None:
    from lockstep.sources import imports

    imports.forget()
    for name in [name for name in sys.modules if name == top or name.startswith(top + ".")]:
        del sys.modules[name]


@pytest.fixture
def toy(make_toy: Callable[[Path], Project], tmp_path: Path) -> Project:
    """The toy project in a folder of its own."""
    return make_toy(tmp_path)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Poll until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
