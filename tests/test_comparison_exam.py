"""The exam must not change with the pupil: every way to take hard rows out of it, or to put easy ones in, is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from branches import WORSE, Branches
from lockstep.comparison.lost import percent
from lockstep.comparison.result import Rows
from small import a_spec, a_table

START = pd.Timestamp("2024-03-30")
BY_KEY: dict[str, Any] = {"by": "key", "holdout": 0.3}


@pytest.fixture
def branch(tmp_path: Path) -> Branches:
    return Branches(tmp_path)


@pytest.fixture
def table() -> pd.DataFrame:
    return a_table()


def hard(table: pd.DataFrame, count: int) -> pd.Index[Any]:
    """Some held-out rows whose outcome was hard to foresee: `yes`, though the score says otherwise."""
    held = table[(table["since"] >= START + pd.Timedelta(days=2)) & (table["left"] == "yes")]
    return held["spent"].nsmallest(count).index


def attacked(branch: Branches, now: pd.DataFrame, split: dict[str, Any] | None = None) -> tuple[str, Rows, str]:
    """A worse champion, a branch that also changed its rows: the word, the counts, why."""
    more: dict[str, Any] = {"split": split} if split else {}
    found = branch.compared(a_spec(train=WORSE, **more), a_spec(**more), now=now)
    assert found.rows is not None
    return found.verdict, found.rows, " ".join(found.why)


# --- rows taken out


def test_hard_rows_that_the_source_drops_change_the_exam(branch: Branches, table: pd.DataFrame) -> None:
    word, rows, why = attacked(branch, table.drop(hard(table, 60)))
    assert word == "not comparable"
    assert (rows.gone, rows.relearned, rows.refused, rows.moved) == (60, 0, 0, 0)
    assert rows.due == rows.joined + 60 == (table["since"] >= START).sum()
    assert why.startswith(f"The exam changed: 60 of the {rows.due:,} rows that the base holds out")
    share = (table.loc[table["since"] >= START, "left"] == "yes").mean()
    assert f'Of them 100.0 % have `left` "yes", of all {100 * share:.1f} %.' in why


def test_hard_rows_that_lose_their_outcome_change_the_exam(branch: Branches, table: pd.DataFrame) -> None:
    table.loc[hard(table, 60), "left"] = None
    word, rows, why = attacked(branch, table)
    assert (word, rows.gone) == ("not comparable", 60)
    assert "60 have no outcome here, moved in time, got another key or are gone" in why


def test_hard_rows_with_an_earlier_time_change_the_exam_and_are_not_said_to_have_moved(
    branch: Branches, table: pd.DataFrame
) -> None:
    table.loc[hard(table, 60), "since"] = pd.Timestamp("2024-02-01")
    word, rows, why = attacked(branch, table)
    assert (word, rows.relearned, rows.gone, rows.moved) == ("not comparable", 60, 0, 0)
    assert "60 are training rows here" in why


def test_hard_rows_moved_into_the_gap_change_the_exam(branch: Branches, table: pd.DataFrame) -> None:
    table.loc[hard(table, 60), "since"] = START - pd.Timedelta(days=2)
    word, rows, _ = attacked(branch, table, {"by": "time", "holdout": "1 month", "gap": "5 days"})
    assert (word, rows.gone, rows.moved) == ("not comparable", 60, 0)


def test_hard_rows_of_another_group_change_the_exam(branch: Branches, table: pd.DataFrame) -> None:
    split = {"by": "group", "column": "email", "holdout": 0.3}
    branch.build(a_spec(split=split), table)
    held = pd.read_parquet(branch.root / "data/prepared/holdout.parquet")
    training = pd.read_parquet(branch.root / "data/prepared/training.parquet")
    taken = table["customer"].isin(held.loc[held["left"] == "yes", "customer"].head(60))
    table.loc[taken, "email"] = training["email"].iloc[0]
    word, rows, _ = attacked(branch, table, split)
    assert (word, rows.relearned, rows.gone) == ("not comparable", 60, 0)


def test_hard_rows_dropped_while_the_window_moves_on_change_the_exam(branch: Branches, table: pd.DataFrame) -> None:
    until = "2024-04-15"
    both = hard(table[table["since"] < until], 60)
    found = branch.compared(
        a_spec(ingest={"until": until}), a_spec(), then=table[table["since"] < until], now=table.drop(both)
    )
    assert found.rows is not None
    assert found.verdict == "not comparable"
    assert found.rows.gone == 60
    since = table["since"]
    assert found.rows.moved == ((since >= "2024-03-15") & (since < START)).sum()
    assert found.rows.due == ((since >= START) & (since < until)).sum()


def test_renumbered_keys_change_the_exam_under_a_key_split(branch: Branches, table: pd.DataFrame) -> None:
    word, rows, why = attacked(branch, table.assign(customer=table["customer"] + 1_000_000), BY_KEY)
    assert (word, rows.joined, rows.gone) == ("not comparable", 0, rows.due)
    assert "(100.0 %)" in why


def test_renumbered_keys_that_hide_other_outcomes_change_the_exam(branch: Branches, table: pd.DataFrame) -> None:
    table["customer"] += 1_000_000
    table["left"] = np.where(table["left"] == "yes", "no", "yes")
    word, rows, why = attacked(branch, table)
    assert (word, rows.joined, rows.added) == ("not comparable", 0, rows.due)
    assert "The exam changed: " in why
    assert "are not among the base's; at most 5 % may be" in why


def test_the_mean_stands_for_the_outcomes_of_a_regression(branch: Branches, table: pd.DataFrame) -> None:
    held = table[table["since"] >= START]
    most = held["spent"].nlargest(60)
    found = branch.compared(a_spec("regression"), a_spec("regression"), now=table.drop(most.index))
    assert found.verdict == "not comparable"
    said = f"The mean of `spent` is {most.mean():.4g} among them and {held['spent'].mean():.4g} among all."
    assert said in found.why[0]


def test_of_many_classes_the_one_whose_share_differs_most_is_named(branch: Branches, table: pd.DataFrame) -> None:
    gold = table[(table["since"] >= START) & (table["plan"] == "gold")].index[:60]
    found = branch.compared(a_spec("multiclass"), a_spec("multiclass"), now=table.drop(gold))
    assert found.verdict == "not comparable"
    assert 'Of them 100.0 % have `plan` "gold"' in found.why[0]


def test_one_row_of_a_thousand_may_be_gone(branch: Branches, table: pd.DataFrame) -> None:
    held = BY_KEY | {"holdout": 0.6}
    branch.build(a_spec(split=held), table)
    some = pd.read_parquet(branch.root / "data/prepared/holdout.parquet")["customer"]
    word, rows, why = attacked(branch, table[~table["customer"].isin(some[:1])], held)
    assert (word, rows.gone, why) == ("better", 1, "")


# --- rows refused


def test_a_few_rows_in_quarantine_are_counted_and_left_to_their_gate(branch: Branches, table: pd.DataFrame) -> None:
    table.loc[hard(table, 20), "visits"] = -1
    found = branch.compared(a_spec(train=WORSE), a_spec(), now=table)
    assert found.rows is not None
    assert (found.verdict, found.rows.refused, found.rows.gone, found.why) == ("better", 20, 0, ())
    assert found.rows.due == found.rows.joined + 20
    assert found.notes[0].startswith("Rows that went from the base's holdout into quarantine: 20. Of them 100.0 % have")


def test_many_rows_in_quarantine_are_another_exam(branch: Branches, table: pd.DataFrame) -> None:
    table.loc[hard(table, 60), "visits"] = -1
    word, rows, why = attacked(branch, table)
    assert (word, rows.refused) == ("not comparable", 60)
    assert why.startswith(f"Not comparable enough: 60 of the {rows.due:,} rows")
    assert "are in this branch's quarantine; at most 5 % may be. Of them 100.0 %" in why


# --- rows put in


def easy(count: int, at: str) -> pd.DataFrame:
    """New customers whose outcome is plain."""
    more = a_table(count, seed=1)
    return more.assign(customer=np.arange(count) + 50_000, since=pd.Timestamp(at), age=80.0, visits=0, left="yes")


def test_a_few_new_rows_of_the_base_s_time_are_a_note(branch: Branches, table: pd.DataFrame) -> None:
    found = branch.compared(a_spec(train=WORSE), a_spec(), now=pd.concat([table, easy(20, "2024-04-10")]))
    assert found.rows is not None
    assert (found.verdict, found.rows.added) == ("better", 20)
    assert found.notes[0].startswith("20 rows of the time that the base held out are compared and are not among")


def test_many_new_rows_of_the_base_s_time_are_another_exam(branch: Branches, table: pd.DataFrame) -> None:
    word, rows, why = attacked(branch, pd.concat([table, easy(100, "2024-04-10")]))
    assert (word, rows.added) == ("not comparable", 100)
    assert why.startswith("Not comparable enough: 100 rows (")


def test_rows_of_a_time_that_the_window_left_behind_do_not_come_back(branch: Branches, table: pd.DataFrame) -> None:
    until = "2024-04-15"
    now = table.copy()
    back = table.index[(table["since"] >= "2024-03-15") & (table["since"] < START)][:100]
    now.loc[back, "since"] = pd.Timestamp("2024-04-20")
    found = branch.compared(a_spec(ingest={"until": until}), a_spec(), then=table[table["since"] < until], now=now)
    assert found.rows is not None
    assert (found.verdict, found.rows.added) == ("not comparable", 100)


def test_new_rows_after_the_base_s_window_are_no_news(branch: Branches, table: pd.DataFrame) -> None:
    until = "2024-04-15"
    found = branch.compared(a_spec(ingest={"until": until}), a_spec(), then=table[table["since"] < until])
    assert found.rows is not None
    assert (found.rows.added, found.notes) == (0, ())


def test_new_keys_are_no_news_under_a_key_split_and_their_number_is_said(branch: Branches, table: pd.DataFrame) -> None:
    found = branch.compared(
        a_spec(train=WORSE, split=BY_KEY), a_spec(split=BY_KEY), now=pd.concat([table, easy(1000, "2024-04-10")])
    )
    assert found.rows is not None
    assert (found.verdict, found.rows.added) == ("better", 0)
    assert found.rows.compared > found.rows.joined == found.rows.due
    new = found.rows.compared - found.rows.joined
    assert f"{new:,} are not in the base's holdout." in found.notes[0]


# --- the window


def test_a_window_past_all_that_the_base_held_out_is_compared_and_says_what_was_checked(
    branch: Branches, table: pd.DataFrame
) -> None:
    until = "2024-03-20"
    found = branch.compared(a_spec(ingest={"until": until}), a_spec(), then=table[table["since"] < until])
    assert found.rows is not None
    assert (found.verdict, found.rows.due, found.rows.joined) == ("no difference shown", 0, 0)
    assert found.notes[0].startswith("The window moved past all that the base held out: ")


def test_a_window_past_it_with_keys_that_nobody_knows_is_not_comparable(branch: Branches, table: pd.DataFrame) -> None:
    until = "2024-03-20"
    now = table.assign(customer=table["customer"] + 1_000_000)
    found = branch.compared(a_spec(ingest={"until": until}), a_spec(), then=table[table["since"] < until], now=now)
    assert found.verdict == "not comparable"
    assert "neither holds out nor trains on any row of the base's holdout" in found.why[0]


def test_a_narrower_window_of_a_key_split_takes_rows_along_and_says_so(branch: Branches, table: pd.DataFrame) -> None:
    until = "2024-04-01"
    after = a_spec(split=BY_KEY, ingest={"until": until})
    found = branch.compared(a_spec(split=BY_KEY), after, now=table[table["since"] < until])
    assert found.rows is not None
    assert found.verdict != "not comparable"
    assert (found.rows.gone, found.rows.moved) == (0, 0)
    assert found.rows.due == found.rows.joined
    assert "rows of the base's holdout lie outside this branch's window." in found.notes[0]


def test_rows_that_moved_to_other_days_within_the_exam_are_said(branch: Branches, table: pd.DataFrame) -> None:
    held = table.index[table["since"] >= "2024-04-02"]
    table.loc[held[:40], "since"] += pd.Timedelta(days=1)
    found = branch.compared(a_spec(train=WORSE), a_spec(), now=table)
    assert found.verdict == "better"
    assert found.notes[0].startswith("40 rows that both hold out lie on another day than in the base")


@pytest.mark.parametrize("recorded", ["no moment", "NaT", "2024-04-15T00:00Z", None])
def test_a_base_that_does_not_say_where_its_window_ends_is_taken_by_its_rows(
    branch: Branches, table: pd.DataFrame, recorded: str | None
) -> None:
    branch.build(a_spec(train=WORSE), table)
    for name in ("dvc.lock", "params.yaml"):
        path = branch.root / name
        path.write_text(path.read_text().replace("'2024-04-30'", repr(recorded) if recorded else "null"))
    base = branch.commit()
    branch.build(a_spec(), pd.concat([table, easy(20, "2024-04-10")]))
    found = branch.compare(base)
    assert found.rows is not None
    assert (found.verdict, found.rows.added) == ("better", 20)


@pytest.mark.parametrize(("part", "said"), [(1000, "100.0 %"), (999, "99.9 %"), (2, "0.20 %"), (0, "0.00 %")])
def test_shares_have_no_exponent(part: int, said: str) -> None:
    assert percent(part, 1000) == said
