"""`lockstep doctor`: what each check says of a clone, of its remotes and of GitHub, and that the remedies mend it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conftest import Project, lay
from lockstep.cli import cli
from lockstep.doctor import here, hub, shipping
from lockstep.doctor.check import Found, State, examine
from lockstep.doctor.clone import Clone
from lockstep.errors import InputError, OutsideError
from lockstep.remotes import child, configure, transfer
from lockstep.remotes.child import Denied
from lockstep.running import versions

ALL = {**here.CHECKS, **hub.CHECKS, **shipping.CHECKS}
OK, WARN, FAIL, UNKNOWN = State.OK, State.WARN, State.FAIL, State.UNKNOWN


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit and nothing else that it should have."""
    folder = tmp_path / "clone"
    lay(folder, {".dvc/config": "[core]\n    analytics = false\n", ".dvc/.gitignore": "/config.local\n", "a": ""})
    lay(folder, {"versions.toml": f'python = "{versions.python()}"\nplatform = "linux/amd64"\n'})
    git(folder.parent, "init", "--quiet", "--initial-branch=main", str(folder))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "first")
    monkeypatch.chdir(folder)
    for name in (*("GITHUB_TOKEN", "GH_TOKEN"), "GITHUB_REPOSITORY", "GITHUB_API_URL", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder


def look(root: Path, name: str, environ: Mapping[str, str] = {}) -> Found:
    """What one check finds now."""
    (line,) = examine(Clone(root=root, environ=environ), {name: ALL[name]})
    return line.found


def mend(root: Path, found: Found) -> None:
    subprocess.run(found.remedy, shell=True, cwd=root, check=True, capture_output=True)


def test_a_clone_without_origin_is_told_how_to_get_one(root: Path) -> None:
    assert look(root, "git-remote").state is FAIL
    mend(root, look(root, "git-remote"))
    assert look(root, "git-remote") == Found(state=OK, said="origin is git@github.com:OWNER/NAME.git")


def test_an_origin_elsewhere_is_no_failure_and_its_password_not_shown(root: Path) -> None:
    git(root, "remote", "add", "origin", "https://me:hunter2@git.example.org/a/b.git")
    found = look(root, "git-remote")
    assert (found.state, "hunter2" in found.said) == (WARN, False)


def test_a_folder_without_git_fails_and_nothing_breaks(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    lines = {line.id: line.found for line in examine(Clone(root=tmp_path), ALL)}
    assert lines["git-remote"] == Found(
        state=FAIL, said="this is no git repository", remedy="git init && git add --all && git commit"
    )
    assert lines["platform"].state is FAIL
    assert "versions.toml is missing" in lines["platform"].said


def test_a_shallow_clone_is_found_and_mended(root: Path, tmp_path: Path) -> None:
    (root / "a").write_text("b")
    git(root, "commit", "--quiet", "--all", "-m", "second")
    git(tmp_path, "clone", "--quiet", "--depth=1", root.as_uri(), "shallow")
    found = look(tmp_path / "shallow", "history")
    assert found.state is FAIL
    mend(tmp_path / "shallow", found)
    assert look(tmp_path / "shallow", "history") == Found(state=OK, said="complete; the default branch is main")


def test_the_merge_driver_is_missed_and_its_remedies_install_it(root: Path) -> None:
    found = look(root, "merge-driver")
    assert (found.state, ".gitattributes" in found.said) == (FAIL, True)
    mend(root, found)
    found = look(root, "merge-driver")
    assert found.state is FAIL
    mend(root, found)
    assert look(root, "merge-driver").state is OK
    git(root, "config", "merge.lockstep.driver", "true %O")
    assert look(root, "merge-driver").state is WARN
    git(root, "config", "merge.lockstep.driver", "/old/venv/bin/lockstep merge-driver %O %A %B %P")
    found = look(root, "merge-driver")
    assert (found.state, "a program that is not there" in found.said) == (FAIL, True)
    git(root, "config", "merge.lockstep.driver", "'lockstep merge-driver")
    assert look(root, "merge-driver").state is FAIL
    mend(root, found)
    assert look(root, "merge-driver").state is OK


def test_another_platform_or_python_is_a_warning(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert look(root, "platform").state is OK
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    found = look(root, "platform")
    assert (found.state, found.said) == (
        WARN, "the lock is made on linux/amd64, this is linux/arm64: bytes may differ here, and CI's lock counts",
    )  # fmt: skip
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (root / "versions.toml").write_text('python = "2.7"\n')
    assert "the lock is made with Python 2.7" in look(root, "platform").said


def test_remotes_are_missed_unverified_or_fine(root: Path, tmp_path: Path) -> None:
    assert look(root, "remotes").state is WARN
    store = tmp_path / "store"
    subprocess.run(["dvc", "remote", "add", "other", str(store)], cwd=root, check=True, capture_output=True)
    found = look(root, "remotes")
    assert (found.state, found.remedy) == (FAIL, "dvc remote default other")
    mend(root, found)
    found = look(root, "remotes")
    assert (found.state, found.remedy) == (FAIL, "dvc remote modify other verify true")
    mend(root, found)
    found = look(root, "remotes")
    assert (found.state, found.remedy) == (WARN, f"lockstep remote {store}")
    mend(root, found)
    assert look(root, "remotes").said == "other, main, pr; main is the default"


def test_configured_by_us_all_is_fine(root: Path, tmp_path: Path) -> None:
    configure.configure(root, str(tmp_path / "store"), {})
    (tmp_path / "store").mkdir()
    assert look(root, "remotes").said == "main, pr; main is the default"
    assert look(root, "main").said == f"{tmp_path / 'store'} answers and can be written to"
    assert look(root, "pr").state is OK
    assert [*(tmp_path / "store").iterdir()] == [], "looking leaves nothing behind"


def test_a_store_that_is_not_there_fails_and_is_not_made(root: Path, tmp_path: Path) -> None:
    configure.configure(root, str(tmp_path / "nas"), {})
    for name in ("main", "pr"):
        assert look(root, name) == Found(
            state=FAIL,
            said=f"the folder {tmp_path / 'nas'} is not there",
            remedy=f"mount it; if it is new: `mkdir -p {tmp_path / 'nas'}`",
        )
    assert not (tmp_path / "nas").exists()


@pytest.mark.parametrize(
    ("kind", "why", "said", "remedy"),
    [
        ("absent", "there is no bucket team", "there is no bucket team", "create it (`aws s3 mb s3://team`)"),
        ("denied", "Forbidden", "refused: Forbidden", "renew this machine's credentials, or grant"),
        ("failed", "503", "s3://team/x does not answer as it should: 503", "try again when it is up"),
        (
            "configured",
            "gs is supported, but requires 'dvc-gs' to be installed",
            "cannot be opened",
            "add a line `dvc-gs`",
        ),
    ],
)
def test_each_way_in_which_a_remote_fails_has_its_remedy(
    root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, why: str, said: str, remedy: str
) -> None:
    configure.configure(root, "s3://team/x", {})
    monkeypatch.setattr(child, "_try", lambda *_: child.Stopped(kind=kind, why=why))
    for name in ("main", "pr"):
        found = look(root, name)
        assert found.state is FAIL
        assert found.said.replace("/pr", "").startswith(said)
        assert len(found.said) < 90, "one line, and the remedy after it"
        assert found.remedy.startswith(remedy)


def test_a_remote_that_cannot_be_reached_fails_and_one_that_cannot_be_written_to_warns(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure.configure(root, "http://127.0.0.1:9/x", {})
    found = look(root, "main")
    assert (found.state, "does not answer as it should" in found.said) == (FAIL, True)
    configure.configure(root, str(tmp_path / "store"), {})
    (tmp_path / "store").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "probe", _refuse)
        found = look(root, "main")
        assert (found.state, found.said) == (WARN, "it can be read from here, not written to: not yours")
        patch.setattr(transfer, "missing", _refuse)
        assert look(root, "main") == Found(state=FAIL, said="not yours")


def _refuse(*_: object, **__: object) -> None:
    raise Denied("not yours")


def test_a_dead_remote_is_asked_once(toy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.repro()
    configure.configure(toy.root, "/nowhere/store", {})
    asked: list[str] = []

    def probe(root: Path, name: str, **_: object) -> None:
        asked.append(name)
        raise OutsideError("dead")

    monkeypatch.setattr(transfer, "probe", probe)
    clone = Clone(root=toy.root)
    found = {line.id: line.found.state for line in examine(clone, here.CHECKS)}
    assert (found["main"], found["pr"], found["unpushed"]) == (FAIL, FAIL, UNKNOWN)
    assert asked == ["main", "pr"]


def test_secrets_in_git_are_found_and_removed_by_the_remedy(root: Path) -> None:
    assert look(root, "secrets").state is OK
    subprocess.run(
        "dvc remote add x s3://b/c && dvc remote modify x secret_access_key hunter2 && "
        "dvc remote modify x session_token hunter3",
        shell=True,
        cwd=root,
        check=True,
    )
    found = look(root, "secrets")
    assert (found.state, "hunter2" in found.said, "x.secret_access_key" in found.said) == (FAIL, False, True)
    mend(root, found)
    assert configure.secrets(root) == [], "one remedy takes out all of them"
    assert look(root, "secrets").state is OK
    (root / ".dvc/.gitignore").write_text("")
    mend(root, look(root, "secrets"))
    assert look(root, "secrets").state is OK
    lay(root, {".dvc/config.local": ""})
    git(root, "add", "--force", ".dvc/config.local")
    mend(root, look(root, "secrets"))
    assert look(root, "secrets").state is OK


def test_objects_that_nobody_pushed_are_counted_and_the_remedy_pushes_them(
    toy: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert look(toy.root, "unpushed").said == "there is no remote"
    configure.configure(toy.root, os.fspath(tmp_path_factory.mktemp("store")), {})
    assert look(toy.root, "unpushed").state is UNKNOWN
    toy.repro()
    found = look(toy.root, "unpushed")
    assert (found.state, found.said) == (WARN, "2 of 2 objects of dvc.lock are not in `main`")
    assert toy.run("lockstep", "push", "--remote", "pr").returncode == 0
    assert look(toy.root, "unpushed").said == (
        "2 of 2 objects of dvc.lock are in `pr` until they are merged, the others in `main`"
    )
    result = toy.run(*shlex.split(found.remedy))
    assert result.returncode == 0, result.stderr
    assert look(toy.root, "unpushed").said == "`main` holds all 2 objects of dvc.lock"
    store = Clone(root=toy.root).remotes.main.path
    stored = next(path for path in (store / "files/md5").rglob("*") if path.is_file())
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1])
    found = look(toy.root, "unpushed")
    assert (found.state, "`main` holds 1 of 2 objects of dvc.lock cut off" in found.said) == (FAIL, True)
    assert found.remedy == f"rm -f {stored} && lockstep push --remote main"
    result = toy.run("sh", "-c", found.remedy)
    assert look(toy.root, "unpushed").state is OK


def test_workflows_must_be_on_the_default_branch(root: Path) -> None:
    found = look(root, "workflows")
    assert (found.state, "comment.yml" in found.said) == (FAIL, True)
    git(root, "checkout", "--quiet", "-b", "topic")
    lay(root, dict.fromkeys(hub.WORKFLOWS, "on: push\n"))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "workflows")
    assert look(root, "workflows").state is FAIL
    git(root, "checkout", "--quiet", "main")
    git(root, "merge", "--quiet", "topic")
    assert look(root, "workflows") == Found(state=OK, said="all on main")


@dataclass
class Hub:
    """GitHub's API, as far as the doctor asks: answers by path; any other is 404, a number is a status."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {"GITHUB_API_URL": self.url, "GITHUB_TOKEN": "t0ken", "GITHUB_REPOSITORY": "me/flights"}


@pytest.fixture
def github() -> Iterator[Hub]:
    made = Hub(answers={"branches/main": {"protected": False}, "rules/branches/main": []})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/repos/me/flights/").partition("?")[0]
            made.asked.append(name)
            answer = made.answers.get(name, 404)
            said = {"message": "no"} if isinstance(answer, int) else answer
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


ASKED = [name for name in (*hub.CHECKS, *shipping.CHECKS) if name not in ("workflows", "engine", "release")]


def test_without_a_token_github_is_not_asked_and_that_is_no_failure(root: Path, github: Hub) -> None:
    for name in ASKED:
        found = look(root, name, {key: value for key, value in github.environ.items() if key != "GITHUB_TOKEN"})
        assert (found.state, found.said) == (UNKNOWN, "not looked at: set GITHUB_TOKEN")
    assert github.asked == []


def test_a_repository_elsewhere_is_not_asked_about(root: Path) -> None:
    git(root, "remote", "add", "origin", "/srv/git/flights.git")
    assert {look(root, name, {"GITHUB_TOKEN": "t"}).state for name in ASKED} == {UNKNOWN}


def test_a_bare_repository_fails_in_all_that_a_merge_must_not_get_past(root: Path, github: Hub) -> None:
    states = {name: look(root, name, github.environ).state for name in ASKED}
    assert states == {
        "protection": FAIL, "required": FAIL, "queue": FAIL, "pull-requests": UNKNOWN, "roles": OK, "app": UNKNOWN,
        "deploy": WARN, "tags": WARN, "registry": UNKNOWN, "package": UNKNOWN, "signing": UNKNOWN,
    }  # fmt: skip
    for name in ("protection", "required", "queue"):
        assert look(root, name, github.environ).remedy.startswith("lockstep doctor --ruleset | gh api --method POST ")


def test_the_ruleset_that_the_remedy_sends_mends_all_three(root: Path, github: Hub) -> None:
    printed = json.loads(CliRunner().invoke(cli, ["doctor", "--ruleset"]).output)
    github.answers["rules/branches/main"] = printed["rules"]
    for name in ("protection", "required", "queue"):
        assert look(root, name, github.environ).state is OK, name


def test_a_queue_is_enough_for_the_queue(root: Path, github: Hub) -> None:
    github.answers["rules/branches/main"] = [{"type": "merge_queue", "parameters": {}}]
    assert look(root, "queue", github.environ) == Found(state=OK, said="changes are merged by a queue")


def test_classic_protection_counts_where_the_token_may_see_it(root: Path, github: Hub) -> None:
    github.answers["branches/main"] = {
        "protected": True, "protection": {"required_status_checks": {"contexts": ["test"], "checks": []}},
    }  # fmt: skip
    assert [look(root, name, github.environ).state for name in ("protection", "queue")] == [UNKNOWN, UNKNOWN]
    found = look(root, "required", github.environ)
    assert (found.state, "(test is)" in found.said) == (FAIL, True)
    github.answers["branches/main/protection"] = {
        "required_pull_request_reviews": {}, "required_status_checks": {"strict": True},
    }  # fmt: skip
    github.answers["branches/main"]["protection"]["required_status_checks"]["contexts"] = [hub.NAME]
    assert [look(root, name, github.environ).state for name in ("protection", "required", "queue")] == [OK, OK, OK]
    github.answers["branches/main/protection"]["required_status_checks"]["strict"] = False
    assert look(root, "queue", github.environ).state is FAIL


def test_actions_that_may_not_open_pull_requests_are_a_warning_with_the_command(root: Path, github: Hub) -> None:
    settings = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}
    github.answers["actions/permissions/workflow"] = settings
    found = look(root, "pull-requests", github.environ)
    assert (found.state, "gh api --method PUT repos/me/flights/actions" in found.remedy) == (WARN, True)
    settings["can_approve_pull_request_reviews"] = True
    assert look(root, "pull-requests", github.environ).state is OK


def test_roles_are_needed_for_s3_alone(root: Path, github: Hub) -> None:
    github.answers["actions/variables"] = {"variables": [{"name": "LOCKSTEP_AWS_REGION", "value": "x"}]}
    assert look(root, "roles", github.environ).state is OK
    configure.configure(root, "s3://team/x", {})
    found = look(root, "roles", github.environ)
    assert (found.state, found.remedy) == (FAIL, "gh variable set LOCKSTEP_AWS_ROLE_PR --body VALUE")
    github.answers["actions/variables"] = {"variables": [{"name": name} for name in hub.ROLES]}
    assert look(root, "roles", github.environ).state is OK


def test_an_app_is_told_from_none(root: Path, github: Hub) -> None:
    github.answers["actions/variables"] = {"variables": []}
    assert look(root, "app", github.environ).said.startswith("none: ")
    github.answers["actions/variables"] = {"variables": [{"name": hub.APP}]}
    assert look(root, "app", github.environ).said.startswith("an App: ")


def variables(**values: str) -> dict[str, Any]:
    return {"variables": [{"name": f"LOCKSTEP_{name}", "value": value} for name, value in values.items()]}


def test_the_workflows_that_release_must_be_on_the_default_branch(root: Path) -> None:
    found = look(root, "release")
    assert (found.state, "release.yml, .github/workflows/promote.yml not on main" in found.said) == (FAIL, True)
    lay(root, dict.fromkeys(shipping.WORKFLOWS, "on: push\n"))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "workflows")
    assert look(root, "release") == Found(state=OK, said="all on main")
    git(root, "branch", "--move", "master")
    found = look(root, "release")
    assert (found.state, "answer to `main` alone" in found.said) == (FAIL, True)


def test_without_an_engine_images_cannot_be_made_here(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    lay(programs, {"docker": "#!/bin/sh\n"})
    monkeypatch.setenv("PATH", str(programs))
    found = look(root, "engine")
    assert (found.state, "apt-get install" in found.remedy) == (WARN, True)
    assert "`lockstep release --local` does not work here" in found.said
    (programs / "docker").chmod(0o755)
    assert look(root, "engine") == Found(state=OK, said="docker builds, docker runs")
    assert look(root, "engine", {"LOCKSTEP_ENGINE": "podman"}).state is WARN


def test_the_rulesets_that_the_remedies_send_mend_deploy_and_tags(root: Path, github: Hub) -> None:
    github.answers |= {"actions/variables": variables(APP_ID="12"), "rulesets": []}
    for number, (name, which) in enumerate((("deploy", "deploy"), ("tags", "tags"), ("tags", "new-tags"))):
        found = look(root, name, github.environ)
        assert found.state is WARN
        start = "LOCKSTEP_APP_ID=12 " if which == "new-tags" else ""
        assert found.remedy.startswith(f"{start}lockstep doctor --ruleset {which} | gh api --method POST ")
        asked = CliRunner().invoke(cli, ["doctor", "--ruleset", which], env={"LOCKSTEP_APP_ID": "12"})
        printed = json.loads(asked.output)
        shown = {"id": number, "target": printed["target"], "enforcement": printed["enforcement"]}
        github.answers["rulesets"].append(shown)
        github.answers |= {"rules/branches/deploy": DEPLOY_RULES, f"rulesets/{number}": printed}
    assert {look(root, name, github.environ).state for name in ("deploy", "tags")} == {OK}


DEPLOY_RULES = shipping.DEPLOY_RULESET["rules"]


def test_without_an_app_nobody_is_kept_from_making_tags(root: Path) -> None:
    result = CliRunner().invoke(cli, ["doctor", "--ruleset", "new-tags"], env={"LOCKSTEP_APP_ID": ""})
    assert isinstance(result.exception, InputError)
    assert "without one nobody could release any more" in str(result.exception)


def test_a_rule_that_lets_no_release_make_its_tag_fails(root: Path, github: Hub) -> None:
    rules = [{"id": 1, **shipping.TAGS_RULESET}, {"id": 2, **shipping.new_tags_ruleset("12")}]
    github.answers |= {"rulesets": rules, "rulesets/1": rules[0], "rulesets/2": rules[1]}
    for given in ({}, {"APP_ID": "13"}):
        github.answers["actions/variables"] = variables(**given)
        found = look(root, "tags", github.environ)
        assert (found.state, "no release gets its version" in found.said) == (FAIL, True)
    github.answers["actions/variables"] = variables(APP_ID="12")
    assert look(root, "tags", github.environ).said == "versions stay where they are, and only releases make them"


@pytest.mark.parametrize(
    "changed",
    [
        {"enforcement": "evaluate"},
        {"target": "branch"},
        {"rules": [{"type": "deletion"}]},
        {"conditions": {"ref_name": {"include": ["refs/tags/*@v*"], "exclude": []}}},
        {"conditions": {"ref_name": {"include": ["~ALL"], "exclude": ["refs/tags/*@v*"]}}},
    ],
)
def test_tags_that_a_rule_protects_in_part_are_not_protected(
    root: Path, github: Hub, changed: Mapping[str, Any]
) -> None:
    rule = {**shipping.TAGS_RULESET, "id": 7, **changed}
    github.answers |= {"rulesets": [rule], "rulesets/7": rule}
    found = look(root, "tags", github.environ)
    assert (found.state, "can be moved or removed" in found.said) == (WARN, True)


def test_a_rule_that_keeps_the_release_out_of_deploy_fails_unless_an_app_may_pass(root: Path, github: Hub) -> None:
    kinds = ("deletion", "non_fast_forward", "pull_request")
    github.answers["rules/branches/deploy"] = [{"type": kind, "ruleset_id": 5} for kind in kinds]
    rule: dict[str, Any] = {"id": 5, "name": "mine", "target": "branch", "enforcement": "active"}
    github.answers |= {"rulesets": [rule], "rulesets/5": rule}
    assert look(root, "deploy", github.environ).state is UNKNOWN
    github.answers["actions/variables"] = variables()
    found = look(root, "deploy", github.environ)
    assert (found.state, "asks for a pull request" in found.said) == (FAIL, True)
    github.answers["actions/variables"] = variables(APP_ID="12")
    assert look(root, "deploy", github.environ).state is UNKNOWN
    rule["bypass_actors"] = [{"actor_id": 13, "actor_type": "Integration"}]
    found = look(root, "deploy", github.environ)
    assert (found.state, "does not let the App 12 pass" in found.said) == (FAIL, True)
    rule["bypass_actors"] += [{"actor_id": 12, "actor_type": "Integration"}]
    assert look(root, "deploy", github.environ) == Found(state=OK, said="`deploy` can only grow")


@pytest.mark.parametrize(
    ("where", "needs"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com/flights", ["AWS_REGION", "AWS_ROLE_MAIN"]),
        ("europe-west3-docker.pkg.dev/team/images/flights", ["GOOGLE_PROVIDER", "GOOGLE_ACCOUNT"]),
        ("team.azurecr.io/flights", ["AZURE_CLIENT", "AZURE_TENANT", "AZURE_SUBSCRIPTION"]),
        ("harbor.example.org/team/flights", ["REGISTRY_USER"]),
    ],
)
def test_each_registry_needs_its_own_variables(root: Path, github: Hub, where: str, needs: list[str]) -> None:
    given = {"REGISTRY": where}
    for name in needs:
        github.answers["actions/variables"] = variables(**given)
        found = look(root, "registry", github.environ)
        assert (found.state, found.remedy) == (FAIL, f"gh variable set LOCKSTEP_{name} --body VALUE")
        given[name] = "x"
    github.answers["actions/variables"] = variables(**given)
    if needs == ["REGISTRY_USER"]:
        assert look(root, "registry", github.environ).state is UNKNOWN
        github.answers["actions/secrets"] = {"secrets": [{"name": "OTHER"}]}
        assert look(root, "registry", github.environ).remedy == "gh secret set LOCKSTEP_REGISTRY_PASSWORD"
        github.answers["actions/secrets"] = {"secrets": [{"name": "LOCKSTEP_REGISTRY_PASSWORD"}]}
    assert look(root, "registry", github.environ).state is OK
    assert look(root, "package", github.environ).state is UNKNOWN


def test_githubs_registry_needs_nothing_and_an_address_without_a_path_is_none(root: Path, github: Hub) -> None:
    for value in ({}, {"REGISTRY": "ghcr.io/me/other"}):
        github.answers["actions/variables"] = variables(**value)
        assert look(root, "registry", github.environ).state is OK
    for wrong in ("ghcr.io", "ghcr.io/me/flights:latest", "quay.io/x/y/", "ghcr.io/someone-else/img"):
        github.answers["actions/variables"] = variables(REGISTRY=wrong)
        assert look(root, "registry", github.environ).state is FAIL, wrong


@pytest.mark.parametrize("kind", ["orgs", "users"])
def test_a_package_of_another_repository_cannot_be_pushed_to(root: Path, github: Hub, kind: str) -> None:
    github.answers["actions/variables"] = variables()
    assert "the first release makes it" in look(root, "package", github.environ).said
    package = {"visibility": "public", "html_url": "https://github.example/p", "repository": {"full_name": "me/old"}}
    github.answers[f"/{kind}/me/packages/container/flights"] = package
    found = look(root, "package", github.environ)
    assert (found.state, "is of me/old" in found.said) == (FAIL, True)
    del package["repository"]
    assert "is of no repository" in look(root, "package", github.environ).said
    package["repository"] = {"full_name": "Me/Flights"}
    assert look(root, "package", github.environ).said == "ghcr.io/me/flights is this repository's, public"


def test_a_private_repository_is_told_that_nothing_is_signed_unless_asked_for(root: Path, github: Hub) -> None:
    github.answers |= {"actions/variables": variables(), "/repos/me/flights": {"private": False}}
    assert look(root, "signing", github.environ) == Found(state=OK, said="attested and signed")
    github.answers["/repos/me/flights"] = {"private": True}
    found = look(root, "signing", github.environ)
    assert (found.state, found.remedy) == (WARN, "gh variable set LOCKSTEP_ATTEST --body true")
    assert "neither" not in found.said
    assert "not attested nor signed: in a private repository" in found.said
    github.answers["actions/variables"] = variables(ATTEST="true")
    assert look(root, "signing", github.environ).said.startswith("images are not signed: in a private repository")
    github.answers |= {"actions/variables": variables(SIGN="false"), "/repos/me/flights": {"private": False}}
    assert look(root, "signing", github.environ).said.startswith("images are not signed: as the variables say")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_the_token_may_not_see_is_unknown_not_failed(root: Path, github: Hub, status: int) -> None:
    github.answers = dict.fromkeys(
        ("branches/main", "rules/branches/main", "actions/variables", "actions/permissions/workflow"), status
    )
    assert {look(root, name, github.environ).state for name in ASKED} == {UNKNOWN}


def test_an_invalid_token_is_told_how_to_get_a_valid_one(root: Path, github: Hub) -> None:
    github.answers = {"branches/main": 401}
    found = look(root, "protection", github.environ)
    assert (found.state, "The token is not valid" in found.said) == (UNKNOWN, True)
    assert found.remedy == "GITHUB_TOKEN=$(gh auth token) lockstep doctor"


@pytest.mark.parametrize("answer", [b"<html>log in</html>", b'["x"]', b'{"x": 1}', b'"x"'])
def test_a_login_page_instead_of_github_is_unknown_and_breaks_nothing(root: Path, github: Hub, answer: bytes) -> None:
    names = ("branches/main", "rules/branches/main", "branches/main/protection")
    github.answers = dict.fromkeys((*names, "actions/permissions/workflow", "actions/variables"), answer)
    states = {name: look(root, name, github.environ).state for name in ASKED}
    assert states["protection"] is states["app"] is UNKNOWN
    result = CliRunner().invoke(cli, ["doctor"], env=github.environ)
    assert result.exit_code == 3, result.output


def test_a_lone_maintainer_can_merge_under_the_ruleset() -> None:
    (rule,) = [each for each in hub.RULESET["rules"] if each["type"] == "pull_request"]
    assert rule["parameters"]["required_approving_review_count"] == 0


def test_an_api_that_cannot_be_reached_is_unknown(root: Path, github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    clone = Clone(root=root, environ=github.environ | {"GITHUB_API_URL": "http://127.0.0.1:9"})
    found = [line.found for line in examine(clone, {name: ALL[name] for name in ASKED})]
    assert {(each.state, "could not be asked" in each.said) for each in found} == {(UNKNOWN, True)}
    assert len(slept) == 3, "who does not answer one check is not asked for the next"


def test_each_answer_is_asked_for_once(root: Path, github: Hub) -> None:
    list(examine(Clone(root=root, environ=github.environ), {name: ALL[name] for name in ASKED}))
    assert len(github.asked) == len(set(github.asked))


def test_one_aligned_line_a_check_and_exit_3_when_one_fails(root: Path) -> None:
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 3
    lines = result.output.splitlines()
    assert len(lines) == len(ALL)
    assert lines[0] == (
        "✗ git remote                git has no remote `origin` → git remote add origin git@github.com:OWNER/NAME.git"
    )
    width = lines[0].index("git has no")
    assert all(line[0] in "✓!✗–" and line[width - 1] == " " != line[width] for line in lines)


def test_as_json_it_says_the_same(root: Path) -> None:
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code == 3
    checks = json.loads(result.output)["checks"]
    assert [check["id"] for check in checks] == [*ALL]
    assert {check["state"] for check in checks} <= {"ok", "warn", "fail", "unknown"}
    assert all(set(check) == {"id", "title", "state", "said", "remedy"} for check in checks)


def test_when_nothing_fails_it_ends_with_0(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "CHECKS", {"secrets": here.CHECKS["secrets"]})
    monkeypatch.setattr(hub, "CHECKS", {"app": hub.CHECKS["app"]})
    monkeypatch.setattr(shipping, "CHECKS", {"tags": shipping.CHECKS["tags"]})
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == 0
