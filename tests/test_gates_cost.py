"""What a model costs: megabytes and milliseconds, two models in turns."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.comparison.result import Comparison
from lockstep.errors import InputError
from lockstep.evaluation import golden
from lockstep.gates import cost
from lockstep.gates.evidence import Evidence
from lockstep.models.fitting import fit
from lockstep.models.model import load
from small import a_spec, a_table, prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model as evaluate leaves it."""
    spec = a_spec()
    training, holdout, _ = prepare(spec, a_table())
    fitted, folder = fit(spec, training, lambda _: None), tmp_path_factory.mktemp("model")
    (folder / "model.onnx").write_bytes(fitted.graph)
    (folder / "contract.json").write_text(fitted.learned.to_json(), encoding="utf-8")
    (folder / "golden.json").write_text(json.dumps(golden(load(folder), holdout)), encoding="utf-8")
    return folder


def test_the_size_is_that_of_graph_and_contract(folder: Path) -> None:
    sizes = [(folder / name).stat().st_size for name in ("model.onnx", "contract.json")]
    assert cost.megabytes(folder) == pytest.approx(sum(sizes) / 1e6)


def test_both_models_are_measured_and_a_thousand_rows_take_longer_than_one(folder: Path) -> None:
    size, one, thousand = cost.measure(folder, folder)
    assert [(each.title, each.unit) for each in (size, one, thousand)] == list(cost.COSTS.values())
    assert size.challenger == size.champion
    assert one.champion is not None
    assert thousand.champion is not None
    assert 0 < one.champion < thousand.champion
    assert 0 < one.challenger < thousand.challenger


def test_without_a_champion_there_is_only_the_challenger(folder: Path) -> None:
    assert {each.champion for each in cost.measure(folder, None)} == {None}


def test_models_take_turns_and_who_goes_first_alternates() -> None:
    seen: list[str] = []
    cost.take_turns([lambda: seen.append("a"), lambda: seen.append("b")], 4)
    turns = ["".join(seen[at : at + 2]) for at in range(0, len(seen), 2)]
    assert turns == ["ba", "ab"] * ((4 + cost.WARM_UP) // 2) + ["ba"] * ((4 + cost.WARM_UP) % 2)


def test_the_median_counts_and_what_warms_up_does_not() -> None:
    waits = iter([0.05] * cost.WARM_UP + [0.001, 0.03, 0.001, 0.001, 0.001])
    [median] = cost.take_turns([lambda: time.sleep(next(waits))], 5)
    assert 1 <= median < 25


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("model.onnx", None, "model.onnx is missing. `make repro` makes it"),
        ("golden.json", None, "golden.json is missing. `make repro` makes it"),
        ("golden.json", "{", "golden.json is damaged"),
        ("golden.json", "[]", "golden.json is damaged"),
        ("golden.json", '{"rows": []}', "golden.json holds no rows"),
        ("model.onnx", "not a graph", "is not a readable ONNX graph"),
    ],
)
def test_missing_and_damaged_files_are_told(
    folder: Path, tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        cost.measure(tmp_path, None)


def test_a_champion_that_cannot_be_compared_is_not_even_loaded(folder: Path, tmp_path: Path) -> None:
    evidence = Evidence(
        comparison=Comparison(verdict="not comparable", why=("its contract is of another world",)),
        spec=a_spec(),
        model_folder=folder,
        champion_folder=tmp_path,
        summary={},
    )
    assert {each.champion for each in evidence.costs} == {None}


def test_evidence_measures_once(folder: Path) -> None:
    evidence = Evidence(comparison=Comparison(verdict="first model"), spec=a_spec(), model_folder=folder, summary={})
    assert evidence.costs is evidence.costs
    assert evidence.costs != replace(evidence, champion_folder=folder).costs
