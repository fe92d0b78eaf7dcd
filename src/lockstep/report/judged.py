"""Everything that a report is about, found and judged."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.comparison.result import Comparison
from lockstep.gates.outcome import Judgement
from lockstep.report.change import Change
from lockstep.report.origin import Origin
from lockstep.report.verdict import Verdict
from lockstep.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found by scoring, what the gates say, what changed, the verdict, under which spec, and where."""

    comparison: Comparison
    judgement: Judgement
    change: Change
    verdict: Verdict
    spec: Spec
    origin: Origin
