"""The checks of this clone: git, the merge driver, DVC's remotes, the lock. Nothing is asked of GitHub."""

from __future__ import annotations

import platform
import shlex
import shutil
from collections.abc import Mapping

from lockstep.doctor.check import Check, Found, State, fail, ok, unknown, warn
from lockstep.doctor.clone import Clone
from lockstep.errors import InputError, OutsideError
from lockstep.lock import merging
from lockstep.remotes import configure, transfer
from lockstep.remotes.child import Denied, Patience
from lockstep.remotes.config import FILE, LOCAL, Remote, without_secrets
from lockstep.revision import is_shallow
from lockstep.running import versions

MERGED = ("dvc.lock", "dvc.lock.seal")
QUICK = Patience(stall=15.0, tries=1)
MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}


def git_remote(clone: Clone) -> Found:
    """Is there somewhere to push to?"""
    if clone.git("rev-parse", "--git-dir") is None:
        return fail("this is no git repository", "git init && git add --all && git commit")
    if clone.origin is None:
        return fail("git has no remote `origin`", "git remote add origin git@github.com:OWNER/NAME.git")
    where = without_secrets(clone.origin)
    return ok(f"origin is {where}") if clone.repository else warn(f"origin is {where}, which is not on GitHub")


def history(clone: Clone) -> Found:
    """Are the commits here that reports compare with?"""
    if is_shallow(clone.root):
        return fail("this clone is shallow: the base of a report may be missing", "git fetch --unshallow")
    if clone.branch is None:
        return warn("the default branch is not known here", "git fetch origin && git remote set-head origin --auto")
    return ok(f"complete; the default branch is {clone.branch}")


def merge_driver(clone: Clone) -> Found:
    """Does git merge the lock and its seal with our driver?"""
    by_text = [name for name in MERGED if not _driven(clone, name)]
    if by_text:
        lines = "\\n".join(f"{name} merge={merging.DRIVER}" for name in by_text)
        return fail(
            f".gitattributes does not name it for {' and '.join(by_text)}", f"printf '{lines}\\n' >> .gitattributes"
        )
    driver = clone.git("config", "--get", f"merge.{merging.DRIVER}.driver")
    install = "lockstep merge-driver --install"
    if not driver:
        return fail("not installed: git would merge dvc.lock as text, without a word", install)
    if "merge-driver" not in driver:
        return warn(f"git would run `{driver}`", install)
    if not _is_there(driver):
        return fail("git would call a program that is not there, and merge dvc.lock as text", install)
    return ok("installed")


def _is_there(command: str) -> bool:
    try:
        return shutil.which(shlex.split(command)[0]) is not None
    except ValueError:  # a quotation without end
        return False


def _driven(clone: Clone, name: str) -> bool:
    return (clone.git("check-attr", "merge", "--", name) or "").endswith(f": {merging.DRIVER}")


def remote(clone: Clone) -> Found:
    """Are data and models kept anywhere but here, and verified when they come back?"""
    settings = clone.remotes
    if not settings.remotes:
        return warn("none: only this machine and CI's cache keep data and models", "lockstep remote s3://BUCKET/FOLDER")
    if settings.main is None:
        return fail("there is no default among them", f"dvc remote default {next(iter(settings.remotes))}")
    unverified = [name for name, each in settings.remotes.items() if each.options.get("verify", "").lower() != "true"]
    if unverified:
        return fail(
            f"DVC would take damaged objects from {', '.join(unverified)} without a word",
            f"dvc remote modify {unverified[0]} verify true",
        )
    if transfer.PR not in settings.remotes:
        return warn("pull requests have none of their own", f"lockstep remote {without_secrets(settings.main.url)}")
    return ok(f"{', '.join(settings.remotes)}; {settings.default} is the default")


def secrets(clone: Clone) -> Found:
    """Is there a credential in what git keeps, or on its way there?"""
    found = configure.secrets(clone.root)
    if found:
        name, _, option = found[0].partition(".")
        return fail(
            f"{FILE}, which is in git, holds {', '.join(found)}: whoever can read it has it, so change it there too",
            f"dvc remote modify --unset {name} {option}" if option != "url" else f"dvc remote modify {name} url URL",
        )
    if clone.git("ls-files", "--error-unmatch", LOCAL) is not None:
        return fail(f"git keeps {LOCAL}, where credentials may stand", f"git rm --cached {LOCAL}")
    if clone.git("check-ignore", "--quiet", LOCAL) is None:
        return fail(f"git does not ignore {LOCAL}", "echo /config.local >> .dvc/.gitignore")
    return ok(f"none in {FILE}")


