"""The sections of `params.yaml`, typed and frozen. Only here and in `gate_sections` its keys are known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag

from lockstep.errors import nearest
from lockstep.spec.gate_sections import Gate
from lockstep.spec.section import Section
from lockstep.spec.values import Duration, Finite, MetricId, Moment, Part, Share, Task


class Project(Section):
    """What this repository is about."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
            description="a short name: lower-case letters, digits, and dashes between them",
        ),
    ]
    question: Annotated[str, Field(min_length=1, description="the question the model answers, and when it is asked")]


def _files_kind(value: Any) -> str:
    return "(list)" if isinstance(value, list) else "(one)"


OneOrMany = Annotated[
    Annotated[Annotated[str, Field(min_length=1)], Tag("(one)")]
    | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), Tag("(list)")],
    Discriminator(_files_kind),
]


class Ingest(Section):
    """Where rows come from, and which window of time."""

    source: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
            description="a function (start, end) -> DataFrame, as module:function, such as flights.source:load",
        ),
    ] = None
    files: Annotated[
        OneOrMany | None,
        Field(
            description="CSV, parquet or JSON-lines files: a folder, a glob or a list of them; "
            "local or any fsspec URL such as s3://"
        ),
    ] = None
    start: Annotated[
        Moment | None, Field(alias="from", description="first moment of the window, inclusive; quoted")
    ] = None
    until: Annotated[
        Moment | None,
        Field(description="end of the window, exclusive; quoted. The one line that new data changes"),
    ] = None
    partition: Annotated[
        Literal["day", "week", "month", "quarter", "year"], Field(description="the span of one file of data/raw")
    ] = "month"


class ColumnBase(Section):
    """What every column may say."""

    about: Annotated[str, Field(description="a sentence about the column, for people")] = ""
    missing: Annotated[Literal["allowed", "refused"], Field(description="may a value be missing?")] = "refused"
    available: Annotated[
        Literal["before", "after"] | None,
        Field(
            description="known before the moment of prediction, or only after it; "
            "`after` keeps the column from the model, `before` vouches for a suspicious one"
        ),
    ] = None
    private: Annotated[bool, Field(description="never leaves training: not in reports, golden rows, logs")] = False
    feature: Annotated[
        bool, Field(description="false: kept for the key, slices and joins; the model never sees it")
    ] = True


class Number(ColumnBase):
    """A measured quantity."""

    type: Literal["number"]
    unit: Annotated[str, Field(description="unit of measurement")] = ""
    min: Annotated[Finite | None, Field(description="smallest value accepted")] = None
    max: Annotated[Finite | None, Field(description="largest value accepted")] = None


class Integer(ColumnBase):
    """A count or whole number; as a feature at most 2^24, which float32 holds exactly."""

    type: Literal["integer"]
    unit: Annotated[str, Field(description="unit of measurement")] = ""
    min: Annotated[int | None, Field(description="smallest value accepted")] = None
    max: Annotated[int | None, Field(description="largest value accepted")] = None
    allowed: Annotated[list[int] | None, Field(min_length=1, description="the only values accepted")] = None


class Boolean(ColumnBase):
    """True or false."""

    type: Literal["boolean"]


class Category(ColumnBase):
    """One of a set of labels; the set is learned from training rows."""

    type: Literal["category"]
    allowed: Annotated[list[str] | None, Field(min_length=1, description="the only labels accepted")] = None
    max_values: Annotated[
        int, Field(ge=2, le=100_000, description="more distinct labels than this stop the training")
    ] = 1000
    unknown: Annotated[
        Literal["served", "refused"],
        Field(description="a caller's label that training never saw: served as unknown and counted, or refused"),
    ] = "served"


class Datetime(ColumnBase):
    """A moment, wall-clock as the source gives it; one with a zone is converted to UTC."""

    type: Literal["datetime"]
    parts: Annotated[
        list[Part], Field(default_factory=list, description="what the model sees of it; none: not a feature")
    ]
    min: Annotated[Moment | None, Field(description="first moment accepted; quoted")] = None
    max: Annotated[Moment | None, Field(description="last moment accepted; quoted")] = None


Column = Annotated[Number | Integer | Boolean | Category | Datetime, Field(discriminator="type")]


def _positive_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "(boolean)"
    return "(integer)" if isinstance(value, int) else "(text)"


Positive = Annotated[
    Annotated[bool, Tag("(boolean)")] | Annotated[int, Tag("(integer)")] | Annotated[str, Tag("(text)")],
    Discriminator(_positive_kind),
]


class Target(Section):
    """What is predicted."""

    column: Annotated[str, Field(description="the column of the source that holds the outcome")]
    task: Annotated[Task, Field(description="what kind of outcome it is")]
    positive: Annotated[
        Positive | None,
        Field(description="binary: the value that counts as positive (true, a whole number or text)"),
    ] = None
    known_after: Annotated[Duration | None, Field(description="how long after its time a row's outcome is known")] = (
        None
    )
    unit: Annotated[str, Field(description="regression: unit of measurement")] = ""
    about: Annotated[str, Field(description="a sentence about the target, for people")] = ""


class Contract(Section):
    """The columns, declared once: checks, encoding, serving and documentation come from here."""

    key: Annotated[list[str], Field(min_length=1, description="columns that identify a row")]
    time: Annotated[str | None, Field(description="the datetime column that places a row in time")] = None
    target: Annotated[Target, Field(description="what is predicted")]
    columns: Annotated[
        dict[str, Column], Field(min_length=1, description="each column's name with what is known of it")
    ]


class TimeSplit(Section):
    """Holdout: the end of the window."""

    by: Literal["time"]
    holdout: Annotated[Duration, Field(description="how much of the window's end is held out, such as 3 months")]
    gap: Annotated[
        Duration | None,
        Field(description="keeps training away from the holdout's start; target.known_after where that is longer"),
    ] = None


