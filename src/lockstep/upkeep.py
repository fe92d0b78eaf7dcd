"""What `lockstep check` looks at and `--fix` mends: all that can be known without running a stage.

A check is a function from the repository's root to sentences about what is wrong, and one line in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import LockstepError
from lockstep.running.listing import SPEC


@dataclass(frozen=True, kw_only=True)
class Check:
    """`look` says what is wrong, `mend` rewrites generated files and returns those that changed.

    `beyond` says what else is wrong, which no rewriting mends.
    `after` names the checks that must have found nothing, or this one would only repeat them.
    """

    look: Callable[[Path], list[str]]
    mend: Callable[[Path], list[Path]] | None = None
    beyond: Callable[[Path], list[str]] | None = None
    after: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. `mendable`: `lockstep check --fix` puts it right."""

    check: str
    message: str
    mendable: bool


def look(root: Path, checks: Mapping[str, Check]) -> Iterator[Finding]:
    """Everything that is wrong, check by check."""
    failed = set[str]()
    for name, check in _sensible(root, checks).items():
        if failed.intersection(check.after):
            failed.add(name)
            continue
        for finding in _findings(name, check, root):
            failed.add(name)
            yield finding


def mend(root: Path, checks: Mapping[str, Check]) -> list[Path]:
    """Rewrite what is generated, as far as nothing it is generated from is wrong; returns the files that changed."""
    changed: list[Path] = []
    failed = set[str]()
    for name, check in _sensible(root, checks).items():
        if failed.intersection(check.after) or (check.mend is None and any(_findings(name, check, root))):
            failed.add(name)
        elif check.mend is not None:
            changed += check.mend(root)
    return changed


def _sensible(root: Path, checks: Mapping[str, Check]) -> Mapping[str, Check]:
    """Without params.yaml this is the wrong folder: the spec's check says so, and there is nothing else to say."""
    return checks if (root / SPEC).exists() or "spec" not in checks else {"spec": checks["spec"]}


def _findings(name: str, check: Check, root: Path) -> Iterator[Finding]:
    try:
        for sentence in check.beyond(root) if check.beyond else ():
            yield Finding(check=name, message=sentence, mendable=False)
        for sentence in check.look(root):
            yield Finding(check=name, message=sentence, mendable=check.mend is not None)
    except LockstepError as error:
        # Where there was nothing to compare, the error itself says what to do, which may be to generate the file.
        mends = check.mend is not None and "`lockstep check --fix`" in str(error)
        yield Finding(check=name, message=str(error), mendable=mends)


def _look_at_spec(root: Path) -> list[str]:
    from lockstep.spec import read_spec

    read_spec(root / "params.yaml")
    return []


def _look_at_versions(root: Path) -> list[str]:
    from lockstep.running import versions

    return versions.differences(root)


def _mend_versions(root: Path) -> list[Path]:
    from lockstep.running import versions

    return versions.fix(root)


def _look_at_pipeline(root: Path) -> list[str]:
    from lockstep import dvcyaml

    return dvcyaml.differences(root)


def _look_beyond_pipeline(root: Path) -> list[str]:
    from lockstep import pipeline

    return [problem for entry in pipeline.entries(root) for problem in entry.problems]


def _mend_pipeline(root: Path) -> list[Path]:
    from lockstep import dvcyaml

    return dvcyaml.fix(root)


def _look_at_schema(root: Path) -> list[str]:
    from lockstep import schema

    return [] if schema.is_current(root) else [f"{schema.FILE} is not what the spec's models give"]


def _mend_schema(root: Path) -> list[Path]:
    from lockstep import schema

    return [] if schema.is_current(root) else [schema.write(root)]


def _look_at_dictionary(root: Path) -> list[str]:
    from lockstep import dictionary
    from lockstep.spec import read_spec

    current = dictionary.is_current(root, read_spec(root / "params.yaml"))
    return [] if current else [f"{dictionary.FILE} is not what params.yaml gives"]


def _mend_dictionary(root: Path) -> list[Path]:
    from lockstep import dictionary
    from lockstep.spec import read_spec

    return [dictionary.write(root, read_spec(root / "params.yaml"))] if _look_at_dictionary(root) else []


def _look_at_environment(root: Path) -> list[str]:
    from lockstep.running import versions

    recorded = versions.read(root)
    wrong = versions.mismatches(recorded, recorded)
    return [f"{sentence}: `make repro` installs what {versions.LOCK} locks" for sentence in wrong]


def _look_at_outputs(root: Path) -> list[str]:
    from lockstep.lock import data, fresh

    return data.differences(root, fresh.read_lock(root))


CHECKS: Mapping[str, Check] = {
    "spec": Check(look=_look_at_spec),
    "versions": Check(look=_look_at_versions, mend=_mend_versions),
    "pipeline": Check(
        look=_look_at_pipeline, mend=_mend_pipeline, beyond=_look_beyond_pipeline, after=("spec", "versions")
    ),
    "schema": Check(look=_look_at_schema, mend=_mend_schema),
    "dictionary": Check(look=_look_at_dictionary, mend=_mend_dictionary, after=("spec",)),
    "environment": Check(look=_look_at_environment, after=("versions",)),
}
GENERATED: Mapping[str, Check] = {name: CHECKS[name] for name in ("spec", "schema", "dictionary")}
"""Files that hold nothing but what others say: they may be rewritten unasked. What dvc.yaml lists and versions.toml
records decides what runs, and is for people to look at.
"""
OUTPUTS: Mapping[str, Check] = {"outputs": Check(look=_look_at_outputs)}
"""Reads every output, so it is asked for by name."""
