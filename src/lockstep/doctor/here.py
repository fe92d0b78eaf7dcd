"""The checks of this clone: git, the merge driver, DVC's remotes, the lock. Nothing is asked of GitHub."""

from __future__ import annotations

import platform
import shlex
import shutil
from collections.abc import Mapping, Sequence

from lockstep.doctor.check import Check, Found, State, fail, failed, ok, unknown, warn
from lockstep.doctor.clone import Clone
from lockstep.errors import InputError, OutsideError
from lockstep.lock import merging
from lockstep.remotes import configure, transfer
from lockstep.remotes.child import Denied
from lockstep.remotes.config import FILE, LOCAL, Remote, without_secrets
from lockstep.revision import is_shallow
from lockstep.running import versions

MERGED = ("dvc.lock", "dvc.lock.seal")
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
            " && ".join(f"dvc remote modify {name} verify true" for name in unverified),
        )
    if transfer.PR not in settings.remotes:
        return warn("pull requests have none of their own", f"lockstep remote {without_secrets(settings.main.url)}")
    return ok(f"{', '.join(settings.remotes)}; {settings.default} is the default")


def secrets(clone: Clone) -> Found:
    """Is there a credential in what git keeps, or on its way there?"""
    found = configure.secrets(clone.root)
    if found:
        return fail(
            f"{FILE}, which is in git, holds {', '.join(found)}: whoever can read it has it, so make a new one",
            configure.unset(found),
        )
    if clone.git("ls-files", "--error-unmatch", LOCAL) is not None:
        return fail(f"git keeps {LOCAL}, where credentials may stand", f"git rm --cached {LOCAL}")
    if clone.git("check-ignore", "--quiet", LOCAL) is None:
        return fail(f"git does not ignore {LOCAL}", "echo /config.local >> .dvc/.gitignore")
    return ok(f"none in {FILE}")


def main_remote(clone: Clone) -> Found:
    """Does the default remote answer, and can it be written to?"""
    there = clone.remotes.main
    return _reach(clone, there) if there else unknown("there is none")


def pr_remote(clone: Clone) -> Found:
    """Does the remote of pull requests answer, and can it be written to?"""
    there = clone.remotes.remotes.get(transfer.PR)
    return _reach(clone, there) if there else unknown("there is none")


def _reach(clone: Clone, there: Remote) -> Found:
    if there.name not in clone.reached:
        clone.reached[there.name] = _probe(clone, there)
    return clone.reached[there.name]


def _probe(clone: Clone, there: Remote) -> Found:
    try:
        left = transfer.probe(clone.root, there.name)
    except Denied as denied:
        return _read(clone, there, denied)
    except (InputError, OutsideError) as error:
        return failed(error)
    stays = f"; a file of 9 bytes stays there, {left}, since nothing can be removed" if left else ""
    return ok(f"{without_secrets(there.url)} answers and can be written to{stays}")


def _read(clone: Clone, there: Remote, denied: Denied) -> Found:
    try:
        transfer.missing(clone.root, ["0" * 32], there.name)
    except OutsideError:
        return fail(denied.short, denied.remedy)
    return warn(f"it can be read from here, not written to: {denied.short}", denied.remedy)


def unpushed(clone: Clone) -> Found:
    """Does the default remote hold what dvc.lock needs?"""
    there = clone.remotes.main
    if there is None:
        return unknown("there is no remote")
    if not clone.objects:
        return unknown("dvc.lock needs none yet", "make repro")
    if _reach(clone, there).state is State.FAIL:
        return unknown(f"`{there.name}` cannot be asked")
    looked = _look(clone, there)
    if looked.damaged:
        return _damaged(there, looked)
    if not looked.missing:
        return ok(f"`{there.name}` holds all {len(looked.sizes)} objects of dvc.lock")
    count = f"{len(looked.missing)} of {len(looked.sizes)} objects of dvc.lock"
    if _waits(clone, looked.missing):
        return ok(f"{count} are in `{transfer.PR}` until they are merged, the others in `{there.name}`")
    return warn(f"{count} are not in `{there.name}`", "lockstep push")


def _look(clone: Clone, there: Remote) -> transfer.Looked:
    """Listings are read to know their files, and not kept: nothing changes here."""
    from lockstep.lock import objects

    unlisted = [each.md5 for each in objects.unlisted(clone.root, clone.objects)]
    sizes = {each.md5: each.size for each in clone.objects}
    return transfer.look(clone.root, sizes, there.name, unlisted=unlisted, keep=False)


def _damaged(there: Remote, looked: transfer.Looked) -> Found:
    removals = [there.removal(md5) for md5 in looked.damaged]
    return fail(
        f"`{there.name}` holds {len(removals)} of {len(looked.sizes)} objects of dvc.lock cut off, or with other bytes",
        " && ".join([*removals, f"lockstep push --remote {there.name}"]),
    )


def _waits(clone: Clone, md5s: Sequence[str]) -> bool:
    """Does the remote of pull requests hold them?"""
    there = clone.remotes.remotes.get(transfer.PR)
    if there is None or _reach(clone, there).state is State.FAIL:
        return False
    return not transfer.missing(clone.root, md5s, there.name)


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
