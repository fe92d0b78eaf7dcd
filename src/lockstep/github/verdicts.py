"""What of a run's word is believed, and the answer that it becomes."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass, replace

from lockstep.github import commits, override, rollbacks, words
from lockstep.github.api import Api
from lockstep.github.artifact import LOCK, Bundle, Poisoned
from lockstep.github.checks import Check
from lockstep.github.runs import Run
from lockstep.markdown import escape

MODEL = "model/model.onnx"
"""What a lock names where there is a model."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is going to be said; `report` is not tamed yet. `commit` is the one of the moved files, if there is one."""

    check: Check
    report: str
    notices: tuple[str, ...] = ()
    foot: str = ""
    commit: str = ""


def believe(api: Api, found: Bundle | Poisoned, bases: Collection[str]) -> Bundle:
    """What a run left, if it is about what GitHub says it must be about: one of these bases, the head's own tree.

    Raises `Poisoned`, or `OtherTree` as `commits.insist` does.
    """
    if isinstance(found, Poisoned):
        raise found
    base, document = found.manifest.base, found.document
    if base not in bases:
        must = " or ".join(sorted({each[:7] for each in bases}))
        raise Poisoned(f"It was compared with {base[:7]}, and what this branch has of its base is {must}.")
    commits.insist(api, found)
    rollbacks.insist(api, found)
    if document.conclusion == "success" and document.word == "first model" and _has_a_model(api, base):
        raise Poisoned(f"It is called a first model, and the lock of its base {base[:7]} names one.")
    return found


def _has_a_model(api: Api, sha: str) -> bool:
    found = api.find(f"contents/{LOCK}", ref=sha)
    return found is not None and MODEL.encode() in base64.b64decode(found["content"])


def check_of(run: Run, bundle: Bundle, into: str) -> Check:
    """The verdict as a check."""
    document = bundle.document
    lines = [f"- {escape(gate.title)}: {gate.state}" for gate in document.gates]
    summary = "\n".join([escape(document.sentence), "", *words.rollback_lines(document), *lines])
    return Check(
        conclusion=document.conclusion, judged=True, title=document.headline, summary=summary, url=run.url, into=into
    )


def unjudged(run: Run, why: str, into: str, where: str = "") -> Check:
    """The check of a run that says nothing."""
    title = f"could not be judged{where}"
    return Check(conclusion="failure", judged=False, title=title, summary=why, url=run.url, into=into)


def refuse(answer: Answer, why: str) -> Answer:
    """The answer as a failure."""
    return replace(answer, check=replace(also(answer.check, why), conclusion="failure"))


def also(check: Check, what: str) -> Check:
    """The check with something before its title, which is what people see where they merge."""
    return replace(check, title=f"{what} · {check.title}")


def marked(check: Check, mark: override.Override | None) -> Check:
    """The check under a label: green where it counts, and it says who set it."""
    return replace(check, overridden=words.overridden(mark)) if mark and mark.counts else check
