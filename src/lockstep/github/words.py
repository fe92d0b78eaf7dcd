"""What the trusted side says in Markdown, above and below the report."""

from __future__ import annotations

from collections.abc import Iterable

from lockstep.github.artifact import Bundle
from lockstep.github.checks import OVERRIDDEN, Check
from lockstep.github.judges import Changed
from lockstep.github.override import LABEL, Override
from lockstep.github.runs import Pull, Run
from lockstep.judging import groups
from lockstep.markdown import LABEL as SHOWN
from lockstep.markdown import code, escape
from lockstep.report.record import Document

FILES = 8
"""Names that a notice lists."""

TITLE = 600
"""Characters of a verdict's line."""


def verdict_line(check: Check) -> str:
    """What stands above everything that a run has written: the verdict as the check has it."""
    return f"{code(check.name, 120)}: **{check.conclusion}** · {escape(check.title, TITLE)}"


def overridden(mark: Override | None) -> str:
    """One line about the label, as plain text; "" without one."""
    if mark is None:
        return ""
    when = mark.when.replace("T", " ").replace("Z", " UTC")
    if mark.counts:
        return f"{OVERRIDDEN} {mark.who}, who set the label “{LABEL}” at {when}"
    return f"The label “{LABEL}” of {mark.who}, {when}, does not count: {mark.why_not}"


def override_notice(mark: Override | None) -> str:
    """The same as a box above the report."""
    return box("IMPORTANT", f"**{escape(overridden(mark))}.**") if mark else ""


def box(kind: str, text: str) -> str:
    """One of GitHub's alerts: NOTE, IMPORTANT, WARNING."""
    return "\n".join([f"> [!{kind}]", *(f"> {line}".rstrip() for line in text.splitlines())])


def judges_notice(changed: Changed) -> str:
    """What is said when a branch changes what judges it; "" when it does not."""
    if changed.judges:
        return box(
            "WARNING",
            f"**This branch changes what judges it** ({', '.join(groups(changed.judges))}): {listed(changed.judges)}. "
            "The verdict below is the word of the branch's own code: read these files first.",
        )
    if not changed.complete:
        return box(
            "WARNING",
            "**More files changed than GitHub lists**, or the branch moved on while they were listed: what judges it "
            "may be among them.",
        )
    return ""


def runs_notice(changed: Changed) -> str:
    """What is said when a branch brings other code that runs while it is judged; "" when it does not."""
    if not changed.runs:
        return ""
    return box("NOTE", f"Code of this branch that runs while it is judged: {listed(changed.runs)}. Review it as code.")


def rollback_lines(document: Document) -> list[str]:
    """What stands above the gates of a rollback, and below; nothing for any other change."""
    if not document.rollback:
        return []
    return [f"What was released as {code(document.rollback, 120)}, again. The gates are shown, and do not decide.", ""]


def rollback_notice(document: Document) -> str:
    """What is said of a rollback: that it is one was looked at here; "" for any other change."""
    if not document.rollback:
        return ""
    return box(
        "NOTE",
        f"**{code(document.rollback, 120)} is in this repository, and this branch is what was released as it**: model, "
        "code, spec and lock. Only documentation may differ; `.github` and `deploy` are today's or that release's.",
    )


def impostor_notice(links: Iterable[str]) -> str:
    """What is said when a job of the branch bears the verdict's name."""
    return box(
        "WARNING",
        "**Something else on this commit calls itself `lockstep verdict`**, so it could satisfy what merging requires: "
        f"{listed(links, 200)}. Give that job another name.",
    )


def committed_notice(sha: str, bundle: Bundle) -> str:
    """What is said when the lock was committed."""
    return box(
        "NOTE",
        f"Committed as {sha} what this run made: {listed(changed_paths(bundle))}. `git pull` before you go on. "
        "The verdict holds for that commit too.",
    )


def unstarted_notice(why: str) -> str:
    """What is said when the tests could not be started on the lock's commit."""
    return box(
        "WARNING",
        f"**The tests were not started on that commit**: {escape(why, 300)}. If merging requires them, start them by "
        "hand, or push a commit of your own.",
    )


def uncommitted_notice(why: str, bundle: Bundle) -> str:
    """What an author is told whose lock nobody else commits."""
    return box(
        "IMPORTANT",
        f"**The lock is not of this branch yet**: {listed(changed_paths(bundle))}. {why} Until it is, this "
        "cannot be merged. On your machine:\n"
        "```sh\nmake repro\ngit add --all dvc.lock dvc.lock.seal model reports\n"
        "git commit -m 'The lock of this change'\ngit push\n```",
    )


def changed_paths(bundle: Bundle) -> list[str]:
    """Moved and removed files, sorted."""
    return sorted([*bundle.moved, *bundle.manifest.removed])


def listed(paths: Iterable[str], most: int = SHOWN) -> str:
    """Names as code, the first few, each of at most so many characters."""
    names = [*paths]
    more = f" and {len(names) - FILES:,} more" if len(names) > FILES else ""
    return ", ".join(code(name, most) for name in names[:FILES]) + more


def unjudged(run: Run, why: str) -> str:
    """The whole comment when nothing could be judged."""
    return (
        "## ❌ Lockstep could not judge this pull request\n\n"
        f"{why}\n\nThe [log of the run]({run.url}) says more. Until a run judges it, this cannot be merged"
        f" without the label {code(LABEL)} of somebody who may write here."
    )


def foot(pull: Pull, run: Run, bundle: Bundle) -> str:
    """Which commits, which run."""
    manifest = bundle.manifest
    return f"{manifest.head} of #{pull.number}, judged against {manifest.base} by [this run]({run.url})"
