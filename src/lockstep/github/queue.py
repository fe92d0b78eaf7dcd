"""What is said of a group of the merge queue: nothing is committed or commented."""

from __future__ import annotations

from lockstep.errors import InputError
from lockstep.github import checks, override, runs, words
from lockstep.github.api import part
from lockstep.github.artifact import Bundle, Poisoned
from lockstep.github.checks import Check
from lockstep.github.commits import OtherTree
from lockstep.github.desk import Desk
from lockstep.github.runs import Run
from lockstep.github.verdicts import believe, check_of, marked, unjudged


def answer(desk: Desk, run: Run, found: Bundle | Poisoned) -> str:
    """Record the verdict on a group's commit. That its lock is not true is a failure which no label lifts."""
    branch, number, base = _group(run)
    into = into_of(desk, run)
    try:
        bundle = _trusted(desk, run, found, branch, base)
    except (Poisoned, OtherTree) as why:
        check = unjudged(run, str(why), into, " in the queue")
    else:
        check = _check(desk, run, bundle, number, into)
    checks.put(desk.api, check, run.sha)
    return f"the queue's {run.sha[:7]}: {check.overridden or f'{check.conclusion}: {check.title}'}"


def into_of(desk: Desk, run: Run) -> str:
    """The branch that a group is merged into; "" when that is the default one."""
    branch, _, _ = _group(run)
    return "" if branch == desk.default_branch else branch


def _group(run: Run) -> tuple[str, int, str]:
    if run.queue is None:
        raise InputError(f"`{run.branch}` is not a branch of a merge queue")
    return run.queue


def _trusted(desk: Desk, run: Run, found: Bundle | Poisoned, branch: str, base: str) -> Bundle:
    """A group stands on the one before it, which its branch's name tells, or on what it is merged into."""
    if isinstance(found, Bundle) and words.changed_paths(found):
        raise Poisoned("The lock of what would be merged is not true: its stages ran again and gave other results.")
    if isinstance(found, Poisoned):
        raise found
    common = desk.api.get(f"compare/{part(branch)}...{run.sha}")["merge_base_commit"]["sha"]
    return believe(desk.api, found, {base, common})


def _check(desk: Desk, run: Run, bundle: Bundle, number: int, into: str) -> Check:
    pull = runs.pull(desk.api, number)
    mark = override.look(desk.api, number, pull.head) if pull else None
    return marked(check_of(run, bundle, into), mark)
