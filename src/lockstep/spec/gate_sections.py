"""The gates of `params.yaml`: each kind a small section, known by the key that only it has, and one line in `Gate`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from lockstep.errors import nearest
from lockstep.spec.section import Section
from lockstep.spec.values import Finite, MetricId

MODELS = ("champion", "dummy", "linear")
"""Who a gate may compare with, besides a released tag."""

TAG = r"([a-z][a-z0-9/-]*@)?v\d+\.\d+\.\d+(-[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?"
"""The tag of a release, with the name of its model or without."""


def check_opponent(name: str) -> str:
    """The name unchanged. Raises `ValueError` with a sentence when it is neither a model nor a released tag."""
    if name in MODELS or re.fullmatch(TAG, name):
        return name
    near = nearest(name, MODELS) or (f" Did you mean `v{name}`?" if re.fullmatch(TAG, f"v{name}") else "")
    raise ValueError(f"name {', '.join(MODELS)}, or a released tag such as v1.2.0 or flights@v1.2.0.{near}")


Opponent = Annotated[
    str, AfterValidator(check_opponent), Field(json_schema_extra={"pattern": rf"^({'|'.join(MODELS)}|{TAG})$"})
]
Unsure = Annotated[
    Literal["pass", "refuse"],
    Field(description="what happens when the rows are too few, or too alike, to tell: pass, or refuse"),
]
ColumnName = Annotated[str, Field(min_length=1)]
Gap = Annotated[float, Field(gt=0, lt=1)]


class GateBase(Section):
    """What every gate has."""

    @property
    def subject(self) -> str:
        """What is asked, without how much and how surely."""
        raise NotImplementedError

    @property
    def id(self) -> str:
        """The subject and how surely it is judged. No two gates of a spec have the same."""
        return f"{self.subject}-if-sure" if getattr(self, "unsure", "refuse") == "pass" else self.subject


class MetricLimit(GateBase):
    """A metric of the model reaches a limit."""

    OTHERWISE: ClassVar[Mapping[str, str]] = {
        "tolerance": "a tolerance belongs to a comparison: say `against` whom, or delete it",
        "slice": "slices belong to a comparison: say `against` whom, or delete it",
        "unsure": "a limit that cannot be told is refused. Delete it, or say `against` whom",
    }

    metric: Annotated[MetricId, Field(description="one of evaluate.metrics")]
    at_least: Annotated[Finite | None, Field(description="of a metric that is better when higher")] = None
    at_most: Annotated[Finite | None, Field(description="of a metric that is better when lower")] = None
    judge: Annotated[
        Literal["estimate", "bound"],
        Field(description="the estimate, or the end of its 95 % interval that lies on the worse side"),
    ] = "estimate"

    @property
    def limit(self) -> float:
        """The value of `at_least` or `at_most`."""
        found = self.at_most if self.at_least is None else self.at_least
        assert found is not None
        return found

    @property
    def subject(self) -> str:
        """As `roc_auc-at-least`."""
        return f"{self.metric}-{'at-most' if self.at_least is None else 'at-least'}"

    @property
    def id(self) -> str:
        """The subject, and `-bound` where the bound is judged."""
        return f"{self.subject}-bound" if self.judge == "bound" else self.subject


class MetricAgainst(GateBase):
    """A metric is not worse than another model's, beyond a tolerance."""

    OTHERWISE: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("at_least", "at_most", "judge"), "a comparison has a `tolerance`. Write the limit as a gate of its own"
    )

    metric: Annotated[MetricId, Field(description="one of evaluate.metrics")]
    against: Annotated[
        Opponent, Field(description="champion, dummy, linear, or a released tag such as v1.2.0 or flights@v1.2.0")
    ]
    tolerance: Annotated[
        Finite, Field(ge=0, description="how much worse it may be, in the metric's unit; 0: not at all")
    ] = 0.0
    slice: Annotated[ColumnName | None, Field(description="one of evaluate.slices: judged for each of its values")] = (
        None
    )
    unsure: Unsure = "refuse"

    @property
    def subject(self) -> str:
        """As `roc_auc-against-champion-by-origin`."""
        return f"{self.metric}-against-{self.against}{f'-by-{self.slice}' if self.slice else ''}"


class CostGate(GateBase):
    """What the model costs: megabytes of its files, milliseconds for one row and for 1,000, timed in this run."""

    cost: Annotated[
        Literal["model_megabytes", "predict_p50_ms", "predict_1000_ms"],
        Field(description="megabytes of the model, or milliseconds that it takes to predict one row or 1,000"),
    ]
    at_most: Annotated[Finite, Field(gt=0, description="in the unit that the name says")]

    @property
    def subject(self) -> str:
        """As `predict_p50_ms`."""
        return str(self.cost)


class QuarantineGate(GateBase):
    """The share of rows in quarantine: of all rows, and of the base's holdout."""

    quarantined: Annotated[float, Field(ge=0, lt=1, description="the largest share of rows in quarantine")]

    @property
    def subject(self) -> str:
        """`quarantined`."""
        return "quarantined"


class CalibrationGate(GateBase):
    """In no tenth of the rows, by predicted probability, prediction and outcome lie further apart than this."""

    calibration: Annotated[Gap, Field(description="the largest gap between mean prediction and observed share")]
    unsure: Unsure = "refuse"

    @property
    def subject(self) -> str:
        """`calibration`."""
        return "calibration"


class FairnessGate(GateBase):
    """No group's rate is further from that of all other rows than this."""

    fairness: Annotated[
        Literal["tpr", "fpr", "calibration_gap"],
        Field(
            description="what is compared: the share of positives found, of negatives called positive, or mean "
            "prediction minus observed share"
        ),
    ]
    slice: Annotated[ColumnName, Field(description="one of evaluate.slices: each value is a group, against the rest")]
    at_most: Annotated[Gap, Field(description="the largest gap, in either direction")]
    unsure: Unsure = "refuse"

    @property
    def subject(self) -> str:
        """As `fairness-tpr-by-origin`."""
        return f"fairness-{self.fairness}-by-{self.slice}"


class ContractGate(GateBase):
    """Callers of the service go on as they are."""

    contract: Annotated[
        Literal["compatible"], Field(description="compatible: no change of the contract breaks callers")
    ]

    @property
    def subject(self) -> str:
        """`contract`."""
        return "contract"


_KINDS = ("against", "cost", "quarantined", "calibration", "fairness", "contract")
"""The keys by which kinds are known; without any of them it is a limit of a metric."""


def _kind(value: Any) -> str:
    words = [str(key) for key in value] if isinstance(value, dict) else []
    named = next((kind for kind in _KINDS if kind in words), None)
    possible = ("against",) if "metric" in words else _KINDS
    return f"({named or next((kind for kind in possible if nearest(kind, words)), 'limit')})"


Gate = Annotated[
    Annotated[MetricLimit, Tag("(limit)")]
    | Annotated[MetricAgainst, Tag("(against)")]
    | Annotated[CostGate, Tag("(cost)")]
    | Annotated[QuarantineGate, Tag("(quarantined)")]
    | Annotated[CalibrationGate, Tag("(calibration)")]
    | Annotated[FairnessGate, Tag("(fairness)")]
    | Annotated[ContractGate, Tag("(contract)")],
    Discriminator(_kind),
]
