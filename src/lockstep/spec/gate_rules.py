"""What must hold for each gate. A rule is a function whose docstring says it; a new one is one word in `GATE_RULES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lockstep.errors import nearest
from lockstep.spec.gate_sections import CalibrationGate, FairnessGate, MetricAgainst, MetricLimit
from lockstep.spec.messages import Finding, listed, shown
from lockstep.spec.sections import Spec
from lockstep.spec.values import LOWER_IS_BETTER, METRIC_RANGES, METRICS_OF_TASK

Findings = Iterator[Finding]


def metric(spec: Spec, index: int) -> Findings:
    """A gate's metric suits the task, and is among those that are evaluated."""
    gate = spec.gates[index]
    if not isinstance(gate, MetricLimit | MetricAgainst):
        return
    path, chosen, allowed = ("gates", index, "metric"), gate.metric, METRICS_OF_TASK[spec.contract.target.task]
    if chosen not in allowed:
        task, near = spec.contract.target.task, nearest(chosen, allowed)
        yield path, f"{shown(chosen)} does not suit a {task} task. Allowed: {listed(allowed)}.{near}"
    elif chosen not in spec.evaluate.metrics:
        metrics = spec.evaluate.metrics
        said = f"{shown(chosen)} is not among `evaluate.metrics` ({listed(metrics)}).{nearest(chosen, metrics)}"
        yield path, f"{said} Add it there: what is judged is shown."


def one_limit(spec: Spec, index: int) -> Findings:
    """A limit is one limit: `at_least` where higher is better, `at_most` where lower is."""
    gate = spec.gates[index]
    if not isinstance(gate, MetricLimit):
        return
    given = [key for key in ("at_least", "at_most") if getattr(gate, key) is not None]
    wanted = "at_most" if gate.metric in LOWER_IS_BETTER else "at_least"
    if not given:
        yield ("gates", index), f"this asks nothing of {gate.metric}. Add `{wanted}: …`, or `against: champion`."
    elif len(given) == 2:
        yield ("gates", index, _other(wanted)), f"one gate asks one thing. Keep `{wanted}`."
    elif given != [wanted]:
        better = "lower" if wanted == "at_most" else "higher"
        said = f"{gate.metric} is better when {better}, so this would refuse the better model"
        yield ("gates", index, given[0]), f"{said}. Write `{wanted}`."


def _other(key: str) -> str:
    return "at_least" if key == "at_most" else "at_most"


def within_range(spec: Spec, index: int) -> Findings:
    """A limit lies inside its metric's range, and a tolerance is smaller than that range: else it asks nothing."""
    gate = spec.gates[index]
    if not isinstance(gate, MetricLimit | MetricAgainst):
        return
    low, high = METRIC_RANGES[gate.metric]
    span = f"{gate.metric} reaches from {low:.3g} to {high:.3g}"
    if isinstance(gate, MetricAgainst):
        if gate.tolerance >= high - low:
            yield ("gates", index, "tolerance"), f"{gate.tolerance:g} asks nothing: {span}. Write a smaller one."
        return
    if gate.at_least is not None and not low < gate.at_least <= high:
        yield ("gates", index, "at_least"), f"{gate.at_least:g} is out of range: {span}. Write one above {low:.3g}."
    if gate.at_most is not None and not low <= gate.at_most < high:
        yield ("gates", index, "at_most"), f"{gate.at_most:g} is out of range: {span}. Write one below {high:.3g}."


def sliced(spec: Spec, index: int) -> Findings:
    """A gate's slice is a column of the contract, and among those that are evaluated."""
    gate = spec.gates[index]
    name = gate.slice if isinstance(gate, MetricAgainst | FairnessGate) else None
    if name is None or name in spec.evaluate.slices:
        return
    path = ("gates", index, "slice")
    if name not in spec.contract.columns:
        slices = spec.evaluate.slices
        among = listed(slices) if slices else "none yet"
        said = f"{shown(name)} is not a column of the contract. `evaluate.slices` has {among}."
        yield path, f"{said}{nearest(name, slices) or nearest(name, spec.contract.columns)}"
    else:
        yield path, f"{shown(name)} is not among `evaluate.slices`. Add it there: what is judged is shown."


def task(spec: Spec, index: int) -> Findings:
    """Calibration needs probabilities, fairness two classes."""
    gate, kind = spec.gates[index], spec.contract.target.task
    if isinstance(gate, CalibrationGate) and kind == "regression":
        yield ("gates", index, "calibration"), "a regression has no probabilities to calibrate. Delete the gate."
    if isinstance(gate, FairnessGate) and kind != "binary":
        said = f"rates of positives and negatives need a binary task, and this one is {kind}"
        yield ("gates", index, "fairness"), f"{said}. Delete the gate, or ask for a metric `against` with a `slice`."


def asked_once(spec: Spec, index: int) -> Findings:
    """No two gates ask the same."""
    gate = spec.gates[index]
    for earlier, other in enumerate(spec.gates[:index]):
        if other.id == gate.id:
            yield ("gates", index), f"`gates[{earlier}]` asks the same. Keep the stricter of the two."


GATE_RULES: tuple[Callable[[Spec, int], Findings], ...] = (
    metric,
    one_limit,
    within_range,
    sliced,
    task,
    asked_once,
)
