"""The process that moves objects: reads one job, says on stdout what is done, ends when whoever started it ends.

Each line is a JSON object: `{"moved": true}` when bytes have moved, `{"done": md5, "found": …}` for one object, and at
the end `{"end": true}` or `{"stopped": kind, "why": sentence}`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lockstep.remotes.progress import Progress
from lockstep.remotes.stores import Step, Store, open_store

OK, THERE, ABSENT, DAMAGED, OTHER, LEFT = "ok", "there", "absent", "damaged", "other", "left"
PROBE = b"lockstep\n"
FILES_AT_A_TIME = 8

_lock = threading.Lock()


class LocalError(Exception):
    """This machine, not the remote, is in the way."""


def say(**values: object) -> None:
    """One line to whoever started this."""
    with _lock:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()


def _speak_alone() -> None:
    """What libraries print goes to stderr: stdout is for `say`."""
    mouth = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(mouth, "w", encoding="utf-8")


def main() -> None:
    """Do the job that the first line of stdin describes."""
    _speak_alone()
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True, name="parent").start()
    progress = Progress(lambda: say(moved=True))
    try:
        path, base = (Path(job[name]) if job.get(name) else None for name in ("path", "base"))
        store = open_store(Path(job["root"]), job["remote"], path, base)
        progress.step()  # imports are done
        _do(ACTIONS[job["action"]], store, job["items"], job["jobs"], progress.step)
    except Exception as error:  # noqa: BLE001  (said with its kind and reason to whoever started this)
        say(stopped=kind_of(error), why=reason(error))
    else:
        say(end=True)
    # A library's own threads may still wait for a dead connection.
    sys.stdout.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """The other end of stdin closes when the parent ends, however it ends."""
    sys.stdin.read()
    os._exit(1)


Item = Mapping[str, Any]
Action = Callable[[Store, Item, Step], object]


def _do(action: Action, store: Store, items: Sequence[Item], jobs: int, step: Step) -> None:
    """All items, several at a time. The first failure ends it, and waits for none of the others.

    Listings come when all else went well: where a listing is, its files are.
    """
    pool = ThreadPoolExecutor(jobs)

    def one(item: Item) -> object:
        found = action(store, item, step)
        say(done=item["md5"], found=found)
        return found

    for listings in (False, True):
        chosen = [item for item in items if item["md5"].endswith(".dir") == listings]
        results = [future.result() for future in as_completed([pool.submit(one, item) for item in chosen])]
        if action is put and not {OK, THERE}.issuperset(results):
            break


def look(store: Store, item: Item, step: Step) -> dict[str, Any]:
    """How many bytes the remote holds under that name, None without the object. A listing that has a place in a cache
    is brought there, and its files are looked for as well. `damaged`: its bytes are not those of its name.
    """
    md5 = item["md5"]
    answer = get(store, item, step) if "cache" in item else None
    if answer != OK:
        sizes = {md5: None if answer == ABSENT else store.size(md5)}
        step()
        return {"sizes": sizes, "damaged": answer == DAMAGED}
    name = Path(item["cache"])
    files = list(dict.fromkeys(bare(file["md5"]) for file in json.loads(name.read_bytes())))
    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        sizes = dict(zip(files, pool.map(store.size, files), strict=True))
    step()
    return {"sizes": {md5: name.stat().st_size, **sizes}, "damaged": False}


def get(store: Store, item: Item, step: Step) -> str:
    """Bring an object into the cache: it gets its name when its bytes have that hash. What arrives damaged is asked for
    once more.
    """
    name = Path(item["cache"])
    for _ in range(2):
        arrived = Path(item["beside"])
        try:
            store.get(item["md5"], arrived, step)
        except FileNotFoundError:
            if store.size(item["md5"]) is None:  # which raises when the bucket itself is not there
                return ABSENT
            raise
        if digest(arrived, step) == bare(item["md5"]):
            with _local():
                _keep(arrived, name, shared=item["shared"])
            return OK
        arrived.unlink()
    return DAMAGED


@contextmanager
def _local() -> Iterator[None]:
    """Where a refusal is this machine's own, and no remote's."""
    try:
        yield
    except PermissionError as error:
        raise LocalError(reason(error)) from error


def _keep(arrived: Path, name: Path, *, shared: bool) -> None:
    """Read-only, as DVC keeps its cache; folders writable for the group where it is shared."""
    arrived.chmod(0o444)
    fresh = not name.parent.exists()
    name.parent.mkdir(parents=True, exist_ok=True)
    if shared and fresh:
        name.parent.chmod(0o2775)
    # What lies there was found wanting by whoever asked for this object.
    arrived.replace(name)


def put(store: Store, item: Item, step: Step) -> str:
    """Add an object to the remote, after a look at its bytes. What the remote has stays as it is."""
    source = Path(item["cache"])
    there = store.size(item["md5"])
    step()
    if there is not None:
        return OTHER if _is_other(source, there, item["md5"], step) else THERE
    if not source.exists():
        return ABSENT
    with _local():
        whole = digest(source, step) == bare(item["md5"])
    if not whole:
        return DAMAGED
    try:
        store.put(item["md5"], source, step)
    except OSError:
        if store.size(item["md5"]) != source.stat().st_size:  # or else someone was faster
            raise
    step()
    return OK


def _is_other(source: Path, size: int, md5: str, step: Step) -> bool:
    """Has the remote's object another size than the whole one here? Some servers know no sizes, and say 0."""
    return bool(size and source.exists() and source.stat().st_size != size and digest(source, step) == bare(md5))


def probe(store: Store, item: Item, step: Step) -> str:
    """Can the remote be asked and written to? `left`: a small object stayed there, because nothing may be removed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.write_bytes(PROBE)
        return LEFT if store.try_writing(item["md5"], source, step) else OK


ACTIONS: Mapping[str, Action] = {"look": look, "get": get, "put": put, "probe": probe}


def bare(md5: str) -> str:
    """The hash without the ending of a directory's listing."""
    return md5.removesuffix(".dir")


def digest(path: Path, step: Step) -> str:
    """The md5 of a file's bytes."""
    found = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(2**20):
            found.update(piece)
            step()
    return found.hexdigest()


CONFIGURED = frozenset(
    {"ConfigError", "ConfigNotFound", "ConfigParseError", "ImportError", "InvalidRegionError", "NoRegionError"}
    | {"ProfileNotFound", "RemoteMissingDepsError"}
)
DENIED = frozenset(
    {"AuthError", "CredentialRetrievalError", "NoCredentialsError", "PartialCredentialsError", "PermissionError"}
)
"""Names of errors, because their libraries need not be installed."""


def kind_of(error: BaseException) -> str:
    """`local` (this machine is in the way), `full` (a disk), `configured` wrongly, `denied`, `absent` (the place
    itself), or `failed`, which may go well the next time.
    """
    names = {each.__name__ for each in type(error).__mro__}
    if isinstance(error, LocalError):
        return "local"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "full"
    if names & CONFIGURED:
        return "configured"
    if names & DENIED or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return "denied"
    if isinstance(error, (NotADirectoryError, IsADirectoryError)):
        return "absent"
    return "failed"


def reason(error: BaseException) -> str:
    """The error's own words, in one line, without the number that Python puts before them."""
    return re.sub(r"^\[Errno -?\d+\] ", "", " ".join(str(error).split())) or type(error).__name__


if __name__ == "__main__":
    main()
