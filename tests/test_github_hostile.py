"""What people and forks tried against the answer: a green without a lock, a red for somebody else, silence, lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from github_stand_in import Fault, Pull
from github_world import LOCK, REFUSED, World, a_world, report
from lockstep.errors import OutsideError, Refused
from lockstep.github import answer, checks, commits, judges, runs
from lockstep.github.api import ApiError
from lockstep.github.override import LABEL
from test_github_answer import MOVED, body

FORK = "mallory/customers"
REFUSED_FOR_ITS_LOCK = ("failure", "the lock is to be committed · customers: better, safe to merge")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


# a head whose lock nobody committed


@pytest.mark.parametrize("fork", ["", FORK])
@pytest.mark.parametrize("authors", [True, False])
def test_a_head_without_its_lock_is_not_green_because_the_branch_moved_on_and_back(
    world: World, fork: str, authors: bool
) -> None:
    pull = world.propose(fork=fork)
    first = world.head(pull)
    run = world.run(pull, MOVED)
    world.commit("idea", {"x": "1"}, fork or None)
    world.answer(run, authors_commit=authors)
    world.git("push", "--quiet", "--force", str(world.hub.bare(fork or None)), f"{first}:refs/heads/idea")
    world.hub.sync(pull)
    assert world.verdict(world.head(pull)) == REFUSED_FOR_ITS_LOCK


@pytest.mark.parametrize("branch", ["fix#1", "fix1", "a/b_c%23", "x/--output=y&z"])
def test_a_commit_that_failed_is_no_commit_whatever_the_branch_is_called(world: World, branch: str) -> None:
    pull = world.propose(branch=branch)
    world.hub.faults = [Fault("POST", "/graphql", 502)]
    world.answer(world.run(pull, MOVED))
    assert world.verdict(world.head(pull)) == REFUSED_FOR_ITS_LOCK
    assert "could not be committed here" in body(world)


def test_a_branch_that_is_not_there_has_not_moved_on(world: World) -> None:
    pull = world.propose()
    world.hub.faults = [Fault("POST", "/graphql", 502), Fault("GET", "/git/ref/", 404, 2)]
    world.answer(world.run(pull, MOVED))
    assert world.verdict(world.head(pull)) == REFUSED_FOR_ITS_LOCK
    assert "could not be committed here" in body(world)


def test_a_commit_of_another_tree_is_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED)
    real = world.hub.tree
    monkeypatch.setattr(commits, "insist", lambda api, bundle: None)
    monkeypatch.setattr(world.hub, "tree", lambda base, contents: real(base, {**contents, "evil.txt": b"x"}))
    world.answer(run)
    assert world.verdict(run.sha) == REFUSED_FOR_ITS_LOCK
    assert world.verdict(world.head(pull)) == ("none", "")
    assert "does not hold the tree that was evaluated" in body(world)


# an answer that broke off


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", "/check-runs", 502, 2),
        Fault("POST", "/check-runs", 0, 2),
        Fault("GET", "/timeline", 403),
        Fault("GET", "/timeline", 404),
    ],
)
def test_an_answer_that_broke_off_after_the_commit_is_finished_by_the_next(world: World, fault: Fault) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED)
    world.hub.faults = [fault]
    with pytest.raises(OutsideError):
        world.answer(run)
    made = world.head(pull)
    assert made != run.sha
    assert world.verdict(made) == ("none", "")
    world.answer(run)
    assert world.head(pull) == made
    assert world.verdict(run.sha) == world.verdict(made) == ("success", "customers: better, safe to merge")
    assert world.hub.dispatched[-1] == ("test.yml", {"ref": "idea"})
    assert f"Committed as {made}" in body(world)


def test_a_commit_that_was_made_although_github_did_not_say_so_is_recognised(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED)
    real = type(world.api()).graphql

    def unheard(*arguments: Any) -> Any:
        real(*arguments)
        raise OutsideError("GitHub could not be asked")

    monkeypatch.setattr(type(world.api()), "graphql", unheard)
    world.answer(run)
    assert world.verdict(world.head(pull)) == ("success", "customers: better, safe to merge")
    assert world.head(pull) != run.sha


def test_a_commit_on_top_that_holds_anything_else_is_not_taken_for_ours(world: World) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED)
    contents = {path: str(text) for path, text in MOVED.items()}
    newer = world.commit("idea", contents | {"evil.txt": "x"})
    world.answer(run)
    assert world.verdict(newer) == ("none", "")
    assert world.verdict(run.sha) == REFUSED_FOR_ITS_LOCK


def test_the_same_tree_on_another_parent_is_not_taken_for_ours(world: World) -> None:
    pull = world.propose()
    run = world.run(pull, MOVED)
    tree = world.hub.tree(run.sha, {path: str(text).encode() for path, text in MOVED.items()})
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    other = world.hub.git("commit-tree", tree, "-p", world.hub.head("main"), "-m", "x", **who)
    world.hub.git("update-ref", "refs/heads/idea", other)
    world.hub.sync(pull)
    world.answer(run)
    assert world.verdict(other) == ("none", "")
    assert world.verdict(run.sha) == REFUSED_FOR_ITS_LOCK


def test_tests_that_cannot_be_started_are_said_and_not_the_end(world: World) -> None:
    pull = world.propose()
    world.hub.faults = [Fault("POST", "/dispatches", 422)]
    world.answer(world.run(pull, MOVED))
    assert world.verdict(world.head(pull))[0] == "success"
    assert "The tests were not started on that commit" in body(world)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/compare/", 403, 9, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}),
        Fault("GET", "/compare/", 404),
        Fault("GET", "/artifacts", 0, 9),
        Fault("GET", "/pulls$", 500, 9),
        Fault("GET", "/zip", 403),
    ],
)
def test_where_github_fails_the_commit_says_so_and_the_job_is_red(world: World, fault: Fault) -> None:
    pull = world.propose()
    run = world.run(pull)
    world.hub.faults = [fault]
    with pytest.raises(OutsideError):
        world.answer(run)
    assert world.verdict(world.head(pull)) == ("failure", "could not be judged")
    world.hub.faults = []
    world.answer(run)
    assert world.verdict(world.head(pull))[0] == "success"


def test_a_short_rate_limit_is_waited_for(world: World) -> None:
    pull = world.propose()
    world.hub.faults = [Fault("GET", "/compare/", 403, 2, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"})]
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[0] == "success"


def test_a_queue_that_github_fails_is_red_and_says_so(world: World) -> None:
    world.propose()
    sha = world.commit(f"gh-readonly-queue/main/pr-1-{'c' * 40}", {}, base="idea")
    run = world.hub.run(sha, "merge_group", f"gh-readonly-queue/main/pr-1-{'c' * 40}", conclusion="success")
    world.hub.faults = [Fault("GET", "/artifacts", 403)]
    with pytest.raises(ApiError):
        world.answer(runs.of_event({"workflow_run": run}))
    assert world.verdict(sha) == ("failure", "could not be judged")


def test_a_comment_that_cannot_be_written_is_in_the_check_and_the_job_is_red(world: World) -> None:
    pull = world.propose({"src/lockstep/cli.py": "evil"})
    world.environ["PATH"] = "/usr/bin:/bin"
    world.hub.faults = [Fault("POST", "/comments", 502)]
    with pytest.raises(OutsideError, match="502"):
        world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[0] == "success"
    summary = world.hub.checks_of(world.head(pull))[-1]["output"]["summary"]
    assert "changes what judges it" in summary
    assert "502" in summary


def test_a_cml_that_is_not_the_recorded_one_leaves_a_comment_a_verdict_and_a_red_job(world: World) -> None:
    pull = world.propose()
    world.environ["LOCKSTEP_CML_SHA256"] = "0" * 64
    with pytest.raises(Refused, match="it was not run"):
        world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[0] == "success"
    assert "it was not run" in world.hub.checks_of(world.head(pull))[-1]["output"]["summary"]
    assert "## ✅ customers" in body(world)


def test_a_label_that_is_set_while_the_verdict_is_recorded_is_seen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = world.propose()
    run = world.run(pull, verdict=REFUSED)
    real, done = checks.put, list[int]()

    def put(*arguments: Any) -> int:
        made = real(*arguments)
        if not done:
            done.append(1)
            world.hub.tick()
            world.hub.label(pull, LABEL, "ada")
        return made

    monkeypatch.setattr(checks, "put", put)
    world.answer(run)
    assert world.verdict(world.head(pull))[0] == "success"
    assert "Overridden by ada" in body(world)


def test_a_verdict_that_comes_while_a_label_is_answered_is_not_overtaken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = world.propose()
    world.answer(world.run(pull))
    real, done = answer.override.look, list[int]()

    def look(*arguments: Any) -> Any:
        if not done:
            done.append(1)
            world.answer(world.run(pull, verdict=REFUSED))
        return real(*arguments)

    monkeypatch.setattr(answer.override, "look", look)
    answer.of_label(world.desk(), pull.number)
    assert world.verdict(world.head(pull)) == ("failure", "customers: worse, refused")


# a fork and a commit of ours


def grabbed(world: World, repository: str = FORK) -> Pull:
    """A fork pushes the head of our branch and opens a pull request of its own."""
    world.hub.create(repository)
    world.git("push", "--quiet", str(world.hub.bare(repository)), "idea:grab")
    return world.hub.open("grab", "mallory", repository)


def test_a_forks_run_neither_reddens_nor_moves_a_branch_of_ours(world: World) -> None:
    victim = world.propose()
    sha = world.head(victim)
    world.answer(world.run(victim))
    before = world.verdict(sha), body(world)
    evil = grabbed(world)
    for conclusion in ("cancelled", "failure", "success"):
        run = world.run(evil, MOVED, conclusion=conclusion)
        assert "nothing to say" in world.answer(run)[0]
        assert (world.verdict(sha), body(world)) == before
        assert world.hub.head("idea") == sha
        assert not evil.comments


def test_a_run_is_about_pull_requests_of_its_own_repository_alone(world: World) -> None:
    other = world.propose(fork="grace/customers")
    evil = grabbed(world)
    said = world.answer(world.run(evil))
    assert [each.partition(" at ")[0] for each in said] == [f"pull request {evil.number}"]
    assert not other.comments


def test_two_branches_of_one_head_have_runs_of_their_own(world: World) -> None:
    ours = world.propose()
    world.git("push", "--quiet", str(world.hub.bare()), "idea:twin")
    twin = world.hub.open("twin")
    assert [pull.number for pull in runs.pull_of(world.api(), world.run(twin))] == [twin.number]
    assert [pull.number for pull in runs.pull_of(world.api(), world.run(ours))] == [ours.number]


def test_a_fork_branch_of_the_same_name_is_not_the_branch_that_ran(world: World) -> None:
    ours = world.propose()
    run = world.run(ours)
    world.hub.create(FORK)
    world.git("push", "--quiet", str(world.hub.bare(FORK)), "main:idea")
    fork = world.hub.open("idea", "mallory", FORK)
    world.hub.extra[f"commits/{run.sha}/pulls"] = [world.hub.shown(ours), world.hub.shown(fork)]
    assert [pull.number for pull in runs.pull_of(world.api(), run)] == [ours.number]


def test_a_pull_request_into_another_repository_is_none_of_ours(world: World) -> None:
    pull = world.propose()
    run = world.run(pull)
    elsewhere = world.hub.shown(pull)
    elsewhere["base"]["repo"] = {"full_name": "evil/customers", "default_branch": "main"}
    world.hub.extra[f"commits/{run.sha}/pulls"] = world.hub.extra["pulls"] = [elsewhere]
    assert runs.pull_of(world.api(), run) == []


def test_a_run_of_a_fork_that_is_gone_is_about_nothing(world: World) -> None:
    pull = world.propose(fork=FORK)
    run = world.hub.run(world.head(pull), "pull_request", "idea", FORK, conclusion="cancelled")
    shown = world.hub.shown(pull)
    run["head_repository"] = shown["head"]["repo"] = None
    world.hub.extra["pulls"] = [shown]
    assert runs.pull_of(world.api(), runs.of_event({"workflow_run": run})) == []


# what a branch changes


def test_a_judging_file_among_very_many_is_found(world: World) -> None:
    many = {f"!a/{number:03}.txt": str(number) for number in range(300)}
    pull = world.propose(many | {"src/lockstep/cli.py": "evil"})
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[1].startswith("changes what judges it")
    assert "`src/lockstep/cli.py`" in body(world)


def test_more_files_than_github_lists_are_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "LISTED", 300)
    pull = world.propose({f"docs/{number:03}.txt": str(number) for number in range(300)})
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[0] == "failure"
    assert "More files changed than GitHub lists" in body(world)


def test_files_that_were_listed_of_another_head_do_not_clear_this_one(world: World) -> None:
    many = {f"!a/{number:03}.txt": str(number) for number in range(300)}
    pull = world.propose(many | {"src/lockstep/cli.py": "evil"})
    run = world.run(pull)
    world.commit("idea", {"src/lockstep/cli.py": ""})
    world.git("rm", "--quiet", "src/lockstep/cli.py")
    world.commit("idea", {})
    world.answer(run)
    assert world.verdict(run.sha)[0] == "failure"


@pytest.mark.parametrize(
    "name", ["GNUmakefile", ".venv/bin/lockstep", "src/sitecustomize.py", "yaml.py", ".dvc/config"]
)
def test_what_takes_the_place_of_what_judges_is_named(world: World, name: str) -> None:
    pull = world.propose({name: "evil"})
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull))[1].startswith("changes what judges it")
    assert f"`{name}`" in body(world)


def test_other_code_is_named_softly(world: World) -> None:
    pull = world.propose({"src/flights/source.py": "evil"})
    world.answer(world.run(pull))
    assert world.verdict(world.head(pull)) == ("success", "customers: better, safe to merge")
    assert "Code of this branch that runs while it is judged: `src/flights/source.py`" in body(world)


# lies


def test_a_report_that_says_something_else_than_its_verdict_is_not_shown(world: World) -> None:
    pull = world.propose()
    lie = "## ✅ customers: **better, safe to merge**\n\n> [!IMPORTANT]\n> **Overridden by ada**\n".encode()
    world.answer(world.run(pull, contents=world.left(pull, {}, REFUSED) | {"report/report.md": lie}))
    assert world.verdict(world.head(pull)) == ("failure", "could not be judged")
    assert "Overridden" not in body(world)


def test_above_all_that_a_run_wrote_stands_the_verdict_itself(world: World) -> None:
    pull = world.propose()
    lie = report(
        REFUSED, "> [!IMPORTANT]\n> **Overridden by ada.** @everyone &#64;x <!-- lockstep: override -->\n\n<!--"
    )
    world.answer(world.run(pull, contents=world.left(pull, {}, REFUSED) | {"report/report.md": lie}))
    shown = body(world)
    assert shown.index("`lockstep verdict`: **failure** · customers: worse, refused") < shown.index("## ❌")
    assert not {"[!IMPORTANT]", "@everyone", "&#64;x"} & set(shown.split())
    assert shown.count("<!--") == 2
    answer.of_label(world.desk(), 1)
    assert body(world).count("lockstep: override -->") == 2


@pytest.mark.parametrize("text", ["@a ", "<", "&#64;"])
def test_a_report_that_grows_when_it_is_tamed_is_still_posted(world: World, text: str) -> None:
    pull = world.propose({"src/lockstep/cli.py": "evil"})
    long = report(text=text * (59_000 // len(text)))
    world.answer(world.run(pull, contents=world.left(pull, {}, {}) | {"report/report.md": long}))
    assert "changes what judges it" in body(world)


def test_very_many_impostors_do_not_silence_the_answer(world: World) -> None:
    pull = world.propose()
    for number in range(256):
        link = f"https://github.example/acme/customers/actions/runs/1234567890/job/{number}"
        world.hub.checks.append(
            {"id": number, "name": checks.NAME, "head_sha": world.head(pull), "conclusion": "success",
             "external_id": "7", "html_url": link}
        )  # fmt: skip
    long = report(text="a " * 29_000)
    world.answer(world.run(pull, contents=world.left(pull, {}, {}) | {"report/report.md": long}))
    assert world.verdict(world.head(pull))[0] == "failure"
    assert "and 248 more" in body(world)
    assert "/job/0" in body(world)


def test_a_first_model_where_the_base_has_one_is_not_believed(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull, verdict={"word": "first model"}))
    assert world.verdict(world.head(pull)) == ("failure", "could not be judged")
    assert "the lock of its base" in body(world)


@pytest.mark.parametrize("lock", [LOCK.replace("model.onnx", "other"), None])
def test_a_first_model_where_the_base_has_none_is_believed(world: World, lock: str | None) -> None:
    if lock:
        world.commit("main", {"dvc.lock": lock})
    else:
        world.git("rm", "--quiet", "dvc.lock")
        world.commit("main", {})
    pull = world.propose()
    world.answer(world.run(pull, verdict={"word": "first model"}))
    assert world.verdict(world.head(pull))[0] == "success"


def test_another_label_overrides_nothing(world: World) -> None:
    pull = world.propose()
    world.answer(world.run(pull, verdict=REFUSED))
    world.hub.tick()
    world.hub.label(pull, "bug", "ada")
    answer.of_label(world.desk(), pull.number)
    assert world.verdict(world.head(pull))[0] == "failure"
    world.hub.label(pull, LABEL, "ada")
    world.hub.unlabel(pull, "bug", "ada")
    answer.of_label(world.desk(), pull.number)
    assert world.verdict(world.head(pull))[0] == "success"
