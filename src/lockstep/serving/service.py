"""What answers requests, without the protocol: a body in, a status and a body out; and what is counted and logged."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from lockstep.serving import bodies, documents
from lockstep.serving.answers import broken, label_of, refusal
from lockstep.serving.bodies import BadRequest
from lockstep.serving.feedback import ITEM, Feedback
from lockstep.serving.fingerprint import SHORT
from lockstep.serving.health import Health
from lockstep.serving.log import PredictionLog
from lockstep.serving.log_lines import loggable
from lockstep.serving.metrics import Metrics
from lockstep.serving.predictor import Predictor, Served
from lockstep.serving.rows import Problem
from lockstep.serving.settings import Settings, settings

NO_LOG = "this service keeps no prediction log (LOCKSTEP_LOG is not set), so outcomes have nowhere to go"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is sent, and what is to be counted and logged; `size` is its request's, uncompressed."""

    status: int
    body: bytes
    rows: Sequence[Any] = ()
    served: Served | None = None
    outcomes: Sequence[dict[str, Any]] = ()
    size: int = 0


class Service:
    """A model with its rules, counters and log."""

    def __init__(self, told: Settings) -> None:
        self.predictor = predictor = Predictor(told.model, told.version)
        learned = predictor.learned
        self.health = Health(predictor)
        self.version = {
            "name": told.name,
            "version": told.version,
            "model": predictor.fingerprint[:SHORT],
            "fingerprint": predictor.fingerprint,
            "commit": told.commit,
            "lock": told.lock,
        }
        rows = predictor.golden.rows
        example = next((row for row in rows if not predictor.checker.check([row])), rows[0])
        self.contract = orjson.dumps(documents.contract(learned, self.version, example), option=orjson.OPT_INDENT_2)
        self.openapi = orjson.dumps(documents.openapi(learned, self.version, example), option=orjson.OPT_INDENT_2)
        self.page = documents.page(self.version)
        self._feedback = Feedback(learned.contract.target, learned.classes)
        self._logs = told.log is not None
        self.log = PredictionLog(
            told.log,
            sample=told.sample,
            fingerprint=predictor.fingerprint,
            version=told.version,
            columns=loggable(learned.contract),
        )
        self.metrics = self._metrics()

    def _metrics(self) -> Metrics:
        learned = self.predictor.learned
        labels = {"binary": ("true", "false"), "multiclass": learned.classes, "regression": ("value",)}[learned.task]
        features = learned.encoding.features
        metrics = Metrics(
            labels=labels,
            columns=learned.contract.columns,
            features=[feature.column for feature in features],
            categories=[feature.column for feature in features if feature.type == "category"],
            info={name: self.version[name] for name in ("version", "model", "commit")},
        )
        metrics.gauges["golden_mismatch"] = (
            "Golden rows that are not predicted as when the model was made.",
            lambda: len(self.health.mismatched),
        )
        metrics.counters |= {
            "log_lost": ("Lines of the prediction log that were lost.", lambda: self.log.lost),
            "log_failures": ("Attempts to write the prediction log that failed.", lambda: self.log.failures),
            "log_written": ("Lines of the prediction log that were written.", lambda: self.log.written),
        }
        return metrics

    def predict(self, content: bytes, request: str) -> Reply:
        """Answer the rows of a body. Raises `BadRequest`."""
        body = bodies.read(content)
        served = self.predictor.serve(body.items, request)
        problems = sorted(body.problems + served.problems, key=_row) if body.problems else served.problems
        if problems:
            sentence = f"nothing was predicted: {broken(problems, len(body.items))}"
            served = Served([], problems)
            return Reply(400, orjson.dumps(refusal(sentence, request, problems)), served=served)
        if body.fault:
            raise BadRequest(400, body.fault)
        answer = orjson.dumps(served.answers[0] if body.single else served.answers)
        return Reply(200, answer, body.items, served, size=len(content))

    def feedback(self, content: bytes, request: str) -> Reply:
        """Take outcomes. Raises `BadRequest`."""
        if not self._logs:
            raise BadRequest(404, NO_LOG)
        body = bodies.read(content)
        items, problems = self._feedback.read(body.items)
        problems = sorted(body.problems + problems, key=_row)
        if problems:
            sentence = f"nothing was taken: {broken(problems, len(body.items), ITEM)}"
            return Reply(400, orjson.dumps(refusal(sentence, request, problems, ITEM)))
        if body.fault:
            raise BadRequest(400, body.fault)
        kept = sum(self.log.is_kept(item["request"]) for item in items)
        answer = orjson.dumps({"taken": len(items), "kept": kept, "request": request})
        return Reply(202, answer, outcomes=items, size=len(content))

    def remember(self, reply: Reply, request: str) -> None:
        """Count and log what was answered. In the thread that serves, whoever made the answer."""
        served, metrics = reply.served, self.metrics
        if served is None:
            if reply.outcomes:
                for item in reply.outcomes:
                    metrics.feedback["true" if self.log.is_kept(item["request"]) else "false"] += 1
                self.log.feedback(reply.outcomes, size=reply.size)
            return
        if served.problems:
            metrics.refuse((problem.row, problem.column) for problem in served.problems)
            return
        for answer in served.answers:
            metrics.predictions[label_of(answer)] += 1
        for columns in served.unknown.values():
            metrics.unknown.update(columns)
        for column, count in served.missing.items():
            metrics.missing[column] += count
        unknown = self._public(served.unknown) if served.unknown else served.unknown
        self.log.predicted(request, reply.rows, served.answers, unknown, size=reply.size)

    def _public(self, unknown: dict[int, list[str]]) -> dict[int, list[str]]:
        """Nothing of a private column is logged, not even that its label is new."""
        private = self.predictor.checker.private
        return {at: [name for name in names if name not in private] for at, names in unknown.items()}

    def close(self) -> None:
        """Finish the log. A second call does nothing."""
        self.log.close()


@cache
def running() -> Service:
    """The process's one service, as the environment asks for it.

    What it is made of stays until the process ends: it is kept from the garbage collector, whose pauses are most of
    what the slowest answers wait for.
    """
    made = Service(settings(os.environ))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return made


def _row(problem: Problem) -> int:
    return problem.row
