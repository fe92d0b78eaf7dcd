"""What is said of a run that has ended: nothing that the run claims is believed where GitHub can be asked."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from github_stand_in import Fault
from github_world import JUDGE, LOCK, REFUSED, SEAL, World, a_world, zipped
from lockstep.errors import InputError, OutsideError
from lockstep.github import answer, runs
from lockstep.github.override import LABEL

MOVED: dict[str, str | None] = {
    "dvc.lock": LOCK.format(md5="b" * 32),
    "dvc.lock.seal": SEAL.format(sha="b" * 64),
    "reports/metrics.json": '{"a": 1}\n',
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def body(world: World, number: int = 1) -> str:
    """The one comment of ours on a pull request."""
    [comment] = world.hub.pulls[number].comments
    return str(comment["body"])


def test_a_verdict_is_said_in_a_check_and_in_a_comment(world: World) -> None:
    pull = world.propose()
    said = world.answer(world.run(pull))
    assert said == [f"pull request 1 at {world.head(pull)[:7]}: success: customers: better, safe to merge"]
    assert world.verdict(world.head(pull)) == ("success", "customers: better, safe to merge")
    assert "## ✅ customers: better" in body(world)
    assert "[this run](https://github.example/" in body(world)
    assert not world.hub.dispatched


def test_a_refusal_is_a_failed_check(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull, verdict=REFUSED))
    assert world.verdict(world.head(pull)) == ("failure", "customers: worse, refused")


def test_the_next_run_changes_the_same_comment(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull))
    world.commit("idea", {"params.yaml": "seed: 3\n"})
    world.answer(world.run(pull, verdict=REFUSED))
    assert world.head(pull) in body(world)


def test_the_lock_is_committed_on_a_branch_of_this_repository_and_judged_there_too(world: World) -> None:
    pull = world.propose()
    before = world.head(pull)
    world.answer(world.run(pull, MOVED))
    made = world.hub.head("idea")
    assert world.hub.git("rev-parse", f"{made}^") == before
    assert world.hub.git("diff", "--name-only", before, made).split() == sorted(MOVED)
    assert world.hub.git("show", f"{made}:dvc.lock") == str(MOVED["dvc.lock"]).strip()
    assert world.verdict(before) == world.verdict(made) == ("success", "customers: better, safe to merge")
    assert world.hub.dispatched == [("test.yml", {"ref": "idea"})]
    assert f"Committed as {made}" in body(world)


def test_a_report_that_is_no_longer_made_is_removed_with_the_lock(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull, {"reports/metrics.json": None}))
    assert "reports/metrics.json" not in world.hub.git("ls-tree", "-r", "--name-only", "idea").split()


def test_a_refused_change_gets_its_lock_too(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull, MOVED, verdict=REFUSED))
    assert world.verdict(world.hub.head("idea"))[0] == "failure"


def test_an_apps_commit_starts_its_own_workflows(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull, MOVED), committer=world.api({"contents": "write"}))
    assert world.hub.head("idea") != world.git("rev-parse", "idea")
    assert not world.hub.dispatched


def test_nothing_is_committed_on_a_forks_branch_and_its_author_is_told_how(world: World) -> None:
    pull = world.propose(fork="mallory/customers")
    before = world.hub.head("idea", "mallory/customers")
    world.answer(world.run(pull, MOVED))
    assert world.hub.head("idea", "mallory/customers") == before
    assert world.verdict(before) == ("failure", "the lock is to be committed · customers: better, safe to merge")
    assert "make repro" in body(world)
    assert ("POST", "/graphql") not in world.hub.asked


def test_a_forks_pull_request_is_found_where_github_does_not_know_its_commit(world: World) -> None:
    pull = world.propose(fork="mallory/customers")
    world.hub.faults = [Fault("GET", "/commits/.*/pulls", 422)]
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[0] == "success"


def test_a_fork_that_commits_its_lock_passes(world: World) -> None:
    pull = world.propose({"dvc.lock": str(MOVED["dvc.lock"])}, fork="mallory/customers")
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[0] == "success"


def test_a_fork_branch_of_the_same_name_does_not_reach_ours(world: World) -> None:
    ours = world.commit("idea", {"ours.txt": "x"})
    world.git("checkout", "--quiet", "main")
    world.git("branch", "--quiet", "-D", "idea")
    pull = world.propose(fork="mallory/customers")
    world.answer(world.run(pull, MOVED))
    assert world.hub.head("idea") == ours


def test_a_team_may_let_authors_commit_the_lock(world: World) -> None:
    pull = world.propose()
    before = world.head(pull)
    world.answer(world.run(pull, MOVED), authors_commit=True)
    assert world.head(pull) == before
    assert world.verdict(before)[0] == "failure"
    assert "In this repository authors commit the lock." in body(world)


def test_nothing_is_committed_on_the_default_branch(world: World) -> None:
    world.commit("release", {}, base="main")
    world.commit("main", {"x.txt": "x"})
    pull = world.hub.open("main", base="release")
    before = world.hub.head("main")
    world.answer(world.run(pull, MOVED))
    assert world.hub.head("main") == before
    assert world.verdict(before) == ("none", "")


def test_a_branch_that_moved_on_meanwhile_gets_no_commit_and_no_comment(world: World) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED)
    newer = world.commit("idea", {"params.yaml": "seed: 3\n"})
    world.answer(run)
    assert world.hub.head("idea") == newer
    assert world.verdict(run.sha) == ("failure", "the lock is to be committed · customers: better, safe to merge")
    assert world.verdict(newer) == ("none", "")
    assert not pull.comments


def test_a_branch_that_moves_on_at_the_last_moment_gets_no_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED)
    real = answer.commits.insist
    monkeypatch.setattr(
        answer.commits, "insist",
        lambda api, bundle: (real(api, bundle), world.commit("idea", {"params.yaml": "seed: 3\n"})),
    )  # fmt: skip
    world.answer(run)
    assert world.hub.git("log", "-1", "--format=%s", "idea") == "on idea"
    assert not world.hub.dispatched


def test_what_was_evaluated_must_be_the_head_and_its_moved_files(world: World) -> None:
    pull = world.propose()
    before = world.head(pull)
    world.answer(world.run(pull, MOVED, tree="e" * 40))
    assert world.head(pull) == before
    assert world.verdict(before)[0] == "failure"
    assert "not this branch's head with its moved files" in body(world)


def test_another_base_than_the_pull_requests_is_not_believed(world: World) -> None:
    older = world.hub.head("main")
    world.commit("main", {"x.txt": "x"})
    pull = world.propose()
    world.answer(world.run(pull, base=older))
    assert world.verdict(world.head(pull)) == ("failure", "could not be judged")
    assert "It was compared with" in body(world)


def test_a_verdict_against_another_branch_than_main_has_another_name(world: World) -> None:
    world.commit("playground", {"params.yaml": "seed: 9\n"})
    world.commit("idea", {"params.yaml": "seed: 2\n"}, base="playground")
    pull = world.hub.open("idea", base="playground")
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull)) == ("none", "")
    assert world.verdict(world.head(pull), "lockstep verdict (into playground)")[0] == "success"


def test_of_two_pull_requests_of_one_head_the_one_that_was_compared_gets_the_verdict(world: World) -> None:
    world.commit("playground", {"params.yaml": "seed: 9\n"})
    world.commit("idea", {"params.yaml": "seed: 2\n"}, base="playground")
    into_main = world.hub.open("idea")
    into_playground = world.hub.open("idea", base="playground")
    world.answer(world.run(into_playground))
    assert world.verdict(world.head(into_main)) == ("none", "")
    assert not into_main.comments
    assert into_playground.comments


@pytest.mark.parametrize(
    ("conclusion", "says"), [("failure", "failed"), ("cancelled", "was cancelled"), ("timed_out", "took too long")]
)
def test_a_run_that_did_not_end_well_is_a_failure_never_neutral(world: World, conclusion: str, says: str) -> None:
    pull = world.propose()
    run = world.run(pull, conclusion=conclusion)
    world.hub.jobs[run.id] = [
        {"steps": [{"name": "ok", "conclusion": "success"}, {"name": "a `|<b>`", "conclusion": "failure"}]}
    ]
    world.answer(run)
    assert world.verdict(world.head(pull)) == ("failure", "could not be judged")
    assert f"The run {says} at the step a \\`\\|&lt;b&gt;\\`." in body(world)


def test_a_head_that_lacks_its_bases_tip_is_told_to_update(world: World) -> None:
    pull = world.propose()
    world.commit("main", {"x.txt": "x"})
    world.answer(world.run(pull, conclusion="failure"))
    assert "this branch lacks 1 commit of `main`" in body(world)
    assert "`git merge origin/main`" in body(world)


def test_a_run_that_leaves_nothing_could_not_judge(world: World) -> None:
    pull = world.propose()
    run = world.run(pull)
    world.hub.artifacts.clear()
    world.answer(run)
    assert world.verdict(world.head(pull))[0] == "failure"
    assert "the run left no report" in body(world)


@pytest.mark.parametrize(
    "poison",
    [
        {"tree/../../.github/workflows/comment.yml": b"on: push"},
        {"tree/params.yaml": b"seed: 9"},
        {"report/report.md": b""},
        {"report/verdict.json": json.dumps({"conclusion": "success"}).encode()},
        {"manifest.json": b"[]"},
    ],
)
def test_a_poisoned_artifact_is_a_failure_and_nothing_of_it_is_used(world: World, poison: Mapping[str, bytes]) -> None:
    pull = world.propose()
    before = world.head(pull)
    world.answer(world.run(pull, contents=world.left(pull, MOVED, {}) | poison))
    assert world.head(pull) == before
    assert world.verdict(before) == ("failure", "could not be judged")
    assert "cannot be trusted" in body(world)


def test_an_artifact_of_another_head_is_not_believed(world: World) -> None:
    other = world.propose(branch="other")
    pull = world.propose()
    world.answer(world.run(pull, contents=world.left(other, {}, {})))
    assert world.verdict(world.head(pull))[0] == "failure"
    assert world.verdict(world.head(other)) == ("none", "")


def test_the_number_in_the_artifact_is_not_believed(world: World) -> None:
    other = world.propose(branch="other")
    pull = world.propose()
    world.answer(world.run(pull, number=other.number))
    assert not other.comments
    assert pull.comments


def test_a_branch_that_changes_what_judges_it_is_called_so_whatever_its_report_says(world: World) -> None:
    world.propose({".github/workflows/test.yml": "on: pull_request\n", "src/lockstep/cli.py": "", "a.txt": ""})
    world.answer(world.run(world.hub.pulls[1]))
    assert body(world).index("changes what judges it") < body(world).index("## ✅ customers: better")
    assert "`.github/workflows/test.yml`, `src/lockstep/cli.py`" in body(world)
    title = world.verdict(world.head(world.hub.pulls[1]))[1]
    assert title == "changes what judges it · customers: better, safe to merge"


def test_a_judging_file_that_is_moved_away_counts_too(world: World) -> None:
    world.git("checkout", "--quiet", "-b", "idea", "main")
    world.git("mv", ".github/workflows/test.yml", "old.yml")
    world.commit("idea", {})
    pull = world.hub.open("idea")
    world.answer(world.run(pull))
    assert "`.github/workflows/test.yml`" in body(world)


def test_a_job_that_bears_the_verdicts_name_does_not_pass_for_it(world: World) -> None:
    pull = world.propose()
    world.hub.checks.append(
        {"id": 1, "name": "lockstep verdict", "head_sha": world.head(pull), "conclusion": "success", "external_id": "7",
         "html_url": "https://github.example/job"}
    )  # fmt: skip
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[0] == "failure"
    assert "calls itself `lockstep verdict`" in body(world)


def test_a_run_that_waits_for_approval_says_nothing(world: World) -> None:
    pull = world.propose()
    assert "approve" in world.answer(world.run(pull, conclusion="action_required"))[0]
    assert not pull.comments
    assert not world.hub.checks


def test_a_pull_request_that_was_closed_meanwhile_gets_nothing(world: World) -> None:
    pull = world.propose()
    run = world.run(pull)
    pull.state = "closed"
    assert "nothing to say" in world.answer(run)[0]
    assert not pull.comments


@pytest.mark.parametrize("change", [{"path": ".github/workflows/evil.yml"}, {"event": "push"}, {"event": "schedule"}])
def test_a_run_of_another_workflow_of_that_name_is_not_answered(world: World, change: Mapping[str, str]) -> None:
    run = world.hub.run("a" * 40, "pull_request", "x", **change) if "event" not in change else None
    with pytest.raises(InputError, match="not .github/workflows/pull-request.yml"):
        runs.of_event({"workflow_run": run or world.hub.run("a" * 40, change["event"], "x")})


def test_comment_yml_may_do_all_that_it_does_and_needs_no_more(world: World) -> None:
    pull = world.propose()
    for missing in JUDGE:
        run = world.run(pull, MOVED)
        less = {scope: level for scope, level in JUDGE.items() if scope != missing}
        with pytest.raises(OutsideError, match="403"):
            world.answer(run, api=world.api(less))
    world.answer(world.run(pull, MOVED))


def test_a_commit_that_is_refused_is_said(world: World) -> None:
    pull = world.propose()
    world.hub.faults = [Fault("POST", "/graphql", 403)]
    world.answer(world.run(pull, MOVED))
    assert world.verdict(world.head(pull))[0] == "failure"
    assert "could not be committed here" in body(world)


# a maintainer's label


def labelled(world: World, who: str, role: str, **run: Any) -> tuple[str, str]:
    """A refused pull request gets the label; returns the verdict."""
    pull = world.propose()
    world.answer(world.run(pull, verdict=REFUSED, **run))
    world.hub.people[who] = role
    world.hub.tick()
    world.hub.label(pull, LABEL, who)
    answer.of_label(world.desk(), pull.number)
    return world.verdict(world.head(pull))


@pytest.mark.parametrize("role", ["admin", "maintain", "write"])
def test_a_maintainers_label_overrides_and_is_recorded(world: World, role: str) -> None:
    conclusion, title = labelled(world, "grace", role)
    assert conclusion == "success"
    assert "grace" in title
    assert "20" in title
    assert "Overridden by grace" in body(world)
    assert "## ❌ customers: worse" in body(world)


@pytest.mark.parametrize("role", ["read", "triage", "none"])
def test_a_label_of_somebody_who_may_not_write_does_not_count(world: World, role: str) -> None:
    assert labelled(world, "mallory", role)[0] == "failure"
    assert "does not count" in body(world)


def test_a_label_also_lets_pass_what_could_not_be_judged(world: World) -> None:
    assert labelled(world, "grace", "write", conclusion="failure")[0] == "success"


def test_a_label_that_is_taken_away_counts_no_longer(world: World) -> None:
    labelled(world, "grace", "write")
    pull = world.hub.pulls[1]
    world.hub.tick()
    world.hub.unlabel(pull, LABEL, "grace")
    answer.of_label(world.desk(), 1)
    assert world.verdict(world.head(pull)) == ("failure", "customers: worse, refused")
    assert "Overridden" not in body(world)


def test_a_label_lapses_with_the_next_commit_however_old_that_says_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled(world, "grace", "write")
    pull = world.hub.pulls[1]
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
    world.hub.tick()
    world.commit("idea", {"params.yaml": "seed: 666\n"})
    world.answer(world.run(pull, verdict=REFUSED))
    assert world.verdict(world.head(pull))[0] == "failure"
    assert "set for an earlier commit" in body(world)


def test_a_label_that_was_set_while_the_run_went_on_holds_for_the_locks_commit(world: World) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED, verdict=REFUSED)
    world.hub.tick()
    world.hub.people["grace"] = "write"
    world.hub.label(pull, LABEL, "grace")
    world.answer(run)
    assert world.verdict(world.hub.head("idea"))[0] == "success"


def test_a_label_on_the_locks_commit_counts(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull, MOVED, verdict=REFUSED))
    world.hub.people["grace"] = "write"
    world.hub.tick()
    world.hub.label(pull, LABEL, "grace")
    answer.of_label(world.desk(), 1)
    assert world.verdict(world.hub.head("idea"))[0] == "success"


def test_a_label_without_a_verdict_waits_for_one(world: World) -> None:
    pull = world.propose()
    world.hub.label(pull, LABEL, "ada")
    assert "no verdict yet" in answer.of_label(world.desk(), 1)
    assert not world.hub.checks


# the queue


def queued(world: World, *, moved: Mapping[str, str | None] | None = None, **more: Any) -> str:
    """A group of the queue is judged; returns its commit."""
    pull = world.hub.pulls[1]
    branch = f"gh-readonly-queue/main/pr-1-{'c' * 40}"
    sha = world.commit(branch, {}, base="idea")
    group = world.hub.run(sha, "merge_group", branch)
    group["conclusion"] = more.pop("conclusion", "success")
    left = world.left(pull, moved or {}, more.pop("verdict", {}), **{"head": sha} | more)
    world.hub.artifact(group["id"], zipped(left))
    world.answer(runs.of_event({"workflow_run": group}))
    return sha


def test_the_queue_gets_its_own_verdict_and_no_comment(world: World) -> None:
    pull = world.propose()
    assert world.verdict(queued(world)) == ("success", "customers: better, safe to merge")
    assert not pull.comments


def test_an_untrue_lock_fails_in_the_queue_and_no_label_lifts_that(world: World) -> None:
    pull = world.propose()
    world.hub.tick()
    world.hub.label(pull, LABEL, "ada")
    assert world.verdict(queued(world, moved=MOVED)) == ("failure", "could not be judged in the queue")
    assert ("POST", "/graphql") not in world.hub.asked


@pytest.mark.parametrize("lie", [{"tree": "e" * 40}, {"base": "e" * 40}])
def test_a_queues_run_that_is_about_something_else_is_not_believed(world: World, lie: Mapping[str, str]) -> None:
    world.propose()
    assert world.verdict(queued(world, **lie)) == ("failure", "could not be judged in the queue")


def test_a_queues_run_that_was_compared_with_itself_is_not_believed(world: World) -> None:
    pull = world.propose()
    assert world.verdict(queued(world, base=world.head(pull)))[0] == "failure"


def test_a_group_that_stands_on_another_group_was_compared_with_that(world: World) -> None:
    world.propose()
    assert world.verdict(queued(world, base="c" * 40))[0] == "success"


def test_a_failed_run_fails_in_the_queue(world: World) -> None:
    world.propose()
    assert world.verdict(queued(world, conclusion="failure"))[0] == "failure"


def test_an_overridden_refusal_passes_the_queue(world: World) -> None:
    labelled(world, "grace", "write")
    assert world.verdict(queued(world, verdict=REFUSED))[0] == "success"


def test_a_duplicate_name_in_the_archive_is_poison(world: World) -> None:
    pull = world.propose()
    run = world.run(pull)
    world.hub.artifacts.clear()

    def twice(archive: zipfile.ZipFile) -> None:
        archive.writestr("Report/verdict.json", b"{}")

    world.hub.artifact(run.id, zipped(world.left(pull, {}, {}), twice))
    world.answer(run)
    assert world.verdict(world.head(pull))[0] == "failure"
