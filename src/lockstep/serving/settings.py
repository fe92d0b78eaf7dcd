"""What a service is told by its environment, read once at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import InputError

UNRELEASED = "unreleased"
"""The version of a model that is served without having been released."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which model, from where it comes, where its log goes, and where it listens."""

    model: Path = Path("model")
    name: str = "lockstep"
    version: str = UNRELEASED
    commit: str = ""
    lock: str = ""
    log: Path | None = None
    sample: float = 1.0
    host: str = "0.0.0.0"  # noqa: S104  (a container's port is published, or not, by who runs it)
    port: int = 3000
    notice: float = 0.0
    """Seconds for which a service that was told to stop still answers, but is not ready."""


def settings(environ: Mapping[str, str]) -> Settings:
    """The settings of an environment; an empty variable counts as unset. Raises `InputError` naming the variable.

    >>> settings({"LOCKSTEP_VERSION": "v1.2.0", "LOCKSTEP_LOG": ""}).version
    'v1.2.0'
    """
    given = {name: text for name in environ if name.startswith("LOCKSTEP_") and (text := environ[name].strip())}
    log = given.get("LOCKSTEP_LOG")
    return Settings(
        model=Path(given.get("LOCKSTEP_MODEL", "model")),
        name=given.get("LOCKSTEP_NAME", Settings.name),
        version=given.get("LOCKSTEP_VERSION", UNRELEASED),
        commit=given.get("LOCKSTEP_COMMIT", ""),
        lock=given.get("LOCKSTEP_LOCK", ""),
        log=Path(log) if log else None,
        sample=_number(given, "LOCKSTEP_LOG_SAMPLE", 1.0, 0, 1),
        host=given.get("LOCKSTEP_HOST", Settings.host),
        port=int(_number(given, "LOCKSTEP_PORT", Settings.port, 0, 65535, whole=True)),
        notice=_number(given, "LOCKSTEP_NOTICE", Settings.notice, 0, 600),
    )


def _number(
    given: Mapping[str, str], name: str, otherwise: float, low: float, high: float, *, whole: bool = False
) -> float:
    text = given.get(name)
    if text is None:
        return otherwise
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high or (whole and not number.is_integer()):
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name}={text}: this must be {kind} from {low} to {high}. Correct the service's environment.")
    return number
