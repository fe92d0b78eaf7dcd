"""Prepared rows: what happens to the raw rows of one partition, and what is remembered of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lockstep.errors import InputError
from lockstep.rows import splits
from lockstep.rows.checks import SAMPLE, Evidence, findings
from lockstep.rows.claims import Claims
from lockstep.rows.contract import admit, outcomes
from lockstep.rows.presence import Presence
from lockstep.rows.roles import declared
from lockstep.rows.tables import read_table
from lockstep.spec import Contract, Spec, TimeSplit
from lockstep.spec.messages import shown

if TYPE_CHECKING:
    import pyarrow as pa

KEY = "_key"
"""The column that holds a row's key hash."""

REASONS = "_reasons"
"""The quarantine's column that holds a row's broken rules, separated by spaces."""


@dataclass(frozen=True)
class Sorted:
    """The rows of one partition, each on its side; `quarantine` holds the values as text, with `_reasons`."""

    training: pd.DataFrame
    holdout: pd.DataFrame
    quarantine: pd.DataFrame


@dataclass
class Preparation:
    """Sorts partition after partition and keeps only counts, hashes and a sample of what has passed."""

    spec: Spec
    counts: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    classes: Counter[Any] = field(default_factory=Counter)
    held_out: Counter[Any] = field(default_factory=Counter)
    _claims: Claims = field(default_factory=Claims)
    _holdout_keys: list[splits.Hashes] = field(default_factory=list)
    _training_keys: list[splits.Hashes] = field(default_factory=list)
    _sample: pd.DataFrame | None = None
    _values: dict[str, set[str]] = field(default_factory=dict)
    _ahead: Counter[str] = field(default_factory=Counter)
    _presence: Presence = field(default_factory=Presence)

    def sort(self, raw: pd.DataFrame, partition: str = "all") -> Sorted:
        """Judge the raw rows of one partition and put each on its side."""
        raw = raw.reset_index(drop=True)
        admitted = admit(raw, self.spec.contract, f"the source (partition {partition})")
        self._presence.count(partition, admitted)
        rows = admitted.rows
        rows[KEY] = splits.key_hashes(rows, self.spec.contract.key)
        reasons = pd.concat([admitted.reasons, self._misplaced(rows), self._repeated(rows, admitted.reasons)])
        self.rules.update(reasons["rule"])
        bad = rows.index.isin(reasons["row"])
        good = self._labelled(rows[~bad])
        side = splits.sides(good, good[KEY].to_numpy(), self.spec.contract, self.spec.split, self.spec.ingest.until)
        made = Sorted(
            training=self._in_order(good[side == splits.TRAINING]),
            holdout=self._in_order(good[side == splits.HOLDOUT]),
            quarantine=_with_reasons(raw[bad], reasons),
        )
        self.counts.update(
            rows=len(raw),
            training=len(made.training),
            holdout=len(made.holdout),
            gap=int((side == splits.GAP).sum()),
            quarantine=int(bad.sum()),
        )
        self._remember(good, made)
        return made

    def summary(self) -> dict[str, Any]:
        """Counts, quarantine by rule and findings, ready for JSON.

        Raises `InputError` when a side is empty, the target has a single class on one, or a required column holds no
        value in a partition; `Refused` when a check refuses.
        """
        self._insist_on_rules_kept()
        self._insist_on_rows()
        self._insist_on_classes()
        found = findings(self._evidence())
        return {
            "rows": {name: self.counts[name] for name in ("rows", *SIDES)},
            "quarantine": dict(sorted(self.rules.items())),
            "classes": {
                str(name): count for name, count in sorted(self.classes.items(), key=lambda item: str(item[0]))
            },
            "findings": [asdict(finding) for finding in found],
        }

    def story(self) -> str:
        """One sentence: how many rows went where."""
        told = [name for name in SIDES if name != "gap" or isinstance(self.spec.split, TimeSplit)]
        return f"{self.counts['rows']:,} rows: " + ", ".join(f"{self.counts[name]:,} {SIDES[name]}" for name in told)

    def _in_order(self, rows: pd.DataFrame) -> pd.DataFrame:
        by = [self.spec.contract.time, KEY] if self.spec.contract.time else [KEY]
        return rows.sort_values(by, kind="stable", ignore_index=True)

    def _misplaced(self, rows: pd.DataFrame) -> pd.DataFrame:
        time, ingest = self.spec.contract.time, self.spec.ingest
        if time is None or ingest.start is None or ingest.until is None:
            return _reason_rows(rows.index[:0], "")
        outside = (rows[time] < pd.Timestamp(ingest.start)) | (rows[time] >= pd.Timestamp(ingest.until))
        return _reason_rows(rows.index[outside], f"{time}:window")

    def _repeated(self, rows: pd.DataFrame, reasons: pd.DataFrame) -> pd.DataFrame:
        """Later rows of a key seen before. Rows in quarantine do not claim a key, nor do rows without an outcome: it
        may arrive later, in a row of its own."""
        good = rows[~rows.index.isin(reasons["row"])]
        labelled = outcomes(good, self.spec.contract.target).notna().to_numpy()
        again = self._claims.repeated(good[KEY].to_numpy(), labelled)
        return _reason_rows(good.index[again], "duplicate-key")

    def _labelled(self, rows: pd.DataFrame) -> pd.DataFrame:
        outcome = outcomes(rows, self.spec.contract.target)
        self.counts["unlabelled"] += int(outcome.isna().sum())
        return rows[outcome.notna().to_numpy()]

    def _remember(self, good: pd.DataFrame, made: Sorted) -> None:
        target, time = self.spec.contract.target, self.spec.contract.time
        if target.task != "regression":
            self.classes.update(_counts(made.training[target.column]))
            self.held_out.update(_counts(made.holdout[target.column]))
        self._training_keys.append(made.training[KEY].to_numpy())
        self._holdout_keys.append(made.holdout[KEY].to_numpy())
        self._remember_variation(good)
        for name, column in self.spec.contract.columns.items():
            if time and column.type == "datetime" and name != time and column.available != "after":
                self._ahead[name] += sum(int((side[name] > side[time]).sum()) for side in (made.training, made.holdout))
        sample = made.training if self._sample is None else pd.concat([self._sample, made.training])
        self._sample = sample.nsmallest(SAMPLE, KEY) if len(sample) > SAMPLE else sample

    def _remember_variation(self, good: pd.DataFrame) -> None:
        for name in self.spec.contract.columns:
            values = self._values.setdefault(name, set())
            if len(values) < 2:
                values.update(good[name].drop_duplicates().head(2).map(repr))

    def _evidence(self) -> Evidence:
        sample = self._sample if self._sample is not None else pd.DataFrame()
        return Evidence(
            contract=self.spec.contract,
            sample=sample,
            outcomes=self._outcomes(sample),
            halves=(sample[KEY].to_numpy() & np.uint64(1)).astype(bool),
            constant=[name for name, values in self._values.items() if len(values) < 2],
            ahead=dict(self._ahead),
            rows=self.counts["training"] + self.counts["holdout"],
            repeated=self.rules["duplicate-key"],
            raw=self.counts["rows"],
            quarantine=self.counts["quarantine"],
            rules=dict(self.rules),
            vanished=self._presence.vanished(),
            both_sides=len(
                np.intersect1d(
                    np.concatenate(self._training_keys), np.concatenate(self._holdout_keys), assume_unique=True
                )
            ),
        )

    def _outcomes(self, sample: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        outcome = outcomes(sample, self.spec.contract.target)
        match self.spec.contract.target.task:
            case "binary":
                columns = [outcome]
            case "multiclass":
                columns = [outcome == label for label in outcome.value_counts().index[:10]]
            case "regression":
                columns = [outcome > outcome.median()]
        return np.column_stack([column.to_numpy(dtype="float64") for column in columns])

    def _insist_on_rules_kept(self) -> None:
        counts = self.counts
        if counts["rows"] and counts["quarantine"] == counts["rows"]:
            worst = ", ".join(f"{rule} ({count:,})" for rule, count in self.rules.most_common(3))
            raise InputError(
                f"all {counts['rows']:,} rows break the contract: {worst}. Correct params.yaml (contract.columns) or "
                "the source. Nothing was written."
            )
        for name, partitions in self._presence.vanished().items():
            if declared(self.spec.contract)[name].missing == "refused":
                partition, rows = next(iter(partitions.items()))
                raise InputError(
                    f"{partition}: column `{name}` holds no value in any of its {rows:,} rows, though it does in other "
                    "partitions and may not be missing. Did the source forget or rename it there? Correct the source, "
                    f"or say `missing: allowed` (params.yaml: contract.columns.{name}). Nothing was written."
                )

    def _insist_on_rows(self) -> None:
        for side, remedy in (
            ("training", "Move ingest.from back, or shorten split.holdout or split.gap."),
            ("holdout", "Check that the source delivers rows up to ingest.until, or lengthen split.holdout."),
        ):
            if not self.counts[side]:
                raise InputError(f"no rows are left for {side}. {self.story()}. {remedy}")

    def _insist_on_classes(self) -> None:
        target = self.spec.contract.target
        if target.task == "regression":
            return
        both = self.classes | self.held_out
        if target.task == "binary" and len(both) > 1 and (len(both) > 2 or target.positive not in both):
            seen = ", ".join(shown(name) for name in sorted(both, key=str)[:8])
            raise InputError(
                f"the binary target `{target.column}` holds {seen}; it needs two values, one of them "
                f"{shown(target.positive)} (params.yaml: contract.target.positive)."
            )
        for rows, classes, remedy in (
            ("training rows", self.classes, "there is nothing to learn. Check contract.target and the source."),
            ("holdout rows", self.held_out, "nothing can be judged. Lengthen split.holdout, or check the source."),
        ):
            if len(classes) < 2:
                only, count = next(iter(classes.items()))
                raise InputError(
                    f"the target `{target.column}` has a single class, {shown(only)}, in all {count:,} {rows}: {remedy}"
                )


SIDES = {
    "training": "training rows",
    "holdout": "in the holdout",
    "gap": "in the gap between them",
    "unlabelled": "without an outcome",
    "quarantine": "in quarantine",
}


def _counts(values: pd.Series[Any]) -> dict[Any, int]:
    """How often each value occurs, by plain Python values."""
    found = values.value_counts()
    return dict(zip(found.index.astype(object).tolist(), found.tolist(), strict=True))


def _reason_rows(index: pd.Index[Any], rule: str) -> pd.DataFrame:
    return pd.DataFrame({"row": index, "rule": rule})


def _with_reasons(raw: pd.DataFrame, reasons: pd.DataFrame) -> pd.DataFrame:
    """Quarantined rows as text: a column's dtype may differ between partitions, and text holds them all.

    A source's own column of the reasons' name makes room for them.
    """
    raw = raw.drop(columns=REASONS, errors="ignore")
    text = raw.astype("str").where(raw.notna())
    listed = reasons.sort_values(["row", "rule"], kind="stable").groupby("row")["rule"].agg(" ".join)
    text.insert(0, REASONS, listed.reindex(text.index) if len(text) else pd.Series([], dtype="str"))
    return text.reset_index(drop=True)


def arrow_schema(contract: Contract) -> pa.Schema:
    """The types of a prepared file: the contract's columns, the target, and the key hash."""
    import pyarrow as pa

    types = {
        "number": pa.float64(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "category": pa.string(),
        "datetime": pa.timestamp("us"),
    }
    columns = [(name, types[column.type]) for name, column in declared(contract).items()]
    return pa.schema([*columns, (KEY, pa.uint64())])


def quarantine_schema(names: Sequence[str]) -> pa.Schema:
    """The types of the quarantine: the source's columns as text, led by the reasons."""
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in dict.fromkeys((REASONS, *names))])


def column_names(paths: Sequence[Path]) -> list[str]:
    """The columns of any of the parquet files, in the order in which they first appear."""
    import pyarrow.parquet as pq

    return list(dict.fromkeys(name for path in paths for name in pq.read_schema(path).names))


def as_table(rows: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Rows as a table of exactly this schema; a column that the rows lack is empty."""
    import pyarrow as pa

    return pa.Table.from_pandas(rows.reindex(columns=schema.names), schema=schema, preserve_index=False)


def read_rows(path: Path) -> pd.DataFrame:
    """Prepared rows with the contract's types. Raises `InputError` when the file is damaged."""
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = read_table(path).to_pandas(types_mapper=nullable.get)
    return frame
