"""Objects between cache and remote: a plain folder, and S3 that dies in mid-push, says 503, or holds other bytes."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import s3_stand_in
from conftest import require, wait_for
from lockstep.errors import InputError, OutsideError, exit_code
from lockstep.remotes import child, config, transfer, worker
from lockstep.remotes.child import Patience
from s3_stand_in import BUCKET, StandIn

HASTY = Patience(stall=3, tries=2, pause=0.05)
UNKNOWN = "0" * 32


class Clone:
    """A clone with a cache and no git; objects are made as they are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".dvc").mkdir(parents=True)

    def configure(self, default: str = "main", **urls: str) -> None:
        """Remotes by name; an option after a space, as in `s3://bucket endpointurl=…`."""
        text = f"[core]\n    remote = {default}\n"
        for name, url in urls.items():
            place, *options = url.split()
            text += f"['remote \"{name}\"']\n    url = {place}\n    verify = true\n"
            text += "".join(f"    {option.replace('=', ' = ', 1)}\n" for option in options)
        (self.root / ".dvc/config").write_text(text)

    def path(self, md5: str) -> Path:
        return self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]

    def add(self, content: bytes, ending: str = "") -> str:
        md5 = hashlib.md5(content).hexdigest() + ending
        self.path(md5).parent.mkdir(parents=True, exist_ok=True)
        self.path(md5).write_bytes(content)
        return md5

    def forget(self) -> None:
        shutil.rmtree(self.root / ".dvc/cache")

    def leftovers(self) -> list[Path]:
        return [*self.root.rglob("*.tmp")]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    (tmp_path / "store").mkdir()
    made.configure(main=str(tmp_path / "store"))
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    require(importlib.util.find_spec("moto"), "moto")
    with s3_stand_in.s3() as running:
        yield running