class KeySplit(Section):
    """Holdout: a share of the keys, by hash."""

    by: Literal["key"]
    holdout: Annotated[Share, Field(description="the share of keys that is held out, such as 0.2")]
    salt: Annotated[str, Field(description="another salt draws another holdout")] = ""


class GroupSplit(Section):
    """Holdout: a share of the groups, by hash; a group is never on both sides."""

    by: Literal["group"]
    column: Annotated[str, Field(description="the column whose values are the groups")]
    holdout: Annotated[Share, Field(description="the share of groups that is held out, such as 0.2")]
    salt: Annotated[str, Field(description="another salt draws another holdout")] = ""


Split = Annotated[TimeSplit | KeySplit | GroupSplit, Field(discriminator="by")]


class Search(Section):
    """Search over folds in time order, judged by evaluate.primary: all combinations, or `trials` of them at random."""

    params: Annotated[
        dict[str, Annotated[list[Any], Field(min_length=1)]],
        Field(min_length=1, description="a list of values to try, by parameter"),
    ]
    trials: Annotated[int, Field(ge=1, le=1000, description="how many combinations are tried")] = 20


class Train(Section):
    """What is fitted to the training rows."""

    estimator: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$",
            description="import path of a scikit-learn-compatible class, "
            "such as sklearn.ensemble.HistGradientBoostingClassifier",
        ),
    ]
    params: Annotated[dict[str, Any], Field(default_factory=dict, description="its parameters")]
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="a whole number that makes every random choice repeatable")
    ] = 0
    folds: Annotated[
        int, Field(ge=2, le=20, description="folds in time order, for search, calibration and the threshold")
    ] = 3
    search: Annotated[Search | None, Field(description="try several parameters")] = None
    calibrate: Annotated[
        Literal["isotonic", "sigmoid"] | None, Field(description="map scores to probabilities, learned on folds")
    ] = None


class Maximise(Section):
    """The threshold that maximises a metric on training folds."""

    maximise: Annotated[Literal["f1", "accuracy", "balanced_accuracy"], Field(description="the metric to maximise")]


class AtPrecision(Section):
    """The lowest threshold that reaches a precision on training folds."""

    precision: Annotated[Share, Field(description="the precision to reach")]


class AtRecall(Section):
    """The highest threshold that reaches a recall on training folds."""

    recall: Annotated[Share, Field(description="the recall to reach")]


def _threshold_kind(value: Any) -> str:
    if not isinstance(value, dict):
        return "(share)"
    words = [str(key) for key in value]
    return next((f"({key})" for key in ("precision", "recall") if nearest(key, words)), "(maximise)")


class Evaluate(Section):
    """How the model is judged on the holdout."""

    metrics: Annotated[
        list[MetricId], Field(min_length=1, description="metrics to compute, of those that suit the task")
    ]
    primary: Annotated[MetricId, Field(description="the metric that alone decides better or worse")]
    slices: Annotated[list[str], Field(default_factory=list, description="columns whose values are judged one by one")]
    threshold: Annotated[
        Annotated[Share, Tag("(share)")]
        | Annotated[Maximise, Tag("(maximise)")]
        | Annotated[AtPrecision, Tag("(precision)")]
        | Annotated[AtRecall, Tag("(recall)")],
        Discriminator(_threshold_kind),
        Field(
            description="binary: from which probability on a row counts as positive; a number between 0 and 1, or "
            "chosen on training folds: {maximise: f1}, {precision: 0.6} or {recall: 0.6}"
        ),
    ] = 0.5


class Serve(Section):
    """How the model is served."""

    log: Annotated[
        float, Field(ge=0, le=1, description="the share of requests that go to the prediction log; 0: none")
    ] = 1.0


BUILD_IMAGE = "ghcr.io/astral-sh/uv:python3.11-bookworm-slim"
"""Has uv and the Python that the lock names; nothing of it but the environment it makes gets into the image."""

RUN_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
"""What the served image is made upon: the same Python at the same path."""


class Release(Section):
    """How a merged model becomes an image."""

    trust_pull_requests: Annotated[
        bool,
        Field(description="true: release what a pull request's run made; false: make it again first, and insist"),
    ] = False
    build_image: Annotated[
        str, Field(min_length=1, description="the image with uv in which packages are installed")
    ] = BUILD_IMAGE
    run_image: Annotated[
        str, Field(min_length=1, description="the image, with the same Python, that is served from")
    ] = RUN_IMAGE


class Spec(Section):
    """The whole of params.yaml."""

    project: Annotated[Project, Field(description="what this repository is about")]
    ingest: Annotated[Ingest, Field(description="where rows come from, and which window of time")]
    contract: Annotated[Contract, Field(description="the columns, declared once")]
    split: Annotated[Split, Field(description="which rows are held out: by time, key or group")]
    train: Annotated[Train, Field(description="what is fitted to the training rows")]
    evaluate: Annotated[Evaluate, Field(description="how the model is judged on the holdout")]
    gates: Annotated[
        list[Gate],
        Field(default_factory=list, description="what a change must fulfil; `lockstep report` judges it"),
    ]
    serve: Annotated[Serve, Field(default_factory=Serve, description="how the model is served")]
    release: Annotated[Release, Field(default_factory=Release, description="how a merged model becomes an image")]

    def restricted(self, paths: Iterable[str]) -> Self:
        """A copy that holds only the dotted `paths`, keys as the file spells them ("ingest.from", "contract").

        Reading anything else of it, also a key with a default, raises `Withheld` (an `AttributeError`).
        Raises `ValueError` for a path that the spec does not have.
        """
        return self.restricted_to({tuple(path.split(".")) for path in paths}, "")