def main_remote(clone: Clone) -> Found:
    """Can the default remote be reached, read and written to?"""
    there = clone.remotes.main
    return _reach(clone, there) if there else unknown("there is none")


def pr_remote(clone: Clone) -> Found:
    """Can the remote of pull requests be reached, read and written to?"""
    there = clone.remotes.remotes.get(transfer.PR)
    return _reach(clone, there) if there else unknown("there is none")


def _reach(clone: Clone, there: Remote) -> Found:
    if there.name not in clone.reached:
        clone.reached[there.name] = _probe(clone, there)
    return clone.reached[there.name]


def _probe(clone: Clone, there: Remote) -> Found:
    try:
        transfer.probe(clone.root, there.name, patience=QUICK)
    except Denied as denied:
        return _read(clone, there, denied)
    except (InputError, OutsideError) as error:
        return fail(str(error))
    return ok(f"{without_secrets(there.url)} can be read and written to")


def _read(clone: Clone, there: Remote, denied: Denied) -> Found:
    try:
        transfer.missing(clone.root, ["0" * 32], there.name, patience=QUICK)
    except OutsideError:
        return fail(str(denied))
    return warn(f"it can be read from here, not written to: {denied}")


def unpushed(clone: Clone) -> Found:
    """Does the default remote hold what dvc.lock needs?"""
    there = clone.remotes.main
    if there is None:
        return unknown("there is no remote")
    if not clone.objects:
        return unknown("dvc.lock needs none yet", "make repro")
    if _reach(clone, there).state is State.FAIL:
        return unknown(f"`{there.name}` cannot be asked")
    lacking = transfer.missing(clone.root, [each.md5 for each in clone.objects], there.name, patience=QUICK)
    if not lacking:
        return ok(f"`{there.name}` holds all {len(clone.objects)} objects of dvc.lock")
    count = f"{len(lacking)} of {len(clone.objects)} objects of dvc.lock"
    if _waits(clone, lacking):
        return ok(f"{count} are in `{transfer.PR}` until they are merged, the others in `{there.name}`")
    return warn(f"{count} are not in `{there.name}`", "lockstep push")


def _waits(clone: Clone, md5s: list[str]) -> bool:
    """Does the remote of pull requests hold them?"""
    there = clone.remotes.remotes.get(transfer.PR)
    if there is None or _reach(clone, there).state is State.FAIL:
        return False
    return not transfer.missing(clone.root, md5s, there.name, patience=QUICK)


def of_lock(clone: Clone) -> Found:
    """Would this machine make the bytes that the lock names?"""
    recorded = versions.read(clone.root)
    here = f"{platform.system().lower()}/{MACHINES.get(platform.machine(), platform.machine())}"
    wanted = recorded.get("platform", versions.PLATFORM)
    if here != wanted:
        return warn(f"the lock is made on {wanted}, this is {here}: bytes may differ here, and CI's lock counts")
    locked = recorded.get("python", versions.python())
    if locked != versions.python():
        return warn(
            f"the lock is made with Python {locked}, this is {versions.python()}",
            f"make clean && PYTHON=python{locked} make repro",
        )
    return ok(f"{wanted}, Python {locked}, as here")


CHECKS: Mapping[str, Check] = {
    "git-remote": Check(title="git remote", look=git_remote),
    "history": Check(title="history", look=history),
    "merge-driver": Check(title="merge driver", look=merge_driver),
    "platform": Check(title="platform of the lock", look=of_lock),
    "remotes": Check(title="DVC remotes", look=remote),
    "secrets": Check(title="secrets in git", look=secrets),
    "main": Check(title="default remote", look=main_remote),
    "pr": Check(title="remote for pull requests", look=pr_remote),
    "unpushed": Check(title="objects of the lock", look=unpushed),
}
