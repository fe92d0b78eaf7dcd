"""verdict.json: the verdict for machines. Who reads one that came from a pull request validates it with `Document`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LINE, LINES = 400, 50
"""Characters of a sentence, and how many of a kind are kept."""

Line = Annotated[str, Field(max_length=LINE)]
Lines = Annotated[list[Line], Field(max_length=LINES)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Sha = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
Tag = Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{0,99}@v[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9})?$")]


class Part(BaseModel):
    """What all parts share: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class GateRecord(Part):
    """One gate: see `lockstep.gates.outcome.Outcome`."""

    id: Line
    title: Line
    asked: Line
    found: Line
    state: Literal["holds", "broken", "cannot tell"]
    passes: bool
    origin: Literal["this change", "base"]


class MetricRecord(Part):
    """One metric: champion, challenger and the interval of their difference; null where there is none."""

    id: Line
    primary: bool
    champion: Number | None
    challenger: Number | None
    difference: Number | None
    low: Number | None
    high: Number | None
    word: Line


class ChampionRecord(Part):
    """Who it was compared with."""

    revision: Sha
    model: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    source: Line
    released: Line


class RowsRecord(Part):
    """On how many rows, in how many blocks."""

    compared: Count
    blocks: Count
    kind: Line
    excluded: Count
    labels_differ: Count


class Document(Part):
    """The whole of verdict.json. `gates_left_out` counts gates beyond those listed; all of them were judged.

    `rollback` is the tag of the release that is brought back, "" for any other change; word and gates are information
    then.
    """

    format: Literal[1]
    conclusion: Literal["success", "failure"]
    word: Literal[
        "better",
        "worse",
        "no difference shown",
        "identical",
        "too few to say",
        "not comparable",
        "first model",
    ]
    rollback: Tag = ""
    headline: Line
    sentence: Line
    project: Line
    head: Sha | None
    base: Sha | None
    champion: ChampionRecord | None
    rows: RowsRecord | None
    looks: Count
    metrics: Annotated[list[MetricRecord], Field(max_length=LINES)]
    gates: Annotated[list[GateRecord], Field(max_length=LINES)]
    gates_left_out: Count
    loosened: Lines
    judges: Lines
    cautions: Lines
    warnings: Lines
