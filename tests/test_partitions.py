from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import InputError
from lockstep.rows.tables import md5_of
from lockstep.sources import partitions
from lockstep.sources.partitions import Bounds, Manifest, Partition, cut
from lockstep.spec import Ingest

DAYS = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2030, 1, 1))


@given(start=DAYS, length=st.integers(1, 900), every=st.sampled_from(["day", "week", "month", "quarter", "year"]))
def test_pieces_cover_the_window_without_gap_or_overlap_and_their_names_sort_as_time_does(
    start: datetime, length: int, every: partitions.Every
) -> None:
    until = start + timedelta(days=length, minutes=length)
    pieces = cut(start, until, every)
    assert pieces[0].start == start
    assert pieces[-1].end == until
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
    names = [piece.name for piece in pieces]
    assert names == sorted(set(names))


def test_weeks_begin_on_monday_and_are_named_by_the_iso_year() -> None:
    pieces = cut(datetime(2012, 12, 31), datetime(2013, 1, 14), "week")
    assert [piece.name for piece in pieces] == ["2013-W01", "2013-W02"]
    assert pieces[1].start == datetime(2013, 1, 7)


def test_first_and_last_piece_are_clipped_to_the_window() -> None:
    assert cut(datetime(2013, 1, 15, 6), datetime(2013, 2, 2), "month") == [
        Bounds(name="2013-01", start=datetime(2013, 1, 15, 6), end=datetime(2013, 2, 1)),
        Bounds(name="2013-02", start=datetime(2013, 2, 1), end=datetime(2013, 2, 2)),
    ]


def ingest(**keys: object) -> Ingest:
    return Ingest.model_validate({"source": "a:b", **keys})


def test_without_window_there_is_one_open_piece() -> None:
    assert partitions.bounds_of(ingest(), None) == [Bounds(name="all")]
    assert partitions.bounds_of(ingest(), "when") == [Bounds(name="all")]


@pytest.mark.parametrize(
    ("keys", "time", "sentence"),
    [
        ({"from": "2013-02-01", "until": "2013-02-01"}, "when", "the window is empty"),
        ({"from": "2013-02-02", "until": "2013-02-01"}, "when", "the window is empty"),
        ({"from": "2013-02-01"}, "when", "until is missing"),
        ({"until": "2013-02-01"}, "when", "from is missing"),
        ({"from": "2013-01-01", "until": "2013-02-01"}, None, "needs contract.time"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(keys: dict[str, str], time: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        partitions.bounds_of(ingest(**keys), time)


def folder_with_one(folder: Path, *, complete: bool = True) -> Partition:
    (folder / "2013-01.parquet").write_bytes(b"rows")
    part = Partition(
        name="2013-01",
        start=datetime(2013, 1, 1),
        end=datetime(2013, 2, 1),
        key="k",
        rows=1,
        md5=md5_of(folder / "2013-01.parquet"),
    )
    Manifest(partitions=[part], complete=complete).write(folder / "manifest.json")
    return part


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    part = folder_with_one(tmp_path)
    assert partitions.read_manifest(tmp_path) == Manifest(partitions=[part])
    assert part.path(tmp_path).exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: os.truncate(folder / "manifest.json", 50),
        lambda folder: (folder / "manifest.json").write_text("[]"),
        lambda folder: (folder / "manifest.json").write_bytes(b"\xff"),
        lambda folder: (folder / "manifest.json").write_text('{"partitions": [{"name": 3}], "files": {}}'),
        lambda folder: (folder / "2013-01.parquet").unlink(),
        lambda folder: os.truncate(folder / "2013-01.parquet", 2),
        lambda folder: (folder / "2013-01.parquet").write_bytes(b"ROWS"),
    ],
)
def test_a_damaged_folder_is_an_error_for_readers_and_vouches_for_nothing(tmp_path: Path, damage: object) -> None:
    folder_with_one(tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError, match=r"dvc repro"):
        partitions.read_manifest(tmp_path)
    assert partitions.inherited(tmp_path).partitions == []


def test_an_ingest_that_did_not_end_can_be_taken_up_but_not_read(tmp_path: Path) -> None:
    part = folder_with_one(tmp_path, complete=False)
    with pytest.raises(InputError, match="interrupted"):
        partitions.read_manifest(tmp_path)
    assert partitions.inherited(tmp_path).partitions == [part]


def test_a_name_that_leads_out_of_the_folder_is_damage(tmp_path: Path) -> None:
    folder_with_one(tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text())
    content["partitions"][0]["name"] = "../2013-01"
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged"):
        partitions.read_manifest(tmp_path)


def test_a_partition_is_reused_by_its_key_alone(tmp_path: Path) -> None:
    part = folder_with_one(tmp_path)
    before = partitions.inherited(tmp_path)
    same = partitions.Wanted(name="2013-01", start=part.start, end=part.end, key="k")
    other = partitions.Wanted(name="2013-01", start=part.start, end=part.end, key="another")
    assert partitions.reusable([same], before) == {"2013-01": part}
    assert partitions.reusable([other], before) == {}


def test_keys_change_with_bounds_and_with_what_else_they_hash() -> None:
    piece, shorter = cut(datetime(2013, 1, 1), datetime(2013, 2, 1), "month") + cut(
        datetime(2013, 1, 1), datetime(2013, 1, 31), "month"
    )
    assert piece.name == shorter.name
    keys = [piece.wanted("a").key, shorter.wanted("a").key, piece.wanted("b").key]
    assert len(set(keys)) == 3
    assert piece.wanted("a").key == keys[0]


def test_tidying_removes_strangers_and_leaves_the_rest(tmp_path: Path) -> None:
    part = folder_with_one(tmp_path)
    (tmp_path / "stranger.csv").write_text("x")
    (tmp_path / ".spool").mkdir()
    (tmp_path / ".spool" / "2013-01").write_text("x")
    partitions.tidy(tmp_path, [part])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2013-01.parquet", "manifest.json"]
