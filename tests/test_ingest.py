from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import require
from lockstep.errors import InputError
from lockstep.rows.tables import read_frame
from lockstep.sources import partitions
from lockstep.spec import Ingest
from lockstep.stages import ingest

SOURCE = """
import pandas as pd
ROWS = pd.DataFrame({"when": pd.date_range("2013-01-01", "2014-01-01", freq="h", inclusive="left")})
ROWS["value"] = range(len(ROWS))
CALLS = []

def load(start, end):
    CALLS.append((start, end))
    rows = ROWS
    if start is not None:
        rows = rows[(rows["when"] >= start) & (rows["when"] < end)]
    return rows
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose `src` holds the module `own_<number>`, another in every test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "src").mkdir()
    module(tmp_path).write_text(SOURCE)
    return tmp_path


def name(root: Path) -> str:
    return f"own_{zlib.crc32(str(root).encode())}"


def module(root: Path) -> Path:
    return root / "src" / f"{name(root)}.py"


def run(root: Path, time: str | None = "when", **keys: object) -> partitions.Manifest:
    """Ingest as the stage does it; `keys` are those of the spec's section."""
    if "files" not in keys:
        keys = {"source": f"{name(root)}:load", **keys}
    spec = SimpleNamespace(ingest=Ingest.model_validate(keys), contract=SimpleNamespace(time=time))
    with ingest.STAGE.files(root) as files:
        ingest.run(spec, files)  # type: ignore[arg-type]
    return partitions.read_manifest(root / "data/raw")


def window(start: str, until: str) -> dict[str, str]:
    return {"from": start, "until": until}


def calls(root: Path) -> list[str]:
    """Months that the source function was asked for since the last look."""
    log = sys.modules[name(root)].CALLS
    asked = [f"{start:%Y-%m}" for start, _ in log]
    log.clear()
    return asked


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "data/raw").iterdir()}


def test_a_window_is_fetched_partition_by_partition(repository: Path) -> None:
    manifest = run(repository, **window("2013-01-10", "2013-04-01"))
    assert [part.name for part in manifest.partitions] == ["2013-01", "2013-02", "2013-03"]
    assert [part.rows for part in manifest.partitions] == [22 * 24, 28 * 24, 31 * 24]
    assert sorted(files(repository)) == ["2013-01.parquet", "2013-02.parquet", "2013-03.parquet", "manifest.json"]
    assert not list((repository / "data").glob(".*"))


