"""By what models are compared: slices and metrics of this branch and of its base."""

from __future__ import annotations

from pathlib import Path

import pytest

from branches import WORSE, Branches, columns
from lockstep.statistics.intervals import p_value
from lockstep.statistics.slices import holm
from small import a_spec, a_table


@pytest.fixture
def branch(tmp_path: Path) -> Branches:
    return Branches(tmp_path)


def test_slices_get_words_adjusted_for_how_many_there_are(branch: Branches) -> None:
    found = branch.compared(a_spec(train=WORSE), a_spec())
    assert {(row.column, row.value, row.metric) for row in found.slices} == {
        ("city", city, metric) for city in ("Bonn", "Kiel", "Ulm") for metric in ("roc_auc", "log_loss")
    }
    assert {row.word for row in found.slices} <= {"better", "no difference shown"}
    assert all(row.p is not None and row.rows > 0 for row in found.slices)
    assert sum(row.rows for row in found.slices if row.metric == "roc_auc") == found.rows.compared  # type: ignore[union-attr]


def test_of_very_many_values_the_largest_are_judged_and_the_rest_counted(branch: Branches) -> None:
    table = a_table().assign(city=lambda rows: "town" + (rows["customer"] % 70).astype(str))
    found = branch.compared(a_spec(train=WORSE), a_spec(), then=table, now=table)
    assert found.slices_left_out == 20
    assert len({row.value for row in found.slices}) == 50


def test_a_slice_that_only_the_base_lists_is_judged_all_the_same(branch: Branches) -> None:
    both, one = {"slices": ["city", "device"]}, {"slices": ["city"]}
    found = branch.compared(a_spec(evaluate=both, train=WORSE), a_spec(evaluate=one))
    assert {row.column for row in found.slices} == {"city", "device"}
    assert found.notes == (
        "This branch no longer slices by `device`; the base does, so its slices are judged all the same.",
    )


def test_a_slice_column_that_one_of_them_lacks_is_said(branch: Branches) -> None:
    before = a_spec(evaluate={"slices": ["device"]}, train=WORSE)
    after = a_spec(evaluate={"slices": ["city"]}, contract=columns(device=None))
    found = branch.compared(before, after)
    assert {row.column for row in found.slices} == {"city"}
    assert "The base slices by `device`, a column that this branch's rows lack: those slices are not judged." in (
        found.notes
    )
    assert "The base does not slice by `city`: its slices are judged here for the first time." in found.notes


def test_a_column_that_became_private_is_not_sliced_by(branch: Branches) -> None:
    before = a_spec(evaluate={"slices": ["device"]}, train=WORSE)
    private = columns(device={"type": "category", "missing": "allowed", "private": True})
    found = branch.compared(before, a_spec(evaluate={"slices": []}, contract=private))
    assert found.slices == ()
    assert "The base slices by `device`, which is private here: those slices are not judged." in found.notes
    assert found.exam is not None
    assert found.exam.slices == {}


def test_private_values_are_nowhere_in_what_was_found(branch: Branches) -> None:
    found = branch.compared(a_spec(train=WORSE), a_spec())
    assert "example.org" not in repr(found)
    assert found.exam is not None
    assert set(found.exam.slices) == {"city"}


def test_a_metric_that_only_the_base_lists_is_judged_all_the_same(branch: Branches) -> None:
    before, after = ({"metrics": ids, "primary": "roc_auc"} for ids in (["roc_auc", "brier"], ["roc_auc"]))
    found = branch.compared(a_spec(evaluate=before, train=WORSE), a_spec(evaluate=after))
    assert [row.id for row in found.metrics] == ["roc_auc", "brier"]
    assert found.notes == ("This branch no longer lists Brier score; the base does, so it is judged all the same.",)


def test_every_slice_of_a_metric_takes_part_in_the_adjustment(branch: Branches) -> None:
    by_two = {"slices": ["city", "device"]}
    found = branch.compared(a_spec(evaluate=by_two, train=WORSE), a_spec(evaluate=by_two))
    for metric in ("roc_auc", "log_loss"):
        rows = [row for row in found.slices if row.metric == metric]
        assert len(rows) == 6
        assert [row.p for row in rows] == holm([p_value(row.difference) for row in rows if row.difference])
        assert all((row.word == "better") == (row.p is not None and row.p <= 0.05) for row in rows)


def test_a_slice_with_too_few_rows_says_so_and_costs_the_others_nothing(branch: Branches) -> None:
    table = a_table()
    held = table.index[table["since"] >= "2024-04-01"]
    table.loc[held[:12], "city"] = "Köln"
    found = branch.compared(a_spec(train=WORSE), a_spec(), then=table, now=table)
    (small,) = (row for row in found.slices if (row.value, row.metric) == ("Köln", "roc_auc"))
    assert (small.rows, small.p, small.word) == (12, None, "too few to say")
    assert small.difference is not None
    assert small.difference.note.startswith("too few to say")
