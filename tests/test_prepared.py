"""What happens to the raw rows, partition by partition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lockstep.errors import InputError, Refused
from lockstep.rows.prepared import KEY, REASONS, Preparation, Sorted, as_table, quarantine_schema
from small import a_spec, a_table


def sort(table: pd.DataFrame, pieces: int = 1, **sections: dict[str, Any]) -> tuple[Preparation, list[Sorted]]:
    preparation = Preparation(a_spec(**sections))
    cuts = np.array_split(np.arange(len(table)), pieces)
    return preparation, [preparation.sort(table.iloc[cut], f"p{number}") for number, cut in enumerate(cuts)]


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
    with pytest.raises(InputError, match='single class, "no", in all .* training rows'):
        preparation.summary()


def test_a_binary_target_with_three_values_is_an_error() -> None:
    table = a_table(200)
    table.loc[:20, "left"] = "perhaps"
    with pytest.raises(InputError, match='"no", "perhaps", "yes"; it needs two'):
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


def without(table: pd.DataFrame, column: str, piece: int) -> pd.DataFrame:
    """The table with one of four pieces that lacks every value of the column."""
    return table.assign(**{column: table[column].mask(np.arange(len(table)) // (len(table) // 4) == piece)})


def test_a_required_column_without_a_value_in_one_partition_is_an_error_that_names_both() -> None:
    preparation, _ = sort(without(a_table(800), "city", 1), pieces=4)
    with pytest.raises(InputError, match=r"p1: column `city` holds no value in any of its 200 rows, though"):
        preparation.summary()


def test_an_optional_column_that_vanishes_from_a_partition_is_found() -> None:
    found = sort(without(a_table(800), "income", 2), pieces=4)[0].summary()["findings"]
    assert [(finding["id"], finding["column"]) for finding in found] == [("vanishes", "income")]
    assert "`income` holds no value in p2 (200 rows)" in found[0]["message"]


def test_a_column_that_is_rare_everywhere_has_not_vanished_from_a_small_partition() -> None:
    table = a_table(800)
    table["income"] = table["income"].mask(np.arange(800) % 10 > 0)
    preparation, _ = sort(pd.concat([table, table.iloc[1:8].assign(customer=lambda rows: rows["customer"] + 9000)]))
    assert preparation.summary()["findings"] == []


def test_a_partition_that_lacks_a_column_is_named() -> None:
    preparation = Preparation(a_spec())
    with pytest.raises(InputError, match=r"the source \(partition 2024-02\) lacks 'city'"):
        preparation.sort(a_table(20).drop(columns="city"), "2024-02")


def test_a_quarantine_of_more_than_one_row_in_a_hundred_is_found_with_its_worst_rules() -> None:
    table = a_table(800)
    table.loc[:7, "visits"] = -1
    assert sort(table)[0].summary()["findings"] == []
    table.loc[8:12, "age"] = np.inf
    (found,) = sort(table)[0].summary()["findings"]
    assert (found["id"], found["level"]) == ("quarantine", "warning")
    assert found["message"].startswith(
        "13 of 800 rows (1.6%) are in quarantine, mostly by visits:min (8), age:infinite"
    )


def test_columns_of_the_source_with_our_names_do_not_disturb() -> None:
    table = a_table(300).assign(_reasons="theirs", _key="theirs")
    table.loc[4, "visits"] = -1
    _, (made,) = sort(table)
    assert made.quarantine[REASONS].tolist() == ["visits:min"]
    schema = quarantine_schema([*table.columns])
    assert schema.names.count(REASONS) == 1
    assert as_table(made.quarantine, schema).column(REASONS).to_pylist() == ["visits:min"]
    assert made.training[KEY].dtype == np.uint64


@pytest.mark.parametrize(("task", "column", "said"), [("binary", "left", '"no"'), ("multiclass", "plan", '"no"')])
def test_a_holdout_with_one_class_is_an_error(task: str, column: str, said: str) -> None:
    table = a_table(400)
    table.loc[table["since"] >= "2024-03-29", column] = "no"
    preparation = Preparation(a_spec(task))
    preparation.sort(table)
    with pytest.raises(InputError, match=rf"single class, {said}, in all \d+ holdout rows: nothing can be judged"):
        preparation.summary()


@pytest.mark.parametrize(("value", "said"), [(False, "false"), (0, "0")])
def test_a_class_is_named_as_the_file_would_hold_it(value: object, said: str) -> None:
    target = {"column": "left", "task": "binary", "positive": type(value)(1)}
    preparation, _ = sort(a_table(200).assign(left=value), contract={"target": target})
    with pytest.raises(InputError, match=f"single class, {said}, in all"):
        preparation.summary()


def test_an_outcome_that_arrives_later_in_a_row_of_its_own_is_no_duplicate() -> None:
    table = a_table(300)
    late = table.iloc[[5, 6]]
    table.loc[5, "left"] = None
    repeated = pd.concat([table, late, late.iloc[:1].assign(left=None)])
    for pieces in (1, 3):
        preparation, made = sort(repeated, pieces=pieces)
        quarantine = pd.concat([part.quarantine for part in made])
        assert quarantine[REASONS].tolist() == ["duplicate-key"] * 2
        assert sorted(quarantine["customer"]) == ["5", "6"]
        assert preparation.counts["unlabelled"] == 1


def test_what_looks_ahead_is_counted_among_the_rows_of_both_sides() -> None:
    table = a_table(600)
    table["renewal"] = table["since"] + pd.Timedelta(days=30)
    columns = a_spec().model_dump(by_alias=True, exclude_none=True)["contract"]["columns"]
    more = {**columns, "renewal": {"type": "datetime", "parts": ["month"]}}
    target = {"column": "left", "task": "binary", "positive": "yes", "known_after": "10 days"}
    preparation, _ = sort(table, contract={"columns": more, "target": target})
    (found,) = preparation.summary()["findings"]
    rows = preparation.counts["training"] + preparation.counts["holdout"]
    assert preparation.counts["gap"]
    assert f"in {rows:,} of {rows:,} rows" in found["message"]
