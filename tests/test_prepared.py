"""What happens to the raw rows, partition by partition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lockstep.errors import InputError, Refused
from lockstep.rows.prepared import KEY, REASONS, Preparation, Sorted
from small import a_spec, a_table


def sort(table: pd.DataFrame, pieces: int = 1, **sections: dict[str, Any]) -> tuple[Preparation, list[Sorted]]:
    preparation = Preparation(a_spec(**sections))
    cuts = np.array_split(np.arange(len(table)), pieces)
    return preparation, [preparation.sort(table.iloc[cut]) for cut in cuts]


def test_every_row_is_somewhere_and_counted_once() -> None:
    table = a_table(800)
    table.loc[3, "visits"] = -1
    table.loc[5:9, "left"] = None
    table.loc[20, "customer"] = 19
    preparation, _ = sort(
        table, contract={"target": {"column": "left", "task": "binary", "positive": "yes", "known_after": "2 days"}}
    )
    counts = preparation.summary()["rows"]
    assert counts["quarantine"] == 2
    assert counts["unlabelled"] == 5
    assert counts["gap"] > 0
    assert counts["rows"] == 800 == sum(counts.values()) - counts["rows"]


def test_partitions_give_the_same_rows_as_one_piece() -> None:
    table = a_table(900)
    one, many = sort(table)[1], sort(table, pieces=5)[1]
    for side in ("training", "holdout"):
        whole = getattr(one[0], side)
        parts = pd.concat([getattr(part, side) for part in many])
        assert set(parts[KEY]) == set(whole[KEY])
    assert sort(table)[0].summary() == sort(table, pieces=5)[0].summary()


def test_the_quarantine_keeps_raw_values_and_all_reasons() -> None:
    table = a_table(300).astype({"visits": object})
    table.loc[7, ["visits", "age"]] = ["many", np.inf]
    _, (made,) = sort(table)
    assert made.quarantine[REASONS].tolist() == ["age:infinite visits:type"]
    assert made.quarantine["visits"].tolist() == ["many"]


def test_a_key_seen_in_an_earlier_partition_is_a_duplicate() -> None:
    table = a_table(600)
    table.loc[599, "customer"] = 0
    preparation, made = sort(table, pieces=3)
    assert made[2].quarantine[REASONS].tolist() == ["duplicate-key"]
    assert [finding["id"] for finding in preparation.summary()["findings"]] == ["duplicate-key"]


def test_a_row_in_quarantine_does_not_claim_its_key() -> None:
    table = a_table(300)
    table.loc[[10, 11], "customer"] = 10
    table.loc[10, "visits"] = -5
    _, (made,) = sort(table)
    assert made.quarantine[REASONS].tolist() == ["visits:min"]


def test_rows_outside_the_window_are_in_quarantine() -> None:
    table = a_table(300)
    table.loc[0, "since"] = pd.Timestamp("2023-12-31")
    assert sort(table)[0].rules == {"since:window": 1}


def test_all_rows_in_quarantine_is_an_error_that_names_the_rules() -> None:
    preparation, _ = sort(a_table(100).assign(visits=-1))
    with pytest.raises(InputError, match=r"all 100 rows break the contract: visits:min \(100\)"):
        preparation.summary()


@pytest.mark.parametrize(("until", "side"), [("2024-09-01", "holdout"), ("2024-01-20", "training")])
def test_an_empty_side_is_an_error_that_says_where_the_rows_went(until: str, side: str) -> None:
    preparation, _ = sort(a_table(200), ingest={"until": until})
    with pytest.raises(InputError, match=rf"no rows are left for {side}. 200 rows: "):
        preparation.summary()


def test_a_target_with_one_class_is_an_error() -> None:
    preparation, _ = sort(a_table(200).assign(left="no"))
    with pytest.raises(InputError, match="single class, 'no'"):
        preparation.summary()


def test_a_binary_target_with_three_values_is_an_error() -> None:
    table = a_table(200)
    table.loc[:20, "left"] = "perhaps"
    with pytest.raises(InputError, match="'no', 'perhaps', 'yes'; it needs two"):
        sort(table)[0].summary()


def test_a_column_written_after_the_outcome_is_refused() -> None:
    table = a_table(2000)
    columns = a_spec().model_dump(by_alias=True, exclude_none=True)["contract"]["columns"]
    leaky = {**columns, "leaver": {"type": "number"}}
    with pytest.raises(Refused, match=r"\[leakage\] `leaver` alone separates"):
        sort(table.assign(leaver=(table["left"] == "yes") * 1.0), contract={"columns": leaky})[0].summary()
    vouched = {**columns, "leaver": {"type": "number", "available": "before"}}
    assert sort(table.assign(leaver=(table["left"] == "yes") * 1.0), contract={"columns": vouched})[0].summary()


def test_a_missing_value_that_tells_the_outcome_is_a_leak_too() -> None:
    table = a_table(2000)
    table["closed"] = np.where(table["left"] == "yes", "2024-01-01", None)
    columns = a_spec().model_dump(by_alias=True, exclude_none=True)["contract"]["columns"]
    leaky = {**columns, "closed": {"type": "category", "missing": "allowed"}}
    with pytest.raises(Refused, match="`closed` alone separates"):
        sort(table, contract={"columns": leaky})[0].summary()


def test_constant_columns_and_columns_that_look_ahead_are_found() -> None:
    table = a_table(600).assign(country="DE")
    table["renewal"] = table["since"] + pd.Timedelta(days=30)
    columns = a_spec().model_dump(by_alias=True, exclude_none=True)["contract"]["columns"]
    more = {**columns, "country": {"type": "category"}, "renewal": {"type": "datetime", "parts": ["month"]}}
    found = sort(table, contract={"columns": more})[0].summary()["findings"]
    assert [(finding["id"], finding["column"]) for finding in found] == [
        ("constant", "country"),
        ("looks-ahead", "renewal"),
    ]


def test_a_clean_table_has_no_findings() -> None:
    assert sort(a_table(3000))[0].summary()["findings"] == []
