"""The base's gates, and what this branch asks less of than its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lockstep.gates.kinds import KINDS
from lockstep.spec import Gate, GateBase, MetricLimit, Spec
from lockstep.spec.messages import shown

_GATE: TypeAdapter[GateBase] = TypeAdapter(Gate)


def read(values: Any) -> tuple[list[GateBase], list[Any]]:
    """The gates among bare values, and the values that are none as far as today's Lockstep can read."""
    listed = values if isinstance(values, list) else [values] if values else []
    found = [(value, _gate(value)) for value in listed]
    return [gate for _, gate in found if gate is not None], [value for value, gate in found if gate is None]


def _gate(value: Any) -> GateBase | None:
    try:
        gate = _GATE.validate_python(value)
    except ValidationError:
        return None
    return None if isinstance(gate, MetricLimit) and (gate.at_least is None) == (gate.at_most is None) else gate


def covered(gate: GateBase, others: Sequence[GateBase]) -> bool:
    """Does another ask the same at least as strictly? Then whatever breaks this one breaks that."""
    return any(_as_strict(other, gate) for other in others)


def _as_strict(one: GateBase, other: GateBase) -> bool:
    if one.subject != other.subject:
        return False
    return all(mine <= theirs for mine, theirs in zip(_leniency(one), _leniency(other), strict=True))


def _leniency(gate: GateBase) -> tuple[float, bool, bool]:
    """How much it allows; does it pass when unsure; does it judge the estimate where it could judge the bound?"""
    unsure, judge = getattr(gate, "unsure", "refuse"), getattr(gate, "judge", "bound")
    return KINDS[type(gate)].slack(gate), unsure == "pass", judge == "estimate"


def loosened(spec: Spec, base_gates: Sequence[Any], base_values: Mapping[str, Any]) -> tuple[str, ...]:
    """In sentences: gates removed or weaker, metrics and slices no longer looked at, another primary metric."""
    return (*_gates(spec, base_gates), *_evaluated(spec, base_values))


def _gates(spec: Spec, base_gates: Sequence[Any]) -> Iterator[str]:
    before, unread = read(base_gates)
    for gate in before:
        if covered(gate, spec.gates):
            continue
        now = [other for other in spec.gates if other.subject == gate.subject]
        title = KINDS[type(gate)].title(gate)
        if now:
            yield f"gate loosened: {title}: {_asked(gate)} → {' and '.join(map(_asked, now))}"
        else:
            yield f"gate removed: {title}: {_asked(gate)}"
    for value in unread:
        yield f"a gate of the base cannot be read any more, and was not judged: {shown(value)}"


def _asked(gate: GateBase) -> str:
    unsure = ", and `unsure: pass`" if getattr(gate, "unsure", "refuse") == "pass" else ""
    return f"{KINDS[type(gate)].asks(gate)}{unsure}"


def _evaluated(spec: Spec, base_values: Mapping[str, Any]) -> Iterator[str]:
    base = base_values.get("evaluate")
    if not isinstance(base, Mapping):
        return
    for key, now in (("metrics", spec.evaluate.metrics), ("slices", spec.evaluate.slices)):
        gone = [name for name in _names(base.get(key)) if name not in now]
        if gone:
            yield f"{key} no longer evaluated: {', '.join(gone)}"
    primary = base.get("primary")
    if isinstance(primary, str) and primary != spec.evaluate.primary:
        yield f"another primary metric: {primary} → {spec.evaluate.primary}"


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
