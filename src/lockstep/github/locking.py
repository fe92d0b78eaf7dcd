"""The lock that a run moved: committed where that is ours to do, else its author is told how."""

from __future__ import annotations

from dataclasses import replace

from lockstep.errors import OutsideError
from lockstep.github import commits, words
from lockstep.github.artifact import Bundle
from lockstep.github.desk import Desk
from lockstep.github.runs import Pull, Run
from lockstep.github.verdicts import Answer, refuse
from lockstep.markdown import code, escape

MOVED_ON = "The branch has moved on meanwhile: a run of its own judges its newest commit."


def with_lock(desk: Desk, run: Run, pull: Pull, bundle: Bundle, answer: Answer) -> Answer:
    """The answer with the lock's commit; a refusal where there is none, whatever the verdict."""
    if not words.changed_paths(bundle):
        return answer
    why, made = _why_not_ours(desk, run, pull), ""
    if not why:
        made, why = _locked(desk, pull, bundle)
    if made:
        return replace(answer, commit=made, notices=(*answer.notices, words.committed_notice(made, bundle)))
    refused = refuse(answer, "the lock is to be committed")
    return replace(refused, notices=(words.uncommitted_notice(why, bundle), *answer.notices))


def _why_not_ours(desk: Desk, run: Run, pull: Pull) -> str:
    """Why the lock is not ours to commit; "" when it is."""
    if not (pull.is_of(desk.api.repository) and run.is_of(desk.api.repository)):
        return "This branch is in a fork, where nothing is written from here."
    if desk.authors_commit:
        return "In this repository authors commit the lock."
    if pull.branch == desk.default_branch:
        return f"Nothing is written to {code(pull.branch)} from here."
    return ""


def _locked(desk: Desk, pull: Pull, bundle: Bundle) -> tuple[str, str]:
    """The commit, or why there is none. One that an earlier answer made, and did not live to tell of, is recognised."""
    head = pull.head
    if head == bundle.manifest.head:
        try:
            return commits.commit(desk.committer or desk.api, pull, bundle, _message(bundle)), ""
        except commits.Moved:
            head = commits.head(desk.api, pull)
        except (commits.OtherTree, OutsideError) as error:
            return "", f"It could not be committed here: {escape(str(error), 600)}"
    return (head, "") if head and commits.is_made_of(desk.api, head, bundle) else ("", MOVED_ON)


def _message(bundle: Bundle) -> tuple[str, str]:
    head = bundle.manifest.head
    return f"Lock what {head[:7]} makes", f"Evaluated at {head} against {bundle.manifest.base}: {bundle.document.word}."
