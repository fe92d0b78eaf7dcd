"""Our service with layers taken out, to see what each costs: `LAYERS_OFF=metrics,validation python -m …layers_off`.

Nothing of this is reachable in the service itself. What is replaced is named here, and must exist.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from lockstep.serving import __main__ as command
from lockstep.serving import app, arrival, bodies, predictor, rows
from lockstep.serving.app import App
from lockstep.serving.service import Service


def replace(where: Any, name: str, by: Any) -> None:
    """Put something in another's place. Raises `AttributeError` when there is nothing of that name."""
    getattr(where, name)
    setattr(where, name, by)


def metrics() -> None:
    """Count nothing: neither requests nor their seconds, labels, missing or unknown values; the log still gets rows."""

    def remember(service: Service, reply: Any, request: str) -> None:
        if reply.served is not None and not reply.served.problems:
            service.log.predicted(request, reply.rows, reply.served.answers, reply.served.unknown, size=reply.size)

    replace(Service, "remember", remember)
    replace(App, "_count", lambda *_: None)
    replace(predictor.Predictor, "_missing", lambda *_: {})


def validation() -> None:
    """Believe every row: no types, ranges, unknown columns, names given twice."""
    kinds: dict[str, list[tuple[str, bool]]] = {}

    def read(checker: rows.Checker, sent: Sequence[Any]) -> tuple[list[list[Any]], list[Any]]:
        names = kinds.get("")
        if names is None:
            features = checker.learned.encoding.features
            names = kinds[""] = [(feature.column, feature.type == "datetime") for feature in features]
        moment = datetime.fromisoformat
        return [[moment(row[name]) if timed else row[name] for name, timed in names] for row in sent], []

    replace(rows.Checker, "read", read)
    replace(bodies, "_is_plain", lambda *_: True)


def limits() -> None:
    """Wait for a body as long as it takes, of any length, of any type."""

    async def whole(arrivals: arrival.Arrivals, receive: Any, length: str) -> bytes:
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message["body"], message.get("more_body", False)
        return content

    replace(arrival.Arrivals, "whole", whole)
    replace(app, "_insist_on_json", lambda head: None)


def bentoml() -> None:
    """Serve without BentoML's application inside ours."""
    from lockstep.service import service

    async def nothing(scope: dict[str, Any], receive: Any, send: Any) -> None:
        message = await receive()
        while message["type"] in ("lifespan.startup", "lifespan.shutdown"):
            await send({"type": f"{message['type']}.complete"})
            message = await receive()

    replace(type(service), "to_asgi", lambda *_, **__: nothing)


OFF: dict[str, Callable[[], None]] = {
    "metrics": metrics,
    "validation": validation,
    "limits": limits,
    "bentoml": bentoml,
}

if __name__ == "__main__":
    for layer in filter(None, os.environ["LAYERS_OFF"].split(",")):
        OFF[layer]()
    command.main()