def test_a_moved_window_fetches_only_what_it_lacks_and_drops_what_left(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(repository, **window("2013-01-01", "2013-04-01"))
    calls(repository)
    capsys.readouterr()
    run(repository, **window("2013-02-01", "2013-05-01"))
    assert calls(repository) == ["2013-04"]
    assert sorted(files(repository)) == ["2013-02.parquet", "2013-03.parquet", "2013-04.parquet", "manifest.json"]
    assert "2 reused, 1 fetched" in capsys.readouterr().err


def test_how_a_window_was_reached_leaves_no_trace(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(repository, **window("2013-01-01", "2013-03-15"))
    run(repository, **window("2013-02-01", "2013-05-01"))
    moved = files(repository)
    for path in (repository / "data/raw").iterdir():
        path.unlink()
    run(repository, **window("2013-02-01", "2013-05-01"))
    assert files(repository) == moved


def test_a_partition_that_was_clipped_is_fetched_anew_when_its_bounds_grow(repository: Path) -> None:
    run(repository, **window("2013-01-01", "2013-02-10"))
    calls(repository)
    manifest = run(repository, **window("2013-01-01", "2013-03-01"))
    assert calls(repository) == ["2013-02"]
    assert manifest.partitions[1].rows == 28 * 24


@pytest.mark.parametrize(
    "damage",
    [lambda path: os.truncate(path, 100), Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")],
)
def test_a_damaged_partition_is_fetched_anew(repository: Path, damage: object) -> None:
    run(repository, **window("2013-01-01", "2013-04-01"))
    before = files(repository)
    calls(repository)
    damage(repository / "data/raw/2013-02.parquet")  # type: ignore[operator]
    run(repository, **window("2013-01-01", "2013-04-01"))
    assert calls(repository) == ["2013-02"]
    assert files(repository) == before


def test_a_damaged_manifest_vouches_for_nothing(repository: Path) -> None:
    run(repository, **window("2013-01-01", "2013-03-01"))
    calls(repository)
    os.truncate(repository / "data/raw/manifest.json", 40)
    run(repository, **window("2013-01-01", "2013-03-01"))
    assert calls(repository) == ["2013-01", "2013-02"]


def test_changed_source_code_fetches_everything_anew(repository: Path) -> None:
    run(repository, **window("2013-01-01", "2013-03-01"))
    calls(repository)
    module(repository).write_text(SOURCE + "# changed\n")
    run(repository, **window("2013-01-01", "2013-03-01"))
    assert calls(repository) == ["2013-01", "2013-02"]


def test_another_version_of_a_library_fetches_everything_anew(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(repository, **window("2013-01-01", "2013-03-01"))
    calls(repository)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")
    run(repository, **window("2013-01-01", "2013-03-01"))
    assert calls(repository) == ["2013-01", "2013-02"]


def test_files_that_are_not_ours_are_removed(repository: Path) -> None:
    run(repository, **window("2013-01-01", "2013-02-01"))
    (repository / "data/raw/stranger.parquet").write_text("x")
    run(repository, **window("2013-01-01", "2013-02-01"))
    assert sorted(files(repository)) == ["2013-01.parquet", "manifest.json"]


def test_without_window_the_source_is_asked_for_everything(repository: Path) -> None:
    manifest = run(repository, time=None)
    assert [(part.name, part.rows) for part in manifest.partitions] == [("all", 365 * 24)]
    assert sys.modules[name(repository)].CALLS == [(None, None)]


def test_an_empty_month_is_counted_and_an_empty_window_refused(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(repository, **window("2013-12-01", "2014-02-01"))
    assert "no rows in 2014-01" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"the window is empty: there are no rows for 2015-01-01 to 2015-03-01"):
        run(repository, **window("2015-01-01", "2015-03-01"))


def test_a_month_without_rows_is_asked_for_again_for_they_may_have_come_since(repository: Path) -> None:
    run(repository, **window("2013-12-01", "2014-03-01"))
    assert calls(repository) == ["2013-12", "2014-01", "2014-02"]
    run(repository, **window("2013-12-01", "2014-03-01"))
    assert calls(repository) == ["2014-01", "2014-02"]


def test_a_partition_whose_file_was_removed_is_fetched_again_and_no_other(repository: Path) -> None:
    run(repository, **window("2013-01-01", "2013-04-01"))
    calls(repository)
    (repository / "data/raw/2013-02.parquet").unlink()
    run(repository, **window("2013-01-01", "2013-04-01"))
    assert calls(repository) == ["2013-02"]


def test_an_ingest_that_failed_half_way_is_taken_up_where_it_stopped(repository: Path) -> None:
    failing = SOURCE.replace(
        "    rows = ROWS\n", "    rows = ROWS\n    if start.month == 3 and FAIL: raise OSError('line')\n"
    )
    module(repository).write_text(failing + "FAIL = [1]\n")
    with pytest.raises(InputError, match="raised OSError: line"):
        run(repository, **window("2013-01-01", "2013-05-01"))
    with pytest.raises(InputError, match="interrupted"):
        partitions.read_manifest(repository / "data/raw")
    sys.modules[name(repository)].FAIL.clear()
    calls(repository)
    run(repository, **window("2013-01-01", "2013-05-01"))
    assert calls(repository) == ["2013-03", "2013-04"]


ELSEWHERE = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
import test_ingest
test_ingest.run(Path.cwd(), **{keys!r})
"""


def run_elsewhere(root: Path, keys: dict[str, str], **env: str) -> int:
    """The same in another process; returns its exit code."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "src")]
    script = ELSEWHERE.format(paths=paths, keys=keys)
    return subprocess.run([sys.executable, "-c", script], env={**os.environ, **env}, check=False).returncode


def test_a_killed_ingest_leaves_nothing_that_the_next_one_believes(repository: Path) -> None:
    kill = "    if start.month == 4 and os.environ.get('KILL'): os.kill(os.getpid(), 9)\n    rows = ROWS\n"
    module(repository).write_text("import os\n" + SOURCE.replace("    rows = ROWS\n", kill))
    long, short = window("2013-01-01", "2013-06-01"), window("2013-01-01", "2013-02-15")
    expected = run(repository, **long)
    whole = files(repository)
    run(repository, **short)
    assert run_elsewhere(repository, long, KILL="1") == -9
    assert run(repository, **long) == expected
    assert files(repository) == whole


def test_bytes_are_the_same_under_another_hash_seed(repository: Path) -> None:
    run(repository, **window("2013-01-01", "2013-03-01"))
    here = files(repository)
    for path in (repository / "data/raw").iterdir():
        path.unlink()
    assert run_elsewhere(repository, window("2013-01-01", "2013-03-01"), PYTHONHASHSEED="7") == 0
    assert files(repository) == here


def csv_of(path: Path, start: str, until: str, columns: int = 1) -> None:
    hours = pd.date_range(start, until, freq="h", inclusive="left")
    values = {f"value{column}": np.arange(len(hours)) for column in range(columns)}
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame({"when": hours.strftime("%Y-%m-%dT%H:%M"), **values}).to_csv(path, index=False)


def test_an_appended_monthly_file_loads_its_month_only(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for month in (1, 2, 3):
        csv_of(repository / f"incoming/{month}.csv", f"2013-0{month}-01", f"2013-0{month + 1}-01")
    run(repository, files="incoming/*.csv", **window("2013-01-01", "2013-04-01"))
    csv_of(repository / "incoming/4.csv", "2013-04-01", "2013-05-01")
    capsys.readouterr()
    manifest = run(repository, files="incoming/*.csv", **window("2013-01-01", "2013-05-01"))
    said = capsys.readouterr().err
    assert "reading incoming/4.csv" in said
    assert "reading incoming/3.csv" not in said
    assert "3 reused, 1 fetched" in said
    assert [part.rows for part in manifest.partitions] == [744, 672, 744, 720]


def test_a_changed_file_fetches_only_the_partitions_it_touches(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv_of(repository / "incoming/a.csv", "2013-01-01", "2013-03-01")
    csv_of(repository / "incoming/b.csv", "2013-03-01", "2013-05-01")
    run(repository, files="incoming", **window("2013-01-01", "2013-05-01"))
    csv_of(repository / "incoming/b.csv", "2013-03-01", "2013-04-15")
    capsys.readouterr()
    manifest = run(repository, files="incoming", **window("2013-01-01", "2013-05-01"))
    assert "2 reused, 2 fetched" in capsys.readouterr().err
    assert [part.rows for part in manifest.partitions] == [744, 672, 744, 14 * 24]


def test_files_grown_step_by_step_give_the_bytes_of_files_read_at_once(repository: Path) -> None:
    csv_of(repository / "incoming/a.csv", "2013-01-01", "2013-02-10")
    run(repository, files="incoming", **window("2013-01-01", "2013-05-01"))
    csv_of(repository / "incoming/b.csv", "2013-02-10", "2013-05-01", columns=2)
    run(repository, files="incoming", **window("2013-01-01", "2013-05-01"))
    grown = files(repository)
    for path in (repository / "data/raw").iterdir():
        path.unlink()
    run(repository, files="incoming", **window("2013-01-01", "2013-05-01"))
    assert files(repository) == grown


def test_rows_without_a_readable_time_are_kept_apart(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "a.csv").write_text("when,value\n2013-01-05,1\n31.1.2013,2\n,3\n2013-02-03,4\n2020-01-01,5\n")
    manifest = run(repository, files="a.csv", **window("2013-01-01", "2013-03-01"))
    assert [(part.name, part.rows) for part in manifest.partitions] == [("2013-01", 1), ("2013-02", 1), ("unplaced", 2)]
    assert read_frame(repository / "data/raw/unplaced.parquet")["value"].tolist() == ["2", "3"]
    said = capsys.readouterr().err
    assert "2 rows without a readable time" in said
    assert "; 1 rows outside the window" in said


def test_files_without_window_are_cut_where_their_rows_are(repository: Path) -> None:
    csv_of(repository / "a.csv", "2013-01-10", "2013-03-02")
    assert [part.name for part in run(repository, files="a.csv").partitions] == ["2013-01", "2013-02", "2013-03"]
    assert [part.name for part in run(repository, files="a.csv", time=None).partitions] == ["all"]


def test_an_empty_window_over_files_names_the_times_there_are(repository: Path) -> None:
    csv_of(repository / "a.csv", "2013-01-10", "2013-01-12")
    with pytest.raises(InputError, match=r"1 files have rows from 2013-01-10 00:00:00 to 2013-01-11 23:00:00"):
        run(repository, files="a.csv", **window("2014-01-01", "2014-02-01"))


def test_a_bad_file_stops_before_anything_is_touched(repository: Path) -> None:
    csv_of(repository / "incoming/a.csv", "2013-01-01", "2013-02-01")
    run(repository, files="incoming", **window("2013-01-01", "2013-02-01"))
    before = files(repository)
    (repository / "incoming/b.csv").write_text("when,value1\n2013-01-01\n")
    with pytest.raises(InputError, match=r"incoming/b\.csv, row 2"):
        run(repository, files="incoming", **window("2013-01-01", "2013-02-01"))
    assert files(repository) == before


PEAK = """
import sys
sys.path[:0] = {paths!r}
import test_ingest
from pathlib import Path
test_ingest.run(Path.cwd(), files=sys.argv[1], **test_ingest.window("2013-01-01", "2017-01-01"))
# getrusage would count the process this one was forked from.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def test_four_times_the_months_take_little_more_memory(repository: Path) -> None:
    require(Path("/proc/self/status").exists(), "peak memory from /proc")
    one = pd.DataFrame({"when": pd.date_range("2013-01-01", "2014-01-01", freq="4min", inclusive="left")})
    text = pd.Series(np.random.default_rng(1).integers(0, 10**12, len(one)).astype(str))
    peaks = []
    script = PEAK.format(paths=[str(Path(__file__).parent), str(Path(__file__).parents[1] / "src")])
    for years in (1, 4):
        shifted = [one["when"] + pd.DateOffset(years=year) for year in range(years)]
        stamps = pd.concat(shifted).dt.strftime("%Y-%m-%dT%H:%M")
        pd.DataFrame({"when": stamps, **{f"c{n}": list(text) * years for n in range(8)}}).to_csv("big.csv", index=False)
        command = [sys.executable, "-c", script, "big.csv"]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        manifest = json.loads((repository / "data/raw/manifest.json").read_text())
        assert sum(part["rows"] for part in manifest["partitions"]) == len(one) * years
    assert peaks[1] < 1.3 * peaks[0], peaks
