"""Is the lock fresh? Each answer is compared with DVC's own, which is ten times slower and needs DVC."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, Project
from lockstep.errors import InputError
from lockstep.lock import fresh, hashing, objects, yaml12
from lockstep.sources import imports

MORE = """
  three:
    cmd: mkdir -p out/deep && cp -r raw/given out/deep && cp top/conf/more.toml out/
    deps:
      - top/conf
      - raw/given
      - data/word.txt
    params:
      - split
      - top/conf/more.toml: [a.b, c]
      - top/conf/whole.json:
    outs:
      - out
  four:
    cmd: cat out/more.toml raw/given/one.csv top/conf/code/a.py > end.txt
    deps:
      - top/conf/code/a.py
      - raw/given/one.csv
      - out/deep
      - out/more.toml
    outs:
      - end.txt:
          cache: false
"""
FILES = {
    "top/conf/more.toml": 'c = "yes"\n[a]\nb = 1\nd = 2\n',
    "top/conf/whole.json": '{"x": [1, 2]}',
    "top/conf/code/a.py": "A = 1\n",
    "top/conf/code/skip/me.txt": "never seen\n",
    "top/.dvcignore": "skip/\n",
    "raw/given/one.csv": "1\n",
    "raw/given/two.csv": "2\n",
}


@pytest.fixture
def big(toy: Project) -> Project:
    """The toy project with folders, files within them, data of `dvc add` and three kinds of params; all has run."""
    for name, text in FILES.items():
        (toy.root / name).parent.mkdir(parents=True, exist_ok=True)
        (toy.root / name).write_text(text)
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + MORE)
    assert toy.run("dvc", "add", "--quiet", "raw/given").returncode == 0
    toy.repro()
    return toy


def dvc_says_stale(root: Path) -> bool:
    """What DVC's own dry run says, without data: would it run anything?"""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return bool(repo.reproduce(dry=True, allow_missing=True, all_pipelines=True))
    except DvcException:
        return True


def swap(name: str, old: str, new: str) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text, f"{old} is not in {name}"
        (root / name).write_text(text.replace(old, new, 1))

    return mutate


def both(*mutations: Callable[[Path], object]) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        for each in mutations:
            each(root)

    return mutate


def without_data(root: Path) -> None:
    """As in a fresh clone: nothing that DVC keeps is here."""
    for name in ("data/word.txt", "model/model.txt"):
        (root / name).unlink()
    shutil.rmtree(root / "out")
    shutil.rmtree(root / "raw/given")


def without_cache(root: Path) -> None:
    shutil.rmtree(root / ".dvc/cache")


def rehash(stage: str, section: str, path: str) -> Callable[[Path], None]:
    """As a text merge may leave it: the lock names another hash."""

    def mutate(root: Path) -> None:
        content = yaml12.load((root / "dvc.lock").read_bytes())
        (item,) = (item for item in content["stages"][stage][section] if item["path"] == path)
        item["md5"] = "0" * 32 + ".dir" * item["md5"].endswith(".dir")
        (root / "dvc.lock").write_text(yaml.safe_dump(content, sort_keys=False))

    return mutate


SAME: dict[str, Callable[[Path], object]] = {
    "nothing": lambda root: None,
    "no data": without_data,
    "no data, no cache": both(without_data, without_cache),
    "code": swap("src/toy/helper.py", "hello", "hi"),
    "code, no data": both(without_data, swap("src/toy/helper.py", "hello", "hi")),
    "a file in a folder": swap("top/conf/code/a.py", "1", "2"),
    "a new file in a folder": lambda root: (root / "top/conf/code/b.py").write_text(""),
    "a file less in a folder": lambda root: (root / "top/conf/whole.json").unlink(),
    "an ignored file": lambda root: (root / "top/conf/code/skip/you.txt").write_text("x"),
    "an ignored file elsewhere": lambda root: (root / "top/conf/code/__pycache__").mkdir(),
    "another .dvcignore": lambda root: (root / "top/.dvcignore").write_text("*.py\n"),
    "no .dvcignore": lambda root: (root / "top/.dvcignore").unlink(),
    "a line more in the root's .dvcignore": lambda root: (root / ".dvcignore").write_text("__pycache__/\na.py\n"),
    "an empty folder": lambda root: (root / "top/conf/empty").mkdir(),
    "a param": swap("params.yaml", "seed: 1", "seed: 2"),
    "a param elsewhere": swap("params.yaml", "Is it a toy?", "Is it not?"),
    "a whole section": swap("params.yaml", "1 month", "2 months"),
    "a comment": swap("params.yaml", "project:", "# a comment\nproject:"),
    "a param is gone": swap("params.yaml", "  seed: 1\n", ""),
    "toml": swap("top/conf/more.toml", "b = 1", "b = 3"),
    "toml elsewhere": swap("top/conf/more.toml", "d = 2", "d = 3"),
    "toml is gone": lambda root: (root / "top/conf/more.toml").unlink(),
    "toml says no": swap("top/conf/more.toml", '"yes"', '"no"'),
    "json": swap("top/conf/whole.json", "2", "3"),
    "json has a key more": swap("top/conf/whole.json", "{", '{"y": 1, '),
    "a version": swap("versions.toml", 'python = "', 'python = "9'),
    "the command": swap("dvc.yaml", "mkdir -p out/deep", "mkdir -p ./out/deep"),
    "a dep more": swap(
        "dvc.yaml", "      - top/conf/code/a.py\n", "      - top/conf/code/a.py\n      - top/conf/whole.json\n"
    ),
    "a param more": swap("dvc.yaml", "      - split\n", "      - split\n      - project\n"),
    "a description": swap("dvc.yaml", "    desc: write a word\n", "    desc: write one word\n"),
    "a stage more": swap("dvc.yaml", "stages:\n", "stages:\n  five:\n    cmd: touch x\n    deps: [top/conf]\n"),
    "no lock": lambda root: (root / "dvc.lock").unlink(),
    "an edge that does not fit": both(rehash("three", "deps", "data/word.txt"), without_data),
    "an out that nobody read": both(rehash("one", "outs", "data/word.txt"), without_data),
    "a metric was edited": swap("reports/metrics.json", "{", "{ "),
    "frozen": both(
        swap("dvc.yaml", "    desc: write a word\n", "    frozen: true\n"), swap("src/toy/helper.py", "h", "")
    ),
    "always": swap("dvc.yaml", "    desc: write a word\n", "    always_changed: true\n"),
}
"""What is to be done to a fresh tree, when our answer and DVC's must be the same."""

