"""Which files take part in judging a change, and in what way. Both sides ask here: the report, and who answers it.

What is listed as harmless is all that is: of a file that nobody thought of, it is said that it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

RUNS = "code that runs while it is judged"
"""The group of everything that has no other: reviewed as code is, but it does not change who judges."""

_GROUPS: Mapping[str, str] = {
    "Lockstep itself": r"src/lockstep/.*|\.venv/.*|(.*/)?(sitecustomize|usercustomize)(\.py|/.*)|.*\.pth",
    "workflows": r"\.github/.*|\.ci/.*",
    # A module at the top of the import path can take a library's place.
    "requirements": r"requirements/.*|(pyproject|versions|uv)\.toml|uv\.lock|setup\.cfg|pip\.conf|(src/)?[^/]+\.py",
    "the pipeline": r"Makefile|makefile|GNUmakefile|(.*/)?dvc\.yaml|(.*/)?\.dvcignore",
    "remotes": r"\.dvc/.*",
    "how locks are merged": r"(.*/)?\.gitattributes",
}
"""What changes who judges, by name; the first that fits counts."""

_HARMLESS = re.compile(
    r"params\.yaml|dvc\.lock|dvc\.lock\.seal|reports/[^/]*\.json|model/card\.md|LICENSE|schema/params\.schema\.json"
    r"|[^/]*\.md|(docs|tests|benchmarks)/.*|(.*/)?[^/]*\.dvc|(.*/)?\.gitignore"
    r"|bentofile\.yaml|deploy/.*",
    re.DOTALL,
)
_PATTERNS = {name: re.compile(pattern, re.DOTALL) for name, pattern in _GROUPS.items()}


def group(path: str) -> str:
    """What a changed path is called by its part in judging; "" for one that has none.

    >>> group("src/lockstep/cli.py"), group("src/flights/source.py"), group("params.yaml")
    ('Lockstep itself', 'code that runs while it is judged', '')
    """
    for name, pattern in _PATTERNS.items():
        if pattern.fullmatch(path):
            return name
    return "" if _HARMLESS.fullmatch(path) else RUNS


def judges(path: str) -> bool:
    """Does a changed path change who judges: the workflows, Lockstep, what they stand on?"""
    return group(path) not in ("", RUNS)


def groups(paths: Iterable[str]) -> list[str]:
    """What changed paths are called, each name once, in their order.

    >>> groups([".github/workflows/test.yml", "docs/data.md", "src/lockstep/cli.py", "src/lockstep/errors.py"])
    ['workflows', 'Lockstep itself']
    """
    return [*dict.fromkeys(name for name in map(group, paths) if name)]
