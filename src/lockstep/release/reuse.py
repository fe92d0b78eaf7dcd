"""Which image may be released again, without building it: one whose digest we wrote down ourselves.

The tags of a version say it, once the branch `deploy` has had it; until then, a file of the machine that tried and
pushed it. That an image lies in the registry under the right tag, with the right labels, says nothing: whoever may push
there can write both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import Refused
from lockstep.release import chain, deployment, memory, versions
from lockstep.release.tags import Version
from lockstep.release.wanted import Wanted


@dataclass(frozen=True, kw_only=True)
class Known:
    """A digest, and why it may be believed. `proven`: the model in it was proven when it was made."""

    digest: str
    why: str
    proven: bool


def find(root: Path, wanted: Wanted, deploy: str, signed: str, progress: Callable[[str], None]) -> Known | None:
    """The image that is released again; None where one has to be built.

    `deploy` is the newest commit of that branch, "" without one. `signed` is what the caller says was built and signed
    for this release, "" for nothing: then it is this, or what the version's tags say. Raises `Refused` when the
    registry has neither, `OutsideError` when it cannot be asked.
    """
    for known in _known(root, wanted, deploy, signed):
        if chain.holds(wanted, known.digest):
            progress(f"no image is built: {known.digest} of {wanted.registry} is released again, since {known.why}")
            return known
        progress(f"{wanted.registry} has no {known.digest} of {wanted.version} any more, though {known.why}")
    if signed:
        raise Refused(f"{signed} is to be released, and {wanted.registry} has no such image of {wanted}")
    return None


def _known(root: Path, wanted: Wanted, deploy: str, signed: str) -> Iterator[Known]:
    for tag, facts in versions.told(root, wanted.name, Version.parse(wanted.version)).items():
        # A tag alone is not enough: one that was pushed by hand may say anything of a commit that nobody released.
        if facts["identity"] == wanted.identity and deployment.had(root, deploy, facts["digest"]):
            yield Known(digest=facts["digest"], why=f"the tag {tag} names it, and `deploy` has had it", proven=True)
    if signed:
        yield Known(digest=signed, why="it was given as the one that was signed", proven=True)
    elif digest := memory.recalled(root, wanted):
        yield Known(digest=digest, why="this machine has built, tried and pushed it", proven=False)
