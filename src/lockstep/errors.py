"""Every way to end that is not success, and its exit code. One handler turns them into words."""

from __future__ import annotations

import difflib
import errno
import sys
import traceback
from collections.abc import Callable, Iterable

USAGE = 2
BUG = 70
INTERRUPTED = 130


class LockstepError(Exception):
    """An expected failure: the message says what happened, the likely cause and what to do."""

    code = 1


class InputError(LockstepError):
    """What the user gave is wrong: the spec, the data, a file."""

    code = 1


class Refused(LockstepError):
    """A gate or check looked, understood, and said no."""

    code = 3


class OutsideError(LockstepError):
    """A remote, registry or API failed. It is safe to try again."""

    code = 4


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A closing sentence that names the closest allowed word, or nothing.

    >>> nearest("carier", ["carrier", "origin"])
    ' Did you mean `carrier`?'
    >>> nearest("xyz", ["carrier"])
    ''
    """
    found = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean `{found[0]}`?" if found else ""


def exit_code(work: Callable[[], object]) -> int:
    """Do `work`; say on stderr what went wrong, if anything, and return the exit code. The only handler there is."""
    try:
        work()
    except LockstepError as error:
        return _say(f"error: {error}", error.code)
    except KeyboardInterrupt:
        return _say("interrupted: nothing half-written was left; run it again", INTERRUPTED)
    except Exception as error:  # noqa: BLE001  (the traceback is shown)
        if _is_disk_full(error):
            return _say("error: the disk is full. Nothing half-written was left; free space, then run it again", 1)
        traceback.print_exc()
        return _say("This is a bug in Lockstep, or in code it called. Please report it with the lines above", BUG)
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(text + "\n")
    return code


def _is_disk_full(error: BaseException | None) -> bool:
    """The error, or one that led to it, is the operating system's 'no space left' or 'quota exceeded'."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
