"""A team for each test of the loop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from github_stand_in import GitHub
from loop.runner import Runner
from loop.team import Team, Worlds, git, shared


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Projects whose pipeline has run."""
    return shared(tmp_path_factory)


@pytest.fixture
def team(worlds: Worlds, tmp_path: Path) -> Iterator[Team]:
    """GitHub with a project on main, and what main has built in its cache."""
    main = worlds.main()
    hub = GitHub(tmp_path / "github")
    git(main, "push", "--quiet", str(hub.bare()), "main")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(hub.bare()), str(clone))
    shutil.copytree(main / ".dvc/cache", clone / ".dvc/cache")
    with hub.serving():
        runner = Runner(hub, tmp_path / "runs", caches={"dvc-of-main": main / ".dvc/cache"})
        yield Team(hub, runner, clone, worlds)
