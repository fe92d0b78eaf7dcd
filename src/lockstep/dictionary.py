"""The data dictionary: the contract's columns as a table, for the model card and for docs/data.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lockstep.markdown import code, escape, label, table
from lockstep.rows.roles import target_column
from lockstep.spec import Contract, Spec

FILE = Path("docs") / "data.md"


def page(spec: Spec) -> str:
    """The whole page, made from params.yaml and nothing else."""
    return (
        f"# The columns of {escape(spec.project.name)}\n\n{escape(spec.project.question)}\n\n"
        "Made from `params.yaml` by `lockstep check --fix`.\n\n" + dictionary(spec.contract) + "\n"
    )


def is_current(root: Path, spec: Spec) -> bool:
    """Whether docs/data.md is the page."""
    path = root / FILE
    return path.is_file() and path.read_bytes() == page(spec).encode()


def write(root: Path, spec: Spec) -> Path:
    """Write docs/data.md."""
    (root / FILE).parent.mkdir(exist_ok=True)
    (root / FILE).write_text(page(spec), encoding="utf-8")
    return root / FILE


def dictionary(contract: Contract) -> str:
    """The data dictionary: a table with one row a column, then the target."""
    rows = [[code(name), *_describe(column, contract, name)] for name, column in contract.columns.items()]
    target = contract.target
    rows.append([code(target.column), *_describe(target_column(target), contract, target.column)])
    return table(["column", "type", "unit", "values", "missing", "seen by the model", "about"], rows)


def _describe(column: Any, contract: Contract, name: str) -> list[str]:
    values = [_range(column)] if hasattr(column, "min") else []
    if getattr(column, "allowed", None):
        values.append(", ".join(label(str(value)) for value in column.allowed))
    values += [", ".join(getattr(column, "parts", ()))]
    return [
        column.type,
        escape(getattr(column, "unit", "")),
        "; ".join(filter(None, values)),
        column.missing if name != contract.target.column else "unlabelled",
        _seen(column, contract, name),
        " ".join(filter(None, [escape(column.about), "(private)" if column.private else ""])),
    ]


def _range(column: Any) -> str:
    low, high = (
        bound if isinstance(bound, str) or bound is None else f"{bound:g}" for bound in (column.min, column.max)
    )
    if low is None or high is None:
        return f"from {low}" if low is not None else f"up to {high}" if high is not None else ""
    return f"{low} to {high}"


def _seen(column: Any, contract: Contract, name: str) -> str:
    if name == contract.target.column:
        return "target"
    roles = (["key"] if name in contract.key else []) + (["time"] if name == contract.time else [])
    hidden = not column.feature or column.available == "after" or (column.type == "datetime" and not column.parts)
    reason = "no, known only after" if column.available == "after" else "no" if hidden else "yes"
    return ", ".join([reason, *roles])
