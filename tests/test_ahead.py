"""Pieces worked at side by side: their order, how many there are at a time, and what is raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lockstep.batch import ahead
from lockstep.batch.ahead import in_order


def test_results_come_in_the_order_of_their_pieces_whoever_is_first() -> None:
    second = threading.Event()

    def work(piece: int) -> int:
        if piece == 0:
            assert second.wait(60), "the next piece is worked at meanwhile"
        second.set()
        return piece * piece

    assert list(in_order(work, range(20), threads=2)) == [piece * piece for piece in range(20)]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_only_a_few_pieces_are_held_at_a_time(threads: int) -> None:
    read: list[int] = []

    def pieces() -> Iterator[int]:
        for piece in range(50):
            read.append(piece)
            yield piece

    for taken, _ in enumerate(in_order(str, pieces(), threads=threads), start=1):
        assert len(read) - taken <= threads


def test_what_the_work_raises_is_raised_after_the_pieces_before_it() -> None:
    def work(piece: int) -> float:
        return 1 / (3 - piece)

    results = in_order(work, range(100), threads=2)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_the_reading_raises_is_raised_and_no_thread_stays() -> None:
    def pieces() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(in_order(str, pieces(), threads=2))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("piece")]


def test_threads_are_those_that_the_machine_gives_us(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 2), (64, ahead.MOST)):
        monkeypatch.setattr("os.sched_getaffinity", lambda process, cores=cores: set(range(cores)), raising=False)
        assert ahead.useful_threads() == threads
