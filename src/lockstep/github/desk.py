"""Who answers, and with what rights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from lockstep.github.api import Api


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The API, the team's choice, and the environment that CML runs in. `committer` is the API with an App's token,
    whose commits start workflows, where a team has one.
    """

    api: Api
    default_branch: str
    committer: Api | None = None
    authors_commit: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
