"""The prediction log: what is in its lines, how its files are finished, and every way in which a disk can fail it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from lockstep.serving import log as log_module
from lockstep.serving.log import PredictionLog
from lockstep.serving.log_file import LogFile, left_behind
from lockstep.serving.log_lines import is_sampled, loggable
from small import a_spec

ROW = {"city": "Bonn", "age": 41.5, "email": "secret@example.org", "device": None}
ANSWER = {"label": True, "probability": 0.25, "threshold": 0.2, "version": "v1.0.0", "model": "f" * 12, "request": "r"}
PUBLIC = loggable(a_spec().contract)


def a_log(folder: Path | None, **changes: Any) -> PredictionLog:
    given: dict[str, Any] = {"sample": 1.0, "fingerprint": "f" * 64, "version": "v1.0.0", "columns": PUBLIC}
    return PredictionLog(folder, **{"warn": lambda _: None, **given, **changes})


def predict(log: PredictionLog, request: str = "r", rows: int = 1, **row: Any) -> None:
    log.predicted(request, [{**ROW, **row}] * rows, [ANSWER] * rows, size=100 * rows)


def lines(folder: Path, pattern: str = "*.jsonl") -> list[dict[str, Any]]:
    """Every line of the files, in the order in which they were opened; each must be whole JSON."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob(pattern))]
    assert all(text.endswith("\n") for text in texts)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def wait_for(holds: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def test_a_line_holds_the_row_as_it_was_sent_and_what_was_answered(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.predicted("r-1", [ROW, {"city": "Rom"}], [ANSWER, {**ANSWER, "label": False}], {1: ["city"]}, size=80)
    log.close()
    first, second = lines(tmp_path)
    assert first.pop("time").endswith("Z")
    assert first == {
        "kind": "prediction", "request": "r-1", "row": 0, "version": "v1.0.0", "model": "f" * 12, "sample": 1.0,
        "columns": {"city": "Bonn", "age": 41.5, "device": None}, "unknown": [], "label": True, "probability": 0.25,
    }  # fmt: skip
    assert (second["row"], second["columns"], second["unknown"], second["label"]) == (
        1,
        {"city": "Rom"},
        ["city"],
        False,
    )
    assert (log.written, log.lost, log.failures) == (2, 0, 0)


def test_private_columns_and_those_that_the_contract_does_not_know_are_never_written(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    predict(log, iban="DE00 1234")
    log.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Bonn" in written
    assert b"secret" not in written
    assert b"DE00" not in written


def test_regression_and_many_classes_keep_their_own_words(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.predicted("a", [ROW], [{"value": 3.5}], size=10)
    log.predicted("b", [ROW], [{"label": "x", "probability": 0.6, "probabilities": {"x": 0.6, "y": 0.4}}], size=10)
    log.close()
    value, classes = lines(tmp_path)
    assert (value["value"], classes["probabilities"]) == (3.5, {"x": 0.6, "y": 0.4})


def test_feedback_is_kept_for_exactly_the_requests_that_were_sampled(tmp_path: Path) -> None:
    log = a_log(tmp_path, sample=0.3)
    for number in range(1000):
        predict(log, f"r-{number}")
        log.feedback([{"request": f"r-{number}", "row": 0, "outcome": "yes", "more": 1}], size=20)
    log.close()
    found = lines(tmp_path)
    predicted = {line["request"] for line in found if line["kind"] == "prediction"}
    told = [line for line in found if line["kind"] == "feedback"]
    assert (
        predicted == {line["request"] for line in told} == {f"r-{n}" for n in range(1000) if is_sampled(f"r-{n}", 0.3)}
    )
    assert 230 < len(predicted) < 370
    assert {key: told[0][key] for key in told[0] if key not in ("time", "request")} == {
        "kind": "feedback", "row": 0, "outcome": "yes",
    }  # fmt: skip


def test_without_a_folder_nothing_is_logged_and_that_is_said_once() -> None:
    said: list[str] = []
    log = a_log(None, warn=said.append)
    predict(log)
    predict(log)
    log.close()
    assert len(said) == 1
    assert "LOCKSTEP_LOG" in said[0]
    assert log.lost == 0


def test_a_request_pays_about_a_microsecond(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    rows, answers = [ROW], [ANSWER]
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(500):
            log.predicted("r", rows, answers, size=100)
        best = min(best, (time.perf_counter() - began) / 500)
        time.sleep(0.02)
    log.close()
    assert best < 5e-6, f"{best * 1e6:.1f} µs"


def test_files_rotate_by_size_and_only_finished_ones_have_the_final_name(tmp_path: Path) -> None:
    log = a_log(tmp_path, most_bytes=2000)
    for number in range(40):
        predict(log, f"r-{number}")
        wait_for(lambda number=number: log.written == number + 1)
    assert len(list(tmp_path.glob("*.jsonl.part"))) <= 1
    log.close()
    assert not list(tmp_path.glob("*.part"))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) > 3
    assert max(sizes) < 2600
    assert [line["request"] for line in lines(tmp_path)] == [f"r-{number}" for number in range(40)]


def test_a_file_is_finished_when_it_is_old_though_nothing_comes_any_more(tmp_path: Path) -> None:
    log = a_log(tmp_path, oldest=0.3)
    predict(log)
    wait_for(lambda: list(tmp_path.glob("*.jsonl")))
    assert not list(tmp_path.glob("*.part"))
    predict(log)
    log.close()
    assert len(lines(tmp_path)) == 2


def test_more_than_there_is_room_for_is_counted_as_lost_and_never_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "EVERY", 0.5)
    monkeypatch.setattr(log_module, "MOST_QUEUED", 50 * (3 * 100 + 800))
    said: list[str] = []
    log = a_log(tmp_path, warn=said.append)
    for _ in range(100):
        predict(log)
    log.close()
    assert (len(lines(tmp_path)), log.lost, log.failures) == (50, 50, 0)
    assert len(said) == 1
    assert "lines lost: 50" in said[0]


def test_what_waits_for_a_disk_takes_no_more_memory_than_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = """
import json, sys, pathlib
from lockstep.serving import log
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) << 10
made = log.PredictionLog(pathlib.Path(sys.argv[1]), sample=1.0, fingerprint="f" * 64, version="v1.0.0",
                         columns=[f"column_{at}" for at in range(19)], warn=lambda _: None)
body = json.dumps([{f"column_{at}": at + 0.5 for at in range(19)}] * 1000)
answer = {"label": True, "probability": 0.25, "threshold": 0.5, "version": "v1.0.0", "model": "f" * 12, "request": "r"}
before = resident()
while made.lost < 100_000:
    rows = json.loads(body)
    made.predicted("r", rows, [dict(answer, probability=at / 7) for at in range(1000)], size=len(body))
print((resident() - before) / (log.MOST_QUEUED + log.MOST_WAITING))
"""
    arguments = [sys.executable, "-c", code, str(tmp_path / "file/log")]
    assert float(subprocess.run(arguments, capture_output=True, check=True, timeout=60).stdout) < 1.3


def test_a_line_that_cannot_be_made_ends_neither_the_log_nor_the_reason(tmp_path: Path) -> None:
    said: list[str] = []
    log = a_log(tmp_path, warn=said.append)
    predict(log, city={1, 2})
    predict(log, "after")
    log.close()
    assert [line["request"] for line in lines(tmp_path)] == ["after"]
    assert log.lost == 1
    assert "set" in said[0]


# Faults


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 64 KB on it."""
    require(os.geteuid() == 0, "root, to mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)])
    require(mounted.returncode == 0, "the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_once_there_is_room_again(
    tiny_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "RETRY", 0.1)
    said: list[str] = []
    log = a_log(tiny_disk, warn=said.append)
    for number in range(500):
        predict(log, f"r-{number}")
    wait_for(lambda: log.failures >= 3)
    assert log.lost == 0
    lines(tiny_disk)  # what is there is whole
    moved = tmp_path / "taken"
    moved.mkdir()
    for _ in range(20):
        for path in tiny_disk.glob("*.jsonl"):
            shutil.move(path, moved)
        time.sleep(0.15)
        if log.written == 500:
            break
    log.close()
    for path in tiny_disk.glob("*.jsonl"):
        shutil.move(path, moved)
    assert sorted(int(line["request"][2:]) for line in lines(moved)) == list(range(500))
    assert (log.written, log.lost) == (500, 0)
    assert len(said) == 1
    assert "No space left" in said[0]


def test_a_folder_that_cannot_be_written_is_counted_and_warned_about_at_most_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "RETRY", 0.05)
    said: list[str] = []
    (tmp_path / "file").write_text("in the way")
    log = a_log(tmp_path / "file", warn=said.append)
    predict(log)
    wait_for(lambda: log.failures > 5)
    assert len(said) == 1
    (tmp_path / "file").unlink()
    wait_for(lambda: log.written == 1)
    log.close()
    assert (len(lines(tmp_path / "file")), log.lost, len(said)) == (1, 0, 1)


def test_a_read_only_disk_that_becomes_writable_again_gets_what_waited(
    tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "RETRY", 0.05)
    log = a_log(tiny_disk)
    predict(log, "before")
    wait_for(lambda: log.written == 1)
    log_file = next(tiny_disk.glob("*.part"))
    log.close()
    assert log_file.with_name(log_file.name.removesuffix(".part")).exists()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    log = a_log(tiny_disk)
    predict(log, "meanwhile")
    wait_for(lambda: log.failures)
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    wait_for(lambda: log.written)
    log.close()
    assert [line["request"] for line in lines(tiny_disk)] == ["before", "meanwhile"]


def test_what_could_not_be_written_until_the_end_is_lost_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "file").write_text("in the way")
    log = a_log(tmp_path / "file", warn=said.append)
    predict(log, rows=3)
    wait_for(lambda: log.failures)
    log.close()
    assert log.lost == 3
    assert "lines lost: 3" in said[-1]


def test_a_folder_that_is_removed_is_made_again_and_its_lines_are_counted_as_lost(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = a_log(folder)
    predict(log, "gone", rows=2)
    wait_for(lambda: log.written == 2)
    shutil.rmtree(folder)
    predict(log, "kept")
    log.close()
    assert [line["request"] for line in lines(folder)] == ["kept"]
    assert log.lost == 2


def test_a_file_that_was_moved_away_is_left_to_whoever_moved_it(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "log", tmp_path / "elsewhere"
    log = a_log(folder)
    predict(log, "first")
    wait_for(lambda: log.written == 1)
    folder.rename(elsewhere)
    predict(log, "second")
    log.close()
    assert [line["request"] for line in lines(elsewhere, "*.part")] == ["first"]
    assert [line["request"] for line in lines(folder)] == ["second"]
    assert log.lost == 0


def test_a_failing_ear_does_not_end_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(log_module, "RETRY", 0.05)
    (tmp_path / "file").write_text("in the way")
    log = a_log(tmp_path / "file", warn=broken)
    predict(log)
    wait_for(lambda: log.failures)
    (tmp_path / "file").unlink()
    wait_for(lambda: log.written == 1)
    log.close()


# Several processes


WRITER = """
import sys, time
from pathlib import Path
from lockstep.serving.log import PredictionLog
size = int(sys.argv[4])
log = PredictionLog(
    Path(sys.argv[1]), sample=1.0, fingerprint="f" * 64, version=sys.argv[2], columns={"city"}, most_bytes=size
)
number = 0
while number < int(sys.argv[3]):
    log.predicted(f"{sys.argv[2]}-{number}", [{"city": "Bonn"}], [{"label": True}], size=20)
    number += 1
    if number % 50 == 0:
        time.sleep(0.005)
log.close()
"""


def start(folder: Path, name: str, count: int, most_bytes: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), name, str(count), str(most_bytes)])


def test_processes_share_a_folder_without_taking_each_others_files(tmp_path: Path) -> None:
    writers = [start(tmp_path, name, 1500, 20_000) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert not list(tmp_path.glob("*.part"))
    assert {line["request"] for line in lines(tmp_path)} == {f"{name}-{n}" for name in "abc" for n in range(1500)}


def test_what_a_killed_process_left_is_finished_by_the_next_one(tmp_path: Path) -> None:
    writer = start(tmp_path, "killed", 10_000_000, 1 << 30)
    wait_for(lambda: any(path.stat().st_size for path in tmp_path.glob("*.part")))
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    (left,) = tmp_path.glob("*.part")
    whole = left.read_bytes()
    assert all(json.loads(line) for line in whole.splitlines())
    left.write_bytes(whole + b'{"kind": "predic')  # as a kernel may leave it that died too
    a_log(tmp_path).close()
    assert not list(tmp_path.glob("*.part"))
    assert left.with_name(left.name.removesuffix(".part")).read_bytes() == whole


def test_the_file_of_a_living_process_is_left_alone_and_an_empty_one_removed(tmp_path: Path) -> None:
    living = LogFile(tmp_path)
    living.write(b"{}\n", 1)
    dead = tmp_path / "predictions-20260101T000000.000000Z-1.jsonl.part"
    dead.write_bytes(b'{"half')
    assert list(left_behind(tmp_path)) == [(dead, None)]
    assert [path.name for path in tmp_path.iterdir()] == [living.path.name]
    living.finish()
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"]


def test_importing_the_log_needs_nothing_that_the_image_does_not_hold() -> None:
    foreign = "{'pandas', 'sklearn', 'dvc', 'pyarrow', 'rich'}"
    code = f"import sys, lockstep.serving.log; print(sorted({foreign} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