@pytest.fixture
def s3(server: StandIn, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The server, empty and without faults; the clone's remotes `main` and `pr` are in it."""
    for name, value in s3_stand_in.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    server.empty()
    option = f"endpointurl={server.url}"
    clone.configure(main=f"s3://{BUCKET}/x {option}", pr=f"s3://{BUCKET}/x/pr {option}")
    return server


def key(md5: str, prefix: str = "x") -> str:
    return f"{prefix}/files/md5/{md5[:2]}/{md5[2:]}"


def test_what_is_pushed_comes_back_in_another_clone(clone: Clone, tmp_path: Path) -> None:
    contents = {clone.add(b"a"): b"a", clone.add(b"[]", ".dir"): b"[]", clone.add(b""): b""}
    assert transfer.missing(clone.root, contents) == [*contents]
    done = transfer.push(clone.root, contents)
    assert (set(done.sent), done.there) == (set(contents), ())
    assert transfer.missing(clone.root, contents) == []
    other = Clone(tmp_path / "other")
    other.configure(main=str(tmp_path / "store"))
    assert transfer.fetch(other.root, [*contents, UNKNOWN]) == [UNKNOWN]
    assert {md5: other.path(md5).read_bytes() for md5 in contents} == contents
    assert {other.path(md5).stat().st_mode & 0o777 for md5 in contents} == {0o444}
    assert not other.leftovers()
    assert not [*(tmp_path / "store").rglob("*.tmp")]


def test_dvc_finds_what_was_pushed_and_we_find_what_dvc_pushed(make_toy: Callable, tmp_path: Path) -> None:
    from lockstep.lock import entries, objects

    toy = make_toy(tmp_path / "toy")
    toy.repro()
    assert toy.run("dvc", "remote", "add", "--default", "main", str(tmp_path / "store")).returncode == 0
    md5s = [each.md5 for each in objects.needed(toy.root, entries.parse(toy.read("dvc.lock")))]
    assert len(md5s) == 2
    transfer.push(toy.root, md5s)
    shutil.rmtree(toy.root / ".dvc/cache")
    for name in ("data/word.txt", "model/model.txt"):
        (toy.root / name).unlink()
    pulled = toy.run("dvc", "pull")
    assert pulled.returncode == 0, pulled.stderr
    shutil.rmtree(tmp_path / "store")
    assert toy.run("dvc", "push").returncode == 0
    assert transfer.missing(toy.root, md5s) == []


def test_our_reading_of_dvc_s_configuration_is_dvc_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo

    for level in ("system", "global"):
        monkeypatch.setenv(f"DVC_{level.upper()}_CONFIG_DIR", str(tmp_path / level))
    files = {
        "global/config": "[core]\n    remote = theirs\n['remote \"theirs\"']\n    url = ../far\n",
        "repo/.dvc/config": "[core]\n    remote = Main\n[cache]\n    dir = ../shared # kept apart\n    shared = group\n"
        "['remote \"Main\"']\n    url = ../../store\n['remote \"below\"']\n    url = remote://main/deep\n",
        "repo/.dvc/config.local": '[remote "main"]\n    url = ~/store\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    root = tmp_path / "repo"
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    ours = config.read(root)
    with Repo(str(root)) as repo:
        assert str(ours.cache / config.OBJECTS) == repo.cache.local.path
        for name in ("main", "below", "theirs"):
            assert str(ours.remotes[name].path / config.OBJECTS) == repo.cloud.get_remote_odb(name).path
    assert (ours.default, ours.shared, [*ours.remotes]) == ("main", True, ["theirs", "main", "below"])


def test_listings_go_last_and_not_without_their_files(clone: Clone, s3: StandIn) -> None:
    listing, files = clone.add(b"[]", ".dir"), [clone.add(bytes([number])) for number in range(5)]
    clone.path(files[3]).write_bytes(b"other")
    with pytest.raises(InputError, match="damaged"):
        transfer.push(clone.root, [listing, *files])
    assert transfer.missing(clone.root, [listing, *files]) == [listing, files[3]]
    clone.path(files[3]).write_bytes(bytes([3]))
    transfer.push(clone.root, [listing, *files])
    written = [request.path for request in s3.requests if request.method == "PUT"]
    assert listing[2:] in written[-1]
    assert len(written) == 6


def test_what_the_remote_has_is_not_written_again(clone: Clone, tmp_path: Path) -> None:
    md5 = clone.add(b"once")
    transfer.push(clone.root, [md5])
    stored = tmp_path / "store/files/md5" / md5[:2] / md5[2:]
    before = stored.stat()
    assert transfer.push(clone.root, [md5]).there == (md5,)
    assert (stored.stat().st_ino, stored.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_object_damaged_in_the_cache_is_not_sent_and_the_advice_mends_it(clone: Clone, tmp_path: Path) -> None:
    md5 = clone.add(b"whole")
    clone.path(md5).write_bytes(b"who")
    with pytest.raises(InputError, match="damaged in DVC's cache, and not sent") as error:
        transfer.push(clone.root, [md5])
    assert not (tmp_path / "store/files/md5" / md5[:2] / md5[2:]).exists()
    remove = str(error.value).split("`")[1]
    subprocess.run(remove, shell=True, check=True)
    with pytest.raises(InputError, match="neither in DVC's cache nor in remote"):
        transfer.push(clone.root, [md5])


def test_what_cannot_be_sent_is_called_by_its_path(clone: Clone) -> None:
    with pytest.raises(InputError, match="an object is neither in .*: model/m.onnx. `make repro` makes it again"):
        transfer.push(clone.root, [UNKNOWN], called={UNKNOWN: "model/m.onnx"})
    md5 = clone.add(b"whole")
    clone.path(md5).write_bytes(b"who")
    with pytest.raises(InputError, match="not sent: data/a.csv. `rm -f "):
        transfer.push(clone.root, [md5], called={md5: "data/a.csv"})


def test_an_object_damaged_in_the_cache_is_replaced_by_the_remote_s(clone: Clone) -> None:
    md5 = clone.add(b"whole")
    transfer.push(clone.root, [md5])
    clone.path(md5).write_bytes(b"who")
    assert transfer.fetch(clone.root, [md5]) == []
    assert clone.path(md5).read_bytes() == b"whole"


@pytest.mark.parametrize(
    "bad", ["../../../etc/passwd", "d41d8", "D41D8CD98F00B204E9800998ECF8427E", "0" * 32 + ".dir/x"]
)
def test_a_hash_that_is_none_never_becomes_a_path(clone: Clone, bad: str) -> None:
    for verb in (transfer.missing, transfer.fetch, transfer.push):
        with pytest.raises(InputError, match="is no md5 as DVC writes it"):
            verb(clone.root, [bad])


def test_without_a_remote_nothing_comes_and_the_error_says_what_to_do(tmp_path: Path) -> None:
    bare = Clone(tmp_path / "bare")
    md5 = bare.add(b"here")
    assert (transfer.names(bare.root), transfer.default(bare.root)) == ([], None)
    assert transfer.fetch(bare.root, [md5, UNKNOWN]) == [UNKNOWN]
    with pytest.raises(InputError, match="`lockstep remote URL` configures one"):
        transfer.missing(bare.root, [md5])


def test_an_unknown_remote_gets_its_nearest_match(clone: Clone) -> None:
    with pytest.raises(InputError, match="names no remote `mian`. Did you mean `main`"):
        transfer.push(clone.root, [], "mian")


def test_what_main_lacks_is_looked_for_where_pull_requests_write(clone: Clone, tmp_path: Path) -> None:
    clone.configure(main=str(tmp_path / "store"), pr=str(tmp_path / "store/pr"))
    both, only = clone.add(b"both"), clone.add(b"only")
    transfer.push(clone.root, [both])
    transfer.push(clone.root, [both, only], "pr")
    clone.forget()
    brought = transfer.bring(clone.root, [both, only, UNKNOWN])
    assert dict(brought.found) == {both: "main", only: "pr"}
    assert (brought.absent, dict(brought.damaged)) == ((UNKNOWN,), {})
    clone.forget()
    assert transfer.fetch(clone.root, [only], "main") == [only]


def test_looking_at_a_folder_takes_no_time_and_imports_no_dvc(clone: Clone) -> None:
    md5s = [clone.add(bytes([number])) for number in range(15)]
    transfer.push(clone.root, md5s)
    best = min(_seconds(lambda: transfer.missing(clone.root, md5s)) for _ in range(3))
    assert best < 0.5
    code = "import sys; from lockstep.remotes import transfer, worker; sys.exit('dvc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=clone.root).returncode == 0


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def test_a_module_in_the_work_tree_cannot_take_the_place_of_a_library(clone: Clone) -> None:
    (clone.root / "json.py").write_text("raise SystemExit('this is not json')")
    assert transfer.missing(clone.root, [UNKNOWN]) == [UNKNOWN]


def test_the_worker_ends_with_whoever_started_it(clone: Clone) -> None:
    os.mkfifo(clone.root / "fifo")
    command = [sys.executable, "-P", "-m", "lockstep.remotes.worker"]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    item = {"md5": UNKNOWN, "cache": str(clone.root / "fifo")}
    job = {"root": ".", "remote": "main", "path": "/nowhere", "action": "put", "jobs": 1, "items": [item]}
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    time.sleep(0.3)
    assert worker.poll() is None, "it waits for the fifo's other end"
    worker.stdin.close()
    wait_for(lambda: worker.poll() is not None, 10)


def test_a_killed_fetch_leaves_no_half_object_and_the_next_one_completes(clone: Clone, tmp_path: Path) -> None:
    md5 = clone.add(os.urandom(1000))
    transfer.push(clone.root, [md5])
    content = clone.path(md5).read_bytes()
    clone.forget()
    stored = tmp_path / "store/files/md5" / md5[:2] / md5[2:]
    stored.rename(tmp_path / "aside")
    os.mkfifo(stored)
    with pytest.raises(OutsideError, match="not a byte moved in 0.5 seconds.*Nothing is half-written"):
        transfer.fetch(clone.root, [md5], patience=Patience(stall=0.5, tries=2, pause=0.01))
    assert not clone.path(md5).exists()
    assert not clone.leftovers()
    stored.unlink()
    (tmp_path / "aside").rename(stored)
    assert transfer.fetch(clone.root, [md5]) == []
    assert clone.path(md5).read_bytes() == content


def test_what_a_killed_fetch_left_is_swept_after_a_day(clone: Clone) -> None:
    md5 = clone.add(b"x")
    transfer.push(clone.root, [md5])
    clone.forget()
    old, new = (clone.root / ".dvc/cache/files/md5" / f".lockstep-{name}.tmp" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    transfer.fetch(clone.root, [md5])
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("content", [b"other", b"who", b""], ids=["tampered", "cut off", "empty"])
def test_other_bytes_in_the_remote_never_get_the_name(
    clone: Clone, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    md5 = clone.add(b"whole")
    transfer.push(clone.root, [md5])
    clone.forget()
    stored = tmp_path / "store/files/md5" / md5[:2] / md5[2:]
    stored.chmod(0o644)
    stored.write_bytes(content)
    assert transfer.fetch(clone.root, [md5]) == [md5]
    assert not clone.path(md5).exists()
    assert not clone.leftovers()
    assert f"remote `main` holds object {md5} with other bytes than its name says" in capsys.readouterr().err


def test_another_size_in_the_remote_stops_a_push(clone: Clone, tmp_path: Path) -> None:
    md5 = clone.add(b"whole")
    transfer.push(clone.root, [md5])
    stored = tmp_path / "store/files/md5" / md5[:2] / md5[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"who")
    with pytest.raises(OutsideError, match="with other bytes than its name says"):
        transfer.push(clone.root, [md5])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_remote_that_may_not_be_written_to_is_said_to_refuse(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refused = OSError(number, os.strerror(number))
    stopped = child.Stopped(kind=worker.kind_of(refused), why=worker.reason(refused))
    monkeypatch.setattr(child, "_try", lambda *_: stopped)
    with pytest.raises(transfer.Denied, match="refuses"):
        transfer.push(clone.root, [clone.add(b"x")])


def test_a_full_disk_is_said_as_everywhere_and_not_blamed_on_the_remote(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    stopped = child.Stopped(kind=worker.kind_of(full), why=worker.reason(full))
    monkeypatch.setattr(child, "_try", lambda *_: stopped)
    assert exit_code(lambda: transfer.fetch(clone.root, [UNKNOWN])) == 1
    assert "the disk is full" in capsys.readouterr().err


def test_a_cache_that_is_in_the_way_is_not_blamed_on_the_remote(clone: Clone) -> None:
    (clone.root / ".dvc/cache").write_text("a file")
    with pytest.raises(InputError, match="DVC's cache cannot be written to"):
        transfer.fetch(clone.root, [UNKNOWN])
    error = worker.LocalError("not yours")
    assert worker.kind_of(error) == "local"


def test_what_a_library_prints_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    code = (
        "from lockstep.remotes import worker; worker._speak_alone(); import os; os.write(1, b'noise'); worker.say(a=1)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (said.stdout, said.stderr) == ('{"a": 1}\n', "noise")


def test_s3_gets_and_gives(clone: Clone, s3: StandIn) -> None:
    contents = {
        clone.add(b"[]", ".dir"): b"[]",
        clone.add(b"", ""): b"",
        **{clone.add(bytes([n])): bytes([n]) for n in range(9)},
    }
    assert transfer.missing(clone.root, contents) == [*contents]
    transfer.push(clone.root, contents)
    assert {name: s3.body(name) for name in s3.names()} == {key(md5): body for md5, body in contents.items()}
    writes = [request for request in s3.requests if request.method == "PUT"]
    assert len(writes) == len(contents)
    assert all(request.headers.get("If-None-Match") == "*" for request in writes)
    clone.forget()
    assert transfer.fetch(clone.root, [*contents, UNKNOWN]) == [UNKNOWN]
    assert {md5: clone.path(md5).read_bytes() for md5 in contents} == contents


def test_a_big_object_goes_up_in_parts_and_appears_once_whole(clone: Clone, s3: StandIn) -> None:
    md5 = clone.add(os.urandom(11 * 2**20))
    transfer.push(clone.root, [md5])
    assert hashlib.md5(s3.body(key(md5))).hexdigest() == md5
    (completing,) = [request for request in s3.requests if request.method == "POST" and "uploadId" in request.path]
    assert completing.headers["If-None-Match"] == "*"
    assert sum(request.method == "PUT" for request in s3.requests) == 3


def test_dvc_pulls_from_s3_what_we_pushed(clone: Clone, s3: StandIn) -> None:
    from dvc.repo import Repo

    md5 = clone.add(b"x")
    transfer.push(clone.root, [md5])
    subprocess.run(["git", "init", "--quiet", str(clone.root)], check=True)
    with Repo(str(clone.root)) as repo:
        assert repo.cloud.get_remote_odb("main").exists(md5)


def test_a_server_that_dies_in_mid_push_is_asked_again_and_gets_everything(clone: Clone, s3: StandIn) -> None:
    md5s = [clone.add(os.urandom(300_000)) for _ in range(4)]
    s3.fail(lambda request: "cut" if request.method == "PUT" and request.number < 8 else "pass")
    transfer.push(clone.root, md5s, patience=Patience(stall=10, tries=4, pause=0.05))
    assert {name: hashlib.md5(s3.body(name)).hexdigest() for name in s3.names()} == {key(md5): md5 for md5 in md5s}


def test_a_server_that_stays_dead_is_given_up_in_time_and_the_next_push_completes(clone: Clone, s3: StandIn) -> None:
    md5s = [clone.add(bytes([number]) * 1000) for number in range(3)]
    s3.fail(lambda request: "hang" if request.method == "PUT" and key(md5s[0]) in request.path else "pass")
    before = time.monotonic()
    with pytest.raises(
        OutsideError, match=r"`main` \(s3://team/x\) failed, 2 times in a row: not a byte moved in 3 sec"
    ):
        transfer.push(clone.root, md5s, patience=HASTY)
    assert time.monotonic() - before < 20
    s3.fail(s3_stand_in.pass_all)
    transfer.push(clone.root, md5s)
    assert len(s3.names()) == 3


def test_a_slow_line_that_moves_is_not_cut(clone: Clone, s3: StandIn) -> None:
    md5 = clone.add(os.urandom(4_000_000))
    s3.fail(lambda request: "slow" if request.method == "PUT" else "pass")
    patience = Patience(stall=3, tries=1)
    assert _seconds(lambda: transfer.push(clone.root, [md5], patience=patience)) > patience.stall + 1
    assert hashlib.md5(s3.body(key(md5))).hexdigest() == md5


def test_503_is_waited_out(clone: Clone, s3: StandIn) -> None:
    md5s = [clone.add(bytes([number])) for number in range(3)]
    transfer.push(clone.root, md5s)
    s3.fail(lambda request: "503" if request.number % 2 else "pass")
    clone.forget()
    assert transfer.fetch(clone.root, md5s) == []


def test_503_without_end_is_an_outside_error_that_is_safe_to_repeat(clone: Clone, s3: StandIn) -> None:
    s3.fail(lambda request: "503")
    with pytest.raises(OutsideError, match="Service Unavailable.*it is safe to repeat") as error:
        transfer.missing(clone.root, [UNKNOWN], patience=HASTY)
    assert error.value.code == 4


def test_a_denied_request_is_not_repeated(clone: Clone, s3: StandIn) -> None:
    s3.fail(lambda request: "403")
    with pytest.raises(OutsideError, match=r"refuses: Forbidden. The credentials .* docs/remote.md"):
        transfer.missing(clone.root, [UNKNOWN])
    assert len(s3.requests) < 4


def test_a_bucket_that_does_not_exist_is_not_taken_for_an_empty_one(clone: Clone, s3: StandIn) -> None:
    clone.configure(main=f"s3://nobody endpointurl={s3.url}")
    md5 = clone.add(b"x")
    for verb in (transfer.missing, transfer.push):
        with pytest.raises(
            OutsideError, match=r"is not there: there is no bucket nobody. Create it \(`aws s3 mb s3://n"
        ):
            verb(clone.root, [md5])
    with pytest.raises(OutsideError, match="is not there: there is no bucket nobody"):
        transfer.fetch(clone.root, [UNKNOWN])


def test_a_corrupt_object_in_s3_is_refused_and_another_remote_s_good_one_taken(
    clone: Clone, s3: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = clone.add(b"good"), clone.add(b"bad!")
    transfer.push(clone.root, [good], "pr")
    clone.forget()
    for md5 in (good, bad):
        s3.put(key(md5), b"evil")
    brought = transfer.bring(clone.root, [good, bad])
    assert (dict(brought.found), dict(brought.damaged)) == ({good: "pr"}, {bad: "main"})
    assert not clone.path(bad).exists()
    assert transfer.fetch(clone.root, [good, bad]) == [bad]
    assert "tampered with" in capsys.readouterr().err


def test_a_body_cut_off_on_its_way_never_gets_the_name(clone: Clone, s3: StandIn) -> None:
    md5 = clone.add(os.urandom(200_000))
    transfer.push(clone.root, [md5])
    clone.forget()
    s3.fail(lambda request: "cut" if request.method == "GET" and "files/md5" in request.path else "pass")
    with pytest.raises(OutsideError, match="failed"):
        transfer.fetch(clone.root, [md5], patience=Patience(stall=10, tries=1))
    assert not clone.path(md5).exists()
    assert not clone.leftovers()


def test_an_unreachable_main_does_not_hide_what_pr_has(clone: Clone, s3: StandIn, tmp_path: Path) -> None:
    clone.configure(main=f"s3://nobody endpointurl={s3.url}", pr=str(tmp_path / "pr"))
    md5 = clone.add(b"x")
    transfer.push(clone.root, [md5], "pr")
    clone.forget()
    assert transfer.fetch(clone.root, [md5]) == []
    with pytest.raises(OutsideError, match="no bucket nobody"):
        transfer.fetch(clone.root, [md5, UNKNOWN])


def test_a_server_that_knows_no_condition_gets_the_object_all_the_same(clone: Clone, s3: StandIn) -> None:
    md5 = clone.add(b"x")
    s3.fail(lambda request: "501" if "If-None-Match" in request.headers else "pass")
    transfer.push(clone.root, [md5])
    assert s3.body(key(md5)) == b"x"


def test_whoever_was_faster_wins(clone: Clone, s3: StandIn) -> None:
    md5 = clone.add(b"same")

    def overtake(request: s3_stand_in.Request) -> str:
        if request.method == "PUT":
            s3.put(key(md5), b"same")
        return "pass"

    s3.fail(overtake)
    transfer.push(clone.root, [md5])
    assert s3.body(key(md5)) == b"same"


def test_an_interrupted_push_leaves_no_process(clone: Clone, s3: StandIn, tmp_path: Path) -> None:
    md5 = clone.add(b"x")
    s3.fail(lambda request: "hang" if request.method == "PUT" else "pass")
    code = f"from pathlib import Path; from lockstep.remotes import transfer; transfer.push(Path('.'), ['{md5}'])"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=clone.root, stderr=subprocess.DEVNULL)
    wait_for(lambda: any(request.method == "PUT" for request in s3.requests))
    (worker,) = children(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), 10)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (
            "gs://bucket/x",
            "cannot be opened: gs is .* Add a line `dvc-gs` to requirements/pipeline.in, then `make lock`",
        ),
        ("s3://bucket/x nonsense=1", "cannot be opened: .*extra keys not allowed"),
        ("s3://bucket/x version_aware=true", "keeps versions by the cloud's own ids"),
    ],
)
def test_a_remote_that_cannot_serve_is_an_input_error(clone: Clone, url: str, complaint: str) -> None:
    clone.configure(main=url)
    with pytest.raises(InputError, match=complaint):
        transfer.missing(clone.root, [UNKNOWN])


def test_a_probe_leaves_nothing_behind(clone: Clone, s3: StandIn, tmp_path: Path) -> None:
    assert transfer.probe(clone.root, "pr") == ""
    assert s3.names() == []
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=BUCKET)
    clone.configure(main=str(tmp_path / "store"), pr=str(tmp_path / "store/pr"))
    assert [transfer.probe(clone.root, name) for name in ("main", "pr")] == ["", ""]
    assert [*(tmp_path / "store").iterdir()] == []


def test_a_probe_of_a_server_without_uploads_in_parts_adds_an_object_and_removes_it(clone: Clone, s3: StandIn) -> None:
    s3.fail(lambda request: "501" if request.method == "POST" else "pass")
    assert transfer.probe(clone.root, "main") == ""
    assert s3.names() == []
    s3.fail(lambda request: {"POST": "501", "DELETE": "403"}.get(request.method, "pass"))
    for _ in range(2):
        address = transfer.probe(clone.root, "main")
        assert s3.body(address.removeprefix(f"s3://{BUCKET}/")) == worker.PROBE
    assert len(s3.names()) == 1


def test_a_probe_is_denied_where_only_reading_is_allowed(clone: Clone, s3: StandIn) -> None:
    s3.fail(lambda request: "403" if request.method in ("POST", "PUT") else "pass")
    with pytest.raises(transfer.Denied, match="refuses") as denied:
        transfer.probe(clone.root, "main")
    assert denied.value.short.startswith("refused: ")


def test_a_folder_that_is_not_there_is_not_taken_for_an_empty_one(clone: Clone, tmp_path: Path) -> None:
    clone.configure(main=str(tmp_path / "nas"), pr=str(tmp_path / "nas/pr"))
    md5 = clone.add(b"x")
    for remote in ("main", "pr"):
        for ask in (
            lambda name: transfer.look(clone.root, {md5: 1}, name),
            lambda name: transfer.missing(clone.root, [md5], name),
            lambda name: transfer.fetch(clone.root, [UNKNOWN], name),
            lambda name: transfer.probe(clone.root, name),
        ):
            with pytest.raises(OutsideError, match=f"the folder {tmp_path / 'nas'} is not there. Mount it; if"):
                ask(remote)
    assert not (tmp_path / "nas").exists()
    transfer.push(clone.root, [md5])
    assert transfer.missing(clone.root, [md5], "pr") == [md5], "within a remote that is there, it is empty"


@pytest.mark.parametrize("place", ["folder", "S3"])
def test_an_object_of_another_size_is_damaged(
    clone: Clone, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    if place == "S3":
        request.getfixturevalue("s3")
    whole, cut = clone.add(b"whole"), clone.add(b"cut off")
    transfer.push(clone.root, [whole, cut])
    if place == "S3":
        request.getfixturevalue("s3").put(key(cut), b"cut")
    else:
        stored = tmp_path / "store/files/md5" / cut[:2] / cut[2:]
        stored.chmod(0o644)
        stored.write_bytes(b"cut")
    looked = transfer.look(clone.root, {whole: 5, cut: 7, UNKNOWN: 1})
    assert (looked.missing, looked.damaged) == ((UNKNOWN,), (cut,))
    assert looked.sizes == {whole: 5, cut: 3, UNKNOWN: None}
    assert transfer.look(clone.root, {cut: None}).damaged == (), "nobody knows its size"


@pytest.mark.parametrize("keep", [True, False])
def test_one_process_brings_a_listing_and_looks_for_its_files(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    files = [clone.add(b"a"), clone.add(b"b")]
    listing = clone.add(json.dumps([{"md5": md5, "relpath": md5} for md5 in [*files, UNKNOWN]]).encode(), ".dir")
    transfer.push(clone.root, [*files, listing])
    clone.forget()
    started: list[object] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **more: (started.append(given), start(*given, **more))[1])
    looked = transfer.look(clone.root, {listing: None}, unlisted=[listing], keep=keep)
    assert (looked.missing, looked.damaged, len(looked.sizes), len(started)) == ((UNKNOWN,), (), 4, 1)
    assert clone.path(listing).exists() == keep
    assert not clone.leftovers()


def test_a_listing_with_other_bytes_is_damaged_and_not_read(clone: Clone, s3: StandIn) -> None:
    listing, absent = clone.add(b"[]", ".dir"), f"{UNKNOWN}.dir"
    s3.put(key(listing), b'[{"md5": "../../x"}]')
    clone.forget()
    looked = transfer.look(clone.root, {listing: None, absent: None}, unlisted=[listing, absent])
    assert (looked.missing, looked.damaged) == ((absent,), (listing,))
    assert not clone.path(listing).exists()


def test_whoever_waits_is_told_for_what_and_not_for_long(
    clone: Clone, s3: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert child.LOOKING.stall == 15
    s3.fail(lambda request: "hang")
    with pytest.raises(OutsideError, match="failed: not a byte moved in 3 seconds"):
        transfer.look(clone.root, {UNKNOWN: None}, patience=replace(child.LOOKING, stall=3))
    assert capsys.readouterr().err == "waiting for remote `main` (s3://team/x) …\n"


def test_a_damaged_object_is_named_in_full_and_once(
    clone: Clone, s3: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    md5 = clone.add(b"whole")
    s3.put(key(md5), b"other")
    clone.forget()
    for _ in range(2):
        assert transfer.fetch(clone.root, [md5]) == [md5]
    said = capsys.readouterr().err
    command = f"`aws s3 rm s3://team/{key(md5)} --endpoint-url {s3.url}`, then `lockstep push --remote main`"
    assert (said.count(command), said.count("other bytes")) == (1, 1)


def test_secrets_in_a_url_never_reach_a_message(clone: Clone) -> None:
    clone.configure(main="https://me:hunter2@127.0.0.1:9/data")
    with pytest.raises(OutsideError) as error:
        transfer.missing(clone.root, [UNKNOWN], patience=Patience(stall=10, tries=1))
    assert "hunter2" not in str(error.value)
    assert "https://127.0.0.1:9/data" in str(error.value)
