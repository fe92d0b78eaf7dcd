from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import InputError
from lockstep.rows import columns, tables


def frame(rows: int = 1000) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "text": [f"v{value}" for value in generator.integers(0, 50, rows)],
            "number": np.where(generator.random(rows) < 0.1, np.nan, generator.random(rows)),
            "when": pd.date_range("2013-01-01", periods=rows, freq="min"),
            "flag": generator.random(rows) < 0.5,
        }
    )


WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from test_tables import frame
from lockstep.rows.tables import md5_of, write_parquet
path = Path(sys.argv[1]); path.parent.mkdir(parents=True); write_parquet(frame(100_000), path); print(md5_of(path))
"""


def test_the_same_rows_give_the_same_bytes_at_any_path_hash_seed_and_thread_setting(tmp_path: Path) -> None:
    found = set()
    for seed, threads in (("1", "1"), ("2", "2")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads, "ARROW_IO_THREADS": threads}
        command = [sys.executable, "-c", WRITE, str(tmp_path / seed / ("x" * int(seed)) / "a.parquet")]
        found.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


def test_bytes_do_not_depend_on_how_rows_were_cut_into_tables(tmp_path: Path) -> None:
    table = columns.table_of(frame(150_000), "here")
    tables.write_parquet(table, tmp_path / "whole.parquet")
    pieces = [table.slice(start, 7_777) for start in range(0, len(table), 7_777)]
    assert tables.write_all(pieces, tmp_path / "pieces.parquet") == 150_000
    assert tables.md5_of(tmp_path / "whole.parquet") == tables.md5_of(tmp_path / "pieces.parquet")


def test_the_file_carries_nothing_but_rows_and_the_writers_version(tmp_path: Path) -> None:
    tables.write_parquet(frame(), tmp_path / "a.parquet")
    found = pq.read_metadata(tmp_path / "a.parquet")
    assert found.metadata is None
    assert pa.__version__ in found.created_by


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    tables.write_parquet(frame(), tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(
        tables.read_frame(tmp_path / "a.parquet"), frame().astype({"when": "datetime64[us]", "text": "str"})
    )


def test_whole_numbers_too_large_for_float_keep_their_digits_beside_gaps(tmp_path: Path) -> None:
    tables.write_parquet(pa.table({"id": pa.array([2**60 + 1, None])}), tmp_path / "a.parquet")
    assert tables.read_frame(tmp_path / "a.parquet")["id"][0] == 2**60 + 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    tables.write_parquet(frame(), tmp_path / "a.parquet")
    os.truncate(tmp_path / "a.parquet", 500)
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read as parquet"):
        tables.read_table(tmp_path / "a.parquet")


def test_a_writer_that_is_interrupted_by_an_error_passes_it_on(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.Table]:
        yield columns.table_of(frame(), "here")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tables.write_all(broken(), tmp_path / "a.parquet")
