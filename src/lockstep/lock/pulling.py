"""What the lock names and this machine lacks, brought from a remote by hash before anything runs."""

from __future__ import annotations

from pathlib import Path

from lockstep.errors import InputError, OutsideError
from lockstep.lock import fresh, objects
from lockstep.lock.entries import FILE
from lockstep.lock.shortly import shortened
from lockstep.remotes import config
from lockstep.remotes.child import Patience
from lockstep.running.console import say

PR = "pr"
"""The remote that pull requests write to."""

BRIEF = Patience(stall=15, tries=2)
"""Whoever works where there is no network must not wait for it long."""


def pull(root: Path) -> None:
    """Bring what DVC's cache lacks, where a remote is configured, and say what came of it.

    What no remote has is left to `repro`, and all of it when none can be used: a machine without network or key makes
    the same bytes, only later.
    """
    settings = config.read(root)
    if settings.default is None and PR not in settings.remotes:
        return
    asked: set[str] = set()
    for _ in range(2):  # listings first; only then are their files known
        lacking = [each for each in objects.needed(root, fresh.read_lock(root)) if each.md5 not in asked]
        lacking = [each for each in lacking if objects.find(root, each.md5) is None]
        if not lacking or not _bring(root, lacking):
            return
        asked |= {each.md5 for each in lacking}


def _bring(root: Path, lacking: list[objects.Object]) -> bool:
    """Did a remote answer?"""
    from lockstep.remotes import transfer

    try:
        brought = transfer.bring(root, [each.md5 for each in lacking], patience=BRIEF)
    except (InputError, OutsideError) as error:
        say(f"{str(error).rstrip('.')}. What it may hold is made here instead")
        return False
    for md5, remote in brought.damaged.items():
        say(transfer.damaged_sentence(root, md5, remote))
    if gone := [each.path for each in lacking if each.md5 in brought.absent]:
        count = "an object" if len(gone) == 1 else f"{len(gone)} objects"
        say(f"{FILE} names {count} that no remote has, made here instead: {shortened(gone)}")
    return True