STRICTER: dict[str, Callable[[Path], object]] = {
    "code is gone": lambda root: (root / "src/toy/helper.py").unlink(),
    "an out more": swap("dvc.yaml", "    outs:\n      - out\n", "    outs:\n      - out\n      - more\n"),
    "given data, another hash": swap("raw/given.dvc", "md5: ", "md5: 0"),
    "a param of another type": swap("params.yaml", "seed: 1", "seed: true"),
    "a param that is a float now": swap("params.yaml", "seed: 1", "seed: 1.0"),
    "a dep less": swap("dvc.yaml", "      - raw/given\n", ""),
    "a param less": swap("dvc.yaml", "      - split\n", ""),
    "a params file less": swap("dvc.yaml", "      - top/conf/whole.json:\n", ""),
    "an out less": swap("dvc.yaml", "      - model/model.txt\n", ""),
    "a stage less": lambda root: (root / "dvc.yaml").write_text(
        (root / "dvc.yaml").read_text().partition("  four:")[0]
    ),
    "a metric is gone": lambda root: (root / "reports/metrics.json").unlink(),
    "a file of given data, another hash": both(rehash("four", "deps", "raw/given/one.csv"), without_data),
    "a file in a stage's folder, another hash": both(rehash("four", "deps", "out/more.toml"), without_data),
    "a folder in a stage's folder, another hash": both(rehash("four", "deps", "out/deep"), without_data),
}
"""Where DVC sees nothing and we do."""


def test_it_says_what_dvc_s_own_dry_run_says(big: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    wrong = []
    for expected, mutations in ((None, SAME), (False, STRICTER)):
        for name, mutate in mutations.items():
            root = tmp_path_factory.mktemp("copy") / "toy"
            shutil.copytree(big.root, root, symlinks=True)
            mutate(root)
            dvc = dvc_says_stale(root)
            ours = fresh.stale(root)
            if bool(ours) is not (dvc if expected is None else True) or (expected is False and dvc):
                wrong.append((name, dvc, ours))
    assert not wrong


def test_of_a_stage_s_folder_without_its_listing_it_says_that_it_could_not_see(big: Project) -> None:
    without_data(big.root)
    without_cache(big.root)
    look = fresh.look(big.root)
    assert look.stale == ()
    assert set(look.unseen) == {
        "four: raw/given/one.csv lies in raw/given, whose listing is not here",
        "four: out/deep lies in out, whose listing is not here",
        "four: out/more.toml lies in out, whose listing is not here",
    }


def test_what_editors_and_systems_leave_changes_nothing(toy: Project) -> None:
    """Neither for DVC, nor for us, nor for the lists of dvc.yaml."""
    from pathspec import GitIgnoreSpec

    from lockstep import dvcyaml
    from lockstep.running import lock, repository

    shutil.copy(ROOT / ".dvcignore", toy.root)
    package = toy.root / "src/toy/parts"
    package.mkdir()
    for name in ("__init__.py", "a.py", "b.py"):
        (package / name).write_text("from toy.parts import a, b\n" if name == "__init__.py" else "X = 1\n")
    toy.edit("src/toy/helper.py", "WORD", "import toy.parts\n\nWORD")
    imports.forget()
    dvcyaml.fix(toy.root, toy.modules)
    assert "      - src/toy/parts\n" in toy.read("dvc.yaml")
    toy.repro()
    recorded = lock.digest(package)
    left = (".a.py.swp", ".DS_Store", "._a.py", "a.py~", "#a.py#", ".#a.py", ".ipynb_checkpoints/a.py")
    for name in left:
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("X = 2\n")
    imports.forget()
    assert dvcyaml.differences(toy.root, toy.modules) == []
    assert fresh.stale(toy.root) == []
    assert not dvc_says_stale(toy.root)
    assert lock.digest(package) == recorded
    ignored = GitIgnoreSpec.from_lines((ROOT / ".dvcignore").read_text().splitlines())
    assert [name for name in left if not ignored.match_file(f"src/{name}")] == []
    assert [name for name in left if not repository.is_litter(name.split("/")[0])] == []


def test_the_sentences_name_stage_and_cause(big: Project) -> None:
    big.edit("src/toy/helper.py", "hello", "goodbye")
    big.edit("params.yaml", "seed: 1", "seed: 2")
    assert fresh.stale(big.root) == [
        "one: src/toy/helper.py, which it reads, changed",
        "two: train.seed in params.yaml changed",
    ]
    assert fresh.look(big.root).stages == ["one", "two"]


def test_templates_in_dvc_yaml_are_read_as_dvc_reads_them(toy: Project) -> None:
    template = "  each:\n    foreach: [a, b]\n    do:\n      cmd: echo ${item} > ${item}.txt\n"
    template += "      deps: [.dvcignore]\n      outs: ['${item}.txt']\n"
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + "\n" + template)
    toy.repro()
    assert fresh.stale(toy.root) == []
    toy.edit("dvc.yaml", "[a, b]", "[a, c]")
    assert fresh.look(toy.root).stages == ["each@c", "each@b"]


