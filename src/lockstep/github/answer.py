"""What is said of a run that has ended: commit of the lock, comment, check run.

This side is trusted, and may write; what the run left is data that anybody may have made. So the pull request, its base
and what it changes are asked of GitHub, and the artifact gives only the verdict's words and files from a fixed list.
All of it may be done again: an answer that broke off is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from lockstep.errors import LockstepError, OutsideError, Refused
from lockstep.github import checks, comment, commits, judges, override, queue, runs, words
from lockstep.github.api import Api, ApiError
from lockstep.github.artifact import Bundle, Poisoned
from lockstep.github.checks import Check
from lockstep.github.desk import Desk
from lockstep.github.locking import with_lock
from lockstep.github.override import Override
from lockstep.github.runs import Pull, Run
from lockstep.github.task import behind
from lockstep.github.verdicts import Answer, also, believe, check_of, marked, refuse, unjudged
from lockstep.markdown import escape
from lockstep.running.console import say

__all__ = ["Desk", "of_label", "of_run"]

REQUIRED = "test.yml"
"""The workflow whose checks are required as well: GitHub starts none for a commit made with a workflow's token."""


def of_run(desk: Desk, run: Run) -> list[str]:
    """Answer a run that has ended; says in sentences what was done.

    Raises what GitHub's API raised, and records where it can that nothing could be judged; `Refused` for a CML that is
    not the recorded one, and what writing the comment raised, both after the verdict was recorded.
    """
    if run.conclusion == "action_required":
        return ["the run waits for somebody to approve it: nothing to say yet"]
    into = queue.into_of(desk, run) if run.event == "merge_group" else ""
    with _recorded(desk.api, run, into):
        found = _found(desk.api, run)
        if run.event == "merge_group":
            return [queue.answer(desk, run, found)]
        pulls = _about(desk.api, run, runs.pull_of(desk.api, run), found)
    said, troubles = [], list[LockstepError]()
    for pull in pulls:
        with _recorded(desk.api, run, _into(pull)):
            said.append(_of_pull(desk, run, pull, found, troubles))
    if troubles:
        say("\n".join(said))
        raise troubles[0]
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
    made = checks.put(desk.api, marked(last, mark), pull.head)
    newer = checks.latest(desk.api, pull.head, _into(pull), before=made)
    if newer not in (None, last):
        # A run was answered meanwhile, and its verdict is the newer one.
        last = newer
        checks.put(desk.api, marked(last, mark), pull.head)
    comment.change_override(desk.api, number, words.override_notice(mark), environ=desk.environ)
    return words.overridden(mark) or f"the label is gone: {last.conclusion}"


@contextmanager
def _recorded(api: Api, run: Run, into: str) -> Iterator[None]:
    """Where GitHub's API fails, the commit says so: silence would leave an older verdict, or none, to stand."""
    try:
        yield
    except OutsideError as error:
        with suppress(OutsideError):
            checks.put(api, unjudged(run, f"{escape(str(error))} Run comment.yml again.", into), run.sha)
        raise


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


def _of_pull(desk: Desk, run: Run, pull: Pull, found: Bundle | Poisoned, troubles: list[LockstepError]) -> str:
    """Answer it in one pull request. What goes wrong with the comment is added to `troubles`."""
    answer = _started(desk, pull, _judge(desk, run, pull, found))
    mark = override.look(desk.api, pull.number, run.sha)
    trouble = _commented(desk, run, pull, answer, mark)
    if trouble:
        troubles.append(trouble)
        answer = _uncommented(answer, trouble)
    shas = [run.sha, *([answer.commit] if answer.commit else [])]
    _record(desk.api, marked(answer.check, mark), shas)
    # A label is answered in a job of its own: one that was set or taken away meanwhile may have been overtaken.
    now = override.look(desk.api, pull.number, run.sha)
    if now != mark:
        _record(desk.api, marked(answer.check, now), shas)
        comment.change_override(desk.api, pull.number, words.override_notice(now), environ=desk.environ)
    check = marked(answer.check, now)
    return f"pull request {pull.number} at {run.sha[:7]}: {check.overridden or f'{check.conclusion}: {check.title}'}"


def _judge(desk: Desk, run: Run, pull: Pull, found: Bundle | Poisoned) -> Answer:
    changed = judges.changed(desk.api, pull, run.sha)
    impostors = checks.impostors(desk.api, run.sha, _into(pull))
    boxes = [
        words.judges_notice(changed), words.impostor_notice(impostors) if impostors else "", words.runs_notice(changed)
    ]  # fmt: skip
    notices = tuple(notice for notice in boxes if notice)
    try:
        bundle = believe(desk.api, found, [changed.merge_base])
    except (Poisoned, commits.OtherTree) as why:
        late = escape(behind(pull.base_name, changed.behind)).replace("\\`", "`") if changed.behind else ""
        said = f"{why} {late}".strip()
        return Answer(check=unjudged(run, said, _into(pull)), report=words.unjudged(run, said), notices=notices)
    if notice := words.rollback_notice(bundle.document):
        notices = (*notices, notice)
    answer = Answer(
        check=check_of(run, bundle, _into(pull)), report=bundle.report, foot=words.foot(pull, run, bundle),
        notices=notices,
    )  # fmt: skip
    return with_lock(desk, run, pull, bundle, _suspected(answer, changed, impostors))


def _suspected(answer: Answer, changed: judges.Changed, impostors: list[str]) -> Answer:
    """The answer with what people must know who see no more than its title."""
    if changed.judges:
        answer = replace(answer, check=also(answer.check, "changes what judges it"))
    if not changed.complete:
        answer = refuse(answer, "more files changed than GitHub lists")
    return refuse(answer, "something else calls itself lockstep verdict") if impostors else answer


def _started(desk: Desk, pull: Pull, answer: Answer) -> Answer:
    """Start the tests on the lock's commit, unless an App made it."""
    if not answer.commit or desk.committer is not None:
        return answer
    try:
        desk.api.post(f"actions/workflows/{REQUIRED}/dispatches", {"ref": pull.branch})
    except ApiError as error:
        return replace(answer, notices=(*answer.notices, words.unstarted_notice(str(error))))
    return answer


def _commented(desk: Desk, run: Run, pull: Pull, answer: Answer, mark: Override | None) -> LockstepError | None:
    """Write the comment, unless the branch has moved on; returns what went wrong."""
    if pull.head not in (run.sha, answer.commit):
        return None
    body = comment.compose(
        override=words.override_notice(mark), verdict=words.verdict_line(answer.check), notices=answer.notices,
        report=answer.report, foot=answer.foot, run=run.url,
    )  # fmt: skip
    try:
        comment.put(desk.api, pull.number, body, environ=desk.environ)
    except (OutsideError, Refused) as error:
        return error
    return None


def _uncommented(answer: Answer, trouble: LockstepError) -> Answer:
    """The answer whose check says what the comment should have, where it was not written as it should be."""
    summary = "\n\n".join([f"The comment: {escape(str(trouble))}", *answer.notices, answer.check.summary])
    return replace(answer, check=replace(answer.check, summary=summary))


def _record(api: Api, check: Check, shas: list[str]) -> None:
    for sha in shas:
        checks.put(api, check, sha)


def _into(pull: Pull) -> str:
    return "" if pull.into_default else pull.base_name
