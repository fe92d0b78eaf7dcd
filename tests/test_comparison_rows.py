"""Which rows are compared, what became of the base's holdout, and what the champion reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from branches import WORSE, Branches, columns, values
from small import a_spec, a_table


@pytest.fixture
def branch(tmp_path: Path) -> Branches:
    return Branches(tmp_path)


# --- which rows


def test_a_moved_window_moves_rows_from_holdout_to_training_and_is_compared(branch: Branches) -> None:
    earlier = {"until": "2024-04-15"}
    found = branch.compared(a_spec(ingest=earlier), a_spec(),
        then=a_table()[lambda table: table["since"] < "2024-04-15"],
    )  # fmt: skip
    assert found.verdict == "no difference shown"
    rows = found.rows
    assert rows is not None
    since = a_table()["since"]
    assert rows.moved == ((since >= "2024-03-15") & (since < "2024-03-30")).sum()
    assert rows.joined == ((since >= "2024-03-30") & (since < "2024-04-15")).sum()
    assert rows.compared == ((since >= "2024-03-30") & (since < "2024-04-30")).sum()
    assert (rows.excluded, rows.gone, rows.refused, rows.labels_differ) == (0, 0, 0, 0)


def test_rows_that_move_into_the_gap_have_moved_and_are_not_gone(branch: Branches) -> None:
    split = {"by": "time", "holdout": "1 month", "gap": "5 days"}
    found = branch.compared(a_spec(split=split, ingest={"until": "2024-04-15"}), a_spec(split=split),
        then=a_table()[lambda table: table["since"] < "2024-04-15"],
    )  # fmt: skip
    since = a_table()["since"]
    assert found.rows is not None
    assert found.rows.moved == ((since >= "2024-03-15") & (since < "2024-03-30")).sum()
    assert found.rows.gone == 0


def test_a_window_moved_back_holds_out_what_the_champion_learned_from(branch: Branches) -> None:
    table = a_table()
    found = branch.compared(a_spec(), a_spec(ingest={"until": "2024-03-15"}), now=table[table["since"] < "2024-03-15"])
    assert found.verdict == "not comparable"
    assert found.rows is not None
    assert found.rows.excluded > 0
    assert "Not comparable enough" in found.why[0]
    assert f"{found.rows.excluded:,} of the" in found.why[0]
    assert "100.0 %" in found.why[0]
    assert "No row is left to compare on" in found.why[1]


def test_a_few_rows_that_the_champion_learned_from_are_left_out_and_counted(branch: Branches) -> None:
    table = a_table()
    late = table.index[table["since"] >= "2024-04-01"][:20]
    shifted = table.copy()
    shifted.loc[late, "since"] = pd.Timestamp("2024-03-01")
    found = branch.compared(a_spec(train=WORSE), a_spec(), then=shifted, now=table)
    assert found.verdict == "better"
    assert found.rows is not None
    assert found.rows.excluded == 20
    assert found.rows.compared + 20 == (table["since"] >= "2024-03-30").sum()
    assert found.exam is not None
    assert len(found.exam) == found.rows.compared


def test_quarantined_rows_with_times_and_texts_in_their_key_are_recognised(branch: Branches) -> None:
    key = {"key": ["city", "customer", "since"]}
    table = a_table()
    now = table.copy()
    held = table.index[table["since"] >= "2024-04-01"]
    now.loc[held[:4], "visits"] = -1
    now.loc[held[4:6], "customer"] = np.nan
    found = branch.compared(a_spec(contract=key), a_spec(contract=key), now=now)
    assert found.rows is not None
    assert (found.rows.refused, found.rows.gone) == (4, 2)


def test_labels_that_differ_are_counted_and_beyond_one_in_a_thousand_change_the_question(branch: Branches) -> None:
    table = a_table()
    held = table.index[table["since"] >= "2024-04-01"]
    flipped = table.copy()
    flipped.loc[held[:30], "left"] = np.where(table.loc[held[:30], "left"] == "yes", "no", "yes")
    found = branch.compared(a_spec(), a_spec(train=WORSE), now=flipped)
    assert found.verdict == "not comparable"
    assert found.rows is not None
    assert found.rows.labels_differ == 30
    assert found.why[0].startswith("The question changed: 30 of the")


def test_labels_of_rows_that_moved_to_training_are_looked_at_too(branch: Branches) -> None:
    table, until = a_table(), "2024-04-15"
    flipped = table.copy()
    moved = table.index[(table["since"] >= "2024-03-15") & (table["since"] < "2024-03-30")]
    flipped.loc[moved[:30], "left"] = np.where(table.loc[moved[:30], "left"] == "yes", "no", "yes")
    found = branch.compared(a_spec(ingest={"until": until}), a_spec(), then=table[table["since"] < until], now=flipped)
    assert found.verdict == "not comparable"
    assert "that the base held out and this branch trains on" in found.why[0]


def test_numbers_that_only_their_last_digits_tell_apart_are_the_same_label(branch: Branches) -> None:
    table = a_table()
    found = branch.compared(a_spec("regression"), a_spec("regression"), now=table.assign(spent=table["spent"] + 1e-12))
    assert found.rows is not None
    assert found.rows.labels_differ == 0


# --- changed columns


def test_a_champion_that_needs_a_column_that_is_gone_reads_its_own_rows(branch: Branches) -> None:
    found = branch.compared(a_spec(), a_spec(contract=columns(income=None)), now=a_table().drop(columns="income"))
    assert found.verdict in ("worse", "no difference shown")
    assert found.primary is not None
    (note,) = found.notes
    assert note.startswith("Columns changed (`income` is no longer declared), so the champion reads its own prepared")


def test_values_from_its_own_rows_give_the_champion_its_own_score(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit("base")
    alone = branch.compare(base).primary
    inches = columns(age={"type": "number", "unit": "month"})
    branch.build(a_spec(contract=inches), a_table().assign(age=lambda table: table["age"] * 12))
    found = branch.compare(base)
    assert alone is not None
    assert found.primary is not None
    assert values(found.primary)["champion"] == values(alone)["champion"]
    assert "`age` was in year and is in month" in found.notes[0]


def test_values_that_changed_without_a_word_in_the_contract_are_noticed(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit("base")
    alone = branch.compare(base).primary
    branch.build(a_spec(), a_table().assign(age=lambda table: table["age"] * 12))
    found = branch.compare(base)
    assert alone is not None
    assert found.primary is not None
    assert values(found.primary)["champion"] == values(alone)["champion"]
    assert "`age` holds other values for 100 % of the same keys" in found.notes[0]


def test_new_rows_that_the_champion_cannot_read_are_left_out(branch: Branches) -> None:
    until, table = "2024-04-20", a_table()
    after = a_spec(contract=columns(visits={"type": "category"}))
    found = branch.compared(a_spec(ingest={"until": until}), after, then=table[table["since"] < until])
    rows = found.rows
    assert rows is not None
    assert rows.unmatched == (table["since"] >= until).sum()
    assert rows.compared == rows.joined == ((table["since"] >= "2024-03-30") & (table["since"] < until)).sum()
    assert f"{rows.unmatched:,} new rows that the base does not have are left out." in found.notes[0]


def test_a_champion_that_can_read_no_row_is_not_comparable(branch: Branches) -> None:
    until, table = "2024-03-20", a_table()
    after = a_spec(contract=columns(visits={"type": "category"}))
    found = branch.compared(a_spec(ingest={"until": until}), after, then=table[table["since"] < until])
    assert found.verdict == "not comparable"
    assert "No row is left to compare on" in found.why[0]


def test_a_number_may_become_whole_without_a_fuss(branch: Branches) -> None:
    found = branch.compared(a_spec(), a_spec(contract=columns(visits={"type": "number", "min": 0})))
    assert not [note for note in found.notes if "Columns changed" in note]
