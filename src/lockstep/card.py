"""The model card: what a model answers, how well, and every column it reads, as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lockstep.dictionary import dictionary
from lockstep.evaluation import Evaluation
from lockstep.markdown import code, escape, label, table
from lockstep.rows.prepared import SIDES
from lockstep.spec import Spec
from lockstep.statistics.intervals import Interval
from lockstep.statistics.metrics import METRICS


def headline(spec: Spec, found: Evaluation) -> str:
    """One sentence: the primary metric with its interval, beside the baselines."""
    metric = METRICS[spec.evaluate.primary]
    linear = found.baselines["linear"][metric.id]
    rows = found.summary["rows"]["holdout"]
    return (
        f"{metric.title} {found.metrics[metric.id]} on {rows:,} held-out rows{_of_blocks(found)}{found.span}; "
        f"the linear baseline has {_value(linear)}"
    )


def _of_blocks(found: Evaluation) -> str:
    """Of how many blocks rows are; nothing where each row is a block by itself."""
    blocks = found.blocks.weekly()
    return "" if blocks.kind == "row" else f" of {blocks.count} {blocks.kind}{'' if blocks.count == 1 else 's'}"


def render(spec: Spec, found: Evaluation, record: dict[str, Any]) -> str:
    """The model card: what the model answers, how well, for whom not, and every column it reads."""
    sections = [
        f"# {escape(spec.project.name)}",
        escape(spec.project.question),
        "## Model",
        _bullets(_about(spec, found, record)),
        "## How good it is",
        _exam(found),
        _metric_table(found),
        *_slices(found, spec.evaluate.primary),
        "## Data",
        _bullets(f"{name}: {found.summary['rows'][name]:,}" for name in ("rows", *SIDES)),
        *_unseen(found),
        *_quarantine(found),
        *_findings(found),
        "## Columns",
        dictionary(found.model.learned.contract),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _exam(found: Evaluation) -> str:
    over = _of_blocks(found).replace(" of ", ", over ", 1)
    return (
        f"On {found.summary['rows']['holdout']:,} rows of the holdout, which it has not learned from. Intervals are 95 "
        f"%{over}{found.span}: they speak of rows like these, not of next season."
    )


def _about(spec: Spec, found: Evaluation, record: dict[str, Any]) -> Iterable[str]:
    learned, parity = found.model.learned, record["parity"]
    target = learned.contract.target
    positive = f" = {label(_spelt(target.positive))}" if target.positive is not None else ""
    calibrated = ", calibrated on training folds" if learned.calibration else ""
    yield f"Task: {target.task}, target {code(target.column)}{positive}"
    yield f"Estimator: {code(learned.estimator)}, served as an ONNX graph{calibrated}"
    if learned.threshold is not None:
        yield f"Threshold: {learned.threshold:.4g}, {_threshold_source(spec)}"
    yield (
        f"Learned from {record['rows']:,} rows; the graph agrees with the estimator on {parity['rows']:,} of them "
        f"(median difference {parity['median_difference']:g})"
    )


def _metric_table(found: Evaluation) -> str:
    rows = []
    for name, interval in found.metrics.items():
        metric = METRICS[name]
        arrow = "↑" if metric.higher_is_better else "↓"
        baselines = [_value(found.baselines[baseline][name]) for baseline in ("dummy", "linear")]
        rows.append([f"{metric.title} {arrow}", *baselines, _value(interval), _reach(interval)])
    return table(["metric", "dummy", "linear", "this model", "95 % interval"], rows, right=(1, 2, 3))


def _slices(found: Evaluation, metric: str) -> list[str]:
    made: list[str] = []
    for each in found.slices:
        rows = [
            [label(part.value), f"{part.rows:,}", _value(part.metrics[metric]), _reach(part.metrics[metric])]
            for part in each.slices
        ]
        left = (
            f"\n\n{each.left_out} smaller values ({each.rows_left_out:,} rows) are left out." if each.left_out else ""
        )
        head = [label(each.column), "rows", METRICS[metric].title, "95 % interval"]
        made += [f"### By {label(each.column)}", table(head, rows, right=(1, 2)) + left]
    return made


def _unseen(found: Evaluation) -> list[str]:
    """What the holdout holds that training never saw."""
    data = found.documents["metrics"]["data"]
    said = [
        f"{100 * share:.2g} % of the holdout's {code(name)} are labels that training never saw."
        for name, share in data["unknown"].items()
        if share
    ]
    if data.get("unseen_class"):
        said.append(
            f"{data['unseen_class']:,} rows of the holdout are of a class that training never saw: the model gives "
            "what happened there a probability of zero."
        )
    return [_bullets(said)] if said else []


def _spelt(value: bool | int | str) -> str:
    """As params.yaml has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quarantine(found: Evaluation) -> list[str]:
    rules = found.summary["quarantine"]
    if not rules:
        return []
    return ["Rows in quarantine, by rule:", _bullets(f"{code(rule)}: {count:,}" for rule, count in rules.items())]


def _findings(found: Evaluation) -> list[str]:
    listed = [f"{finding['id']}: {escape(finding['message'])}" for finding in found.summary["findings"]]
    return ["## Warnings", _bullets(listed)] if listed else []


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items if item)


def _threshold_source(spec: Spec) -> str:
    wish = spec.evaluate.threshold
    if isinstance(wish, float):
        return "given by the spec"
    (name, value), *_ = wish.model_dump().items()
    return f"chosen on training folds ({name}: {value})"


def _value(interval: Interval) -> str:
    value = interval.document()["value"]
    return "–" if value is None else f"{value:,.12g}"


def _reach(interval: Interval) -> str:
    document = interval.document()
    return interval.note if document["low"] is None else f"{document['low']:,.12g} to {document['high']:,.12g}"