def test_a_stage_that_runs_in_a_folder_of_its_own(toy: Project) -> None:
    more = "  sub:\n    wdir: sub\n    cmd: cat in ../data/word.txt > out\n    deps: [in, ../data/word.txt]\n"
    more += "    params: [../params.yaml: [train.seed]]\n    outs: [out]\n"
    (toy.root / "sub").mkdir()
    (toy.root / "sub/in").write_text("in\n")
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + "\n" + more)
    toy.repro()
    assert fresh.stale(toy.root) == []
    assert {each.path for each in objects.needed(toy.root, fresh.read_lock(toy.root))} >= {"sub/out", "data/word.txt"}
    toy.edit("sub/in", "in", "on")
    toy.edit("params.yaml", "seed: 1", "seed: 2")
    assert [each.stage for each in fresh.look(toy.root).stale] == ["two", "sub", "sub"]


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(toy: Project) -> None:
    toy.repro()
    lock = toy.read("dvc.lock")
    (toy.root / "dvc.lock").write_text("<<<<<<< HEAD\n" + lock)
    with pytest.raises(InputError, match="dvc.lock holds the marks of a merge .*: `make repro`"):
        fresh.stale(toy.root)
    (toy.root / "dvc.lock").write_text("stages: 1")
    with pytest.raises(InputError, match="dvc.lock cannot be read"):
        fresh.stale(toy.root)
    (toy.root / "dvc.lock").write_text(lock)
    (toy.root / "dvc.yaml").write_text("stages: [1]")
    with pytest.raises(InputError, match="dvc.yaml cannot be read"):
        fresh.stale(toy.root)


def test_our_hash_of_any_folder_is_dvc_s(big: Project) -> None:
    lock = fresh.read_lock(big.root)
    hashes = hashing.Hashes(big.root)
    assert hashes.of("top/conf") == lock["three"].deps["top/conf"]
    assert hashes.of("out") == lock["three"].outs["out"]
    files = {path.relative_to(big.root / "top/conf").as_posix(): "" for path in (big.root / "top/conf").rglob("*")}
    assert "code/skip/me.txt" in files
    assert "code/skip/me.txt" not in hashes.kept("top/conf", files)
    assert {"code/a.py", "more.toml"} <= set(hashes.kept("top/conf", files))


@pytest.mark.parametrize(
    "text", ["yes", "1:30", "1e-05", "2013-01-01", "010", "0o10", "1_000", "~", ".inf", "=x", "+1"]
)
def test_yaml_is_read_as_dvc_reads_it(text: str) -> None:
    from dvc.utils.serialize import parse_yaml
    from dvc.utils.serialize._yaml import dumps_yaml

    ours, theirs = yaml12.load(f"a: {text}")["a"], parse_yaml(f"a: {text}", "x")["a"]
    assert ours == (str(theirs) if text == "2013-01-01" else theirs)
    assert type(ours) is type(theirs) or text == "2013-01-01"
    for value in (text, 1e-05, 12, True, None):
        written = dumps_yaml({"a": value})
        assert json.dumps(yaml12.load(written)) == json.dumps({"a": value})


def test_it_needs_no_dvc_and_a_tenth_of_a_second(big: Project) -> None:
    code = "import sys, pathlib; from lockstep.lock import fresh; "
    code += "print(fresh.stale(pathlib.Path('.')), 'dvc' in sys.modules)"
    result = subprocess.run(["python", "-c", code], cwd=big.root, text=True, capture_output=True)
    assert result.stdout == "[] False\n", result.stderr
