"""The question that a holdout asks, from the bare values of any revision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from branches import Branches, bare, columns
from lockstep.comparison.question import changes, of_revision, of_spec, question_of
from small import a_spec, a_table


def asked(**sections: Any) -> Any:
    return of_spec(a_spec(**sections))


def test_what_a_lock_records_is_what_the_spec_asks(tmp_path: Path) -> None:
    branch = Branches(tmp_path)
    branch.build(a_spec(), a_table())
    assert of_revision(branch.commit()) == asked()


def test_where_the_lock_records_no_parameters_params_yaml_is_asked(tmp_path: Path) -> None:
    branch = Branches(tmp_path)
    branch.build(a_spec(), a_table())
    text = (tmp_path / "dvc.lock").read_text()
    (tmp_path / "dvc.lock").write_text(text.replace("params.yaml:", "other.yaml:"))
    assert of_revision(branch.commit()) == asked()


@pytest.mark.parametrize("contract", [None, [], "text", {"target": [], "key": "id", "columns": []}, {"key": 3}])
@pytest.mark.parametrize("split", [None, [], {"by": "group"}, {"by": ["time"]}])
def test_sections_of_any_shape_are_another_question_and_no_crash(contract: Any, split: Any) -> None:
    assert changes(question_of(contract, split), asked())


def test_true_is_not_one_and_a_text_is_not_its_number() -> None:
    def positive(value: Any) -> Any:
        return question_of({"target": {"positive": value}}, {})

    assert changes(positive(True), positive(1)) == [
        "`contract.target.positive` changed from true to 1: the two models answer different questions."
    ]
    assert changes(positive("1"), positive(1))
    assert not changes(positive(1), positive(1))


def test_another_type_of_a_key_column_hashes_otherwise() -> None:
    number = columns(customer={"type": "number", "feature": False})
    assert changes(asked(), asked(contract=number)) == [
        "`contract.columns.customer.type` changed from integer to number: rows of one are not recognised in the other."
    ]


def test_a_column_that_is_no_part_of_the_key_may_change() -> None:
    assert not changes(asked(), asked(contract=columns(visits={"type": "number"}, income=None)))


def test_another_time_column_is_another_split_only_by_time() -> None:
    contract, by_key = bare(a_spec())["contract"], {"by": "key", "holdout": 0.2}
    by_time = bare(a_spec())["split"]
    other = contract | {"time": "booked"}
    assert changes(question_of(contract, by_time), question_of(other, by_time)) == [
        "`contract.time` changed from since to booked: the two models hold out different rows."
    ]
    assert not changes(question_of(contract, by_key), question_of(other, by_key))


def test_a_moved_window_and_other_words_ask_the_same() -> None:
    target = {"column": "left", "task": "binary", "positive": "yes", "about": "within a month"}
    assert not changes(asked(), asked(contract={"target": target}, ingest={"until": "2024-04-01"}))
