"""What is said of a run that has ended: check run, commit of the lock, comment.

This side is trusted, and may write; what the run left is data that anybody may have made. So the pull request, its base
and what it changes are asked of GitHub, and the artifact gives only the verdict's words and files from a fixed list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lockstep.errors import InputError
from lockstep.github import checks, comment, commits, judges, override, runs, words
from lockstep.github.api import Api, ApiError
from lockstep.github.artifact import Bundle, Poisoned
from lockstep.github.checks import Check
from lockstep.github.runs import Pull, Run
from lockstep.github.task import behind
from lockstep.markdown import code, escape

REQUIRED = "test.yml"
"""The workflow whose checks are required as well: GitHub starts none for a commit made with a workflow's token."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is going to be said. `commit` is the commit that was made of the moved files, if any."""

    check: Check
    report: str
    notices: tuple[str, ...] = ()
    foot: str = ""
    commit: str = ""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Who answers: the API, the team's choice, and the environment that CML runs in. `committer` is the API with an
    App's token, whose commits start workflows, where a team has one.
    """

    api: Api
    default_branch: str
    committer: Api | None = None
    authors_commit: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


def of_run(desk: Desk, run: Run) -> list[str]:
    """Answer a run that has ended; says in sentences what was done."""
    if run.conclusion == "action_required":
        return ["the run waits for somebody to approve it: nothing to say yet"]
    found = _found(desk.api, run)
    if run.event == "merge_group":
        return [_of_queue(desk, run, found)]
    pulls = runs.pull_of(desk.api, run)
    said = [_of_pull(desk, run, pull, found) for pull in _about(desk.api, run, pulls, found)]
    return said or [f"no open pull request is about {run.sha[:7]}: nothing to say"]


def of_label(desk: Desk, number: int) -> str:
    """Answer a label that was set or taken away: the last verdict of the pull request's head, with or without it."""
    pull = runs.pull(desk.api, number)
    if pull is None:
        return f"pull request {number} is not open: nothing to say"
    last = checks.latest(desk.api, pull.head, _into(pull))
    if last is None:
        return f"{pull.head[:7]} has no verdict yet: the label is looked at when it has"
    mark = override.look(desk.api, number, pull.head)
    checks.put(desk.api, _with(last, mark), pull.head)
    comment.change_override(desk.api, number, words.override_notice(mark), environ=desk.environ)
    return words.overridden(mark) or f"the label is gone: {last.conclusion}"


def _found(api: Api, run: Run) -> Bundle | Poisoned:
    """What the run left; or why nothing can be said of it."""
    if run.conclusion != "success":
        step = runs.failed_step(api, run)
        where = f" at the step {escape(step, 80)}" if step else ""
        how = {"cancelled": "was cancelled", "timed_out": "took too long"}.get(run.conclusion, "failed")
        return Poisoned(f"The run {how}{where}.")
    try:
        return runs.bundle(api, run)
    except Poisoned as poisoned:
        return Poisoned(f"The run ended well, but {escape(str(poisoned))}.")


def _about(api: Api, run: Run, pulls: list[Pull], found: Bundle | Poisoned) -> list[Pull]:
    """Those of the pull requests of this head whose base it was compared with: all of them, when that is not known."""
    if isinstance(found, Poisoned) or len(pulls) < 2:
        return pulls
    return [pull for pull in pulls if judges.changed(api, pull, run.sha).merge_base == found.manifest.base] or pulls


def _of_pull(desk: Desk, run: Run, pull: Pull, found: Bundle | Poisoned) -> str:
    changed = judges.changed(desk.api, pull, run.sha)
    answer = _judge(desk, run, pull, found, changed)
    mark = override.look(desk.api, pull.number, run.sha)
    check = _with(answer.check, mark)
    for sha in [run.sha, *([answer.commit] if answer.commit else [])]:
        checks.put(desk.api, check, sha)
    if answer.commit and desk.committer is None:
        desk.api.post(f"actions/workflows/{REQUIRED}/dispatches", {"ref": pull.branch})
    if pull.head == run.sha:
        body = comment.compose(
            override=words.override_notice(mark), notices=answer.notices, report=answer.report, foot=answer.foot
        )
        comment.put(desk.api, pull.number, body, environ=desk.environ)
    shown = check.overridden or f"{check.conclusion}: {check.title}"
    return f"pull request {pull.number} at {run.sha[:7]}: {shown}"


def _judge(desk: Desk, run: Run, pull: Pull, found: Bundle | Poisoned, changed: judges.Changed) -> Answer:
    notices = [words.judges_notice(changed)]
    if impostors := checks.impostors(desk.api, run.sha):
        notices.append(words.impostor_notice(impostors))
    notices = [notice for notice in notices if notice]
    try:
        bundle = _trusted(desk.api, found, changed)
    except (Poisoned, commits.OtherTree) as why:
        late = escape(behind(pull.base_name, changed.behind)).replace("\\`", "`") if changed.behind else ""
        return _unjudged(run, pull, f"{why} {late}".strip(), notices)
    answer = Answer(
        check=_check(run, bundle, _into(pull)), report=words.tame(bundle.report), foot=words.foot(pull, run, bundle),
        notices=tuple(notices),
    )  # fmt: skip
    if changed.judges:
        answer = replace(answer, check=_also(answer.check, "changes what judges it"))
    if impostors:
        answer = _refuse(answer, "something else calls itself lockstep verdict")
    return _with_lock(desk, pull, bundle, answer) if words.changed_paths(bundle) else answer


def _trusted(api: Api, found: Bundle | Poisoned, changed: judges.Changed) -> Bundle:
    if isinstance(found, Poisoned):
        raise found
    if found.manifest.base != changed.merge_base:
        raise Poisoned(
            f"It was compared with {found.manifest.base[:7]}, and what this branch has of its base is "
            f"{changed.merge_base[:7]}."
        )
    commits.insist(api, found)
    return found


def _with_lock(desk: Desk, pull: Pull, bundle: Bundle, answer: Answer) -> Answer:
    """The lock moved: commit it where that is ours to do, else say how its author does."""
    if pull.head != bundle.manifest.head:
        return answer
    why = _why_not_ours(desk, pull)
    if not why:
        try:
            made = commits.commit(desk.committer or desk.api, pull, bundle, _message(bundle))
        except commits.Moved:
            return answer
        except ApiError as error:
            why = f"It could not be committed here: {escape(str(error))}"
        else:
            return replace(answer, commit=made, report=f"{answer.report}\n\n{words.committed_notice(made, bundle)}")
    refused = _refuse(answer, "the lock is to be committed")
    return replace(refused, notices=(words.uncommitted_notice(why, bundle), *answer.notices))


def _why_not_ours(desk: Desk, pull: Pull) -> str:
    """Why the lock is not ours to commit; "" when it is."""
    if not pull.is_of(desk.api.repository):
        return "This branch is in a fork, where nothing is written from here."
    if desk.authors_commit:
        return "In this repository authors commit the lock."
    if pull.branch == desk.default_branch:
        return f"Nothing is written to {code(pull.branch)} from here."
    return ""


def _message(bundle: Bundle) -> tuple[str, str]:
    head = bundle.manifest.head
    return f"Lock what {head[:7]} makes", f"Evaluated at {head} against {bundle.manifest.base}: {bundle.document.word}."


def _of_queue(desk: Desk, run: Run, found: Bundle | Poisoned) -> str:
    """A queue's group: nothing is committed or commented, and an untrue lock is a failure that no label lifts."""
    if run.queue is None:
        raise InputError(f"`{run.branch}` is not a branch of a merge queue")
    branch, number = run.queue
    into = "" if branch == desk.default_branch else branch
    if isinstance(found, Bundle) and words.changed_paths(found):
        found = Poisoned("The lock of what would be merged is not true: its stages ran again and gave other results.")
    if isinstance(found, Poisoned):
        check = Check(
            conclusion="failure", judged=False, title="could not be judged in the queue", summary=str(found),
            url=run.url, into=into,
        )  # fmt: skip
    else:
        pull = runs.pull(desk.api, number)
        mark = override.look(desk.api, number, pull.head) if pull else None
        check = _with(_check(run, found, into), mark)
    checks.put(desk.api, check, run.sha)
    return f"the queue's {run.sha[:7]}: {check.overridden or f'{check.conclusion}: {check.title}'}"


def _check(run: Run, bundle: Bundle, into: str) -> Check:
    document = bundle.document
    lines = [f"- {escape(gate.title)}: {gate.state}" for gate in document.gates]
    summary = "\n".join([escape(document.sentence), "", *lines])
    return Check(
        conclusion=document.conclusion, judged=True, title=document.headline, summary=summary, url=run.url, into=into
    )


def _unjudged(run: Run, pull: Pull, why: str, notices: list[str]) -> Answer:
    check = Check(
        conclusion="failure", judged=False, title="could not be judged", summary=why, url=run.url, into=_into(pull)
    )
    return Answer(check=check, report=words.unjudged(run, why), notices=tuple(notices))


def _refuse(answer: Answer, why: str) -> Answer:
    return replace(answer, check=replace(_also(answer.check, why), conclusion="failure"))


def _also(check: Check, what: str) -> Check:
    """The check with something before its title, which is what people see where they merge."""
    return replace(check, title=f"{what} · {check.title}")


def _with(check: Check, mark: override.Override | None) -> Check:
    """The check under a label: green where it counts, and it says who set it."""
    return replace(check, overridden=words.overridden(mark)) if mark and mark.counts else check


def _into(pull: Pull) -> str:
    return "" if pull.into_default else pull.base_name
