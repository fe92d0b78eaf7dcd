"""What the checks look at: this clone, its remotes, and the repository on GitHub; each asked once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lockstep.errors import InputError, OutsideError
from lockstep.github import repository
from lockstep.remotes import config
from lockstep.revision import default_branch, git_bytes

if TYPE_CHECKING:
    from lockstep.doctor.check import Found
    from lockstep.github.api import Api
    from lockstep.lock.objects import Object

Shape = TypeVar("Shape")

TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")


@dataclass(frozen=True, kw_only=True)
class Clone:
    """The repository at `root`, in a process with the environment `environ`."""

    root: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    reached: dict[str, Found] = field(default_factory=dict, repr=False)
    """What came of asking each of DVC's remotes, by name: a dead one costs its time once."""

    def git(self, *arguments: str) -> str | None:
        """What git prints; None when it fails."""
        found = git_bytes(self.root, *arguments)
        return found.stdout.decode(errors="replace").strip() if found.returncode == 0 else None

    @cached_property
    def origin(self) -> str | None:
        """The URL of the git remote `origin`."""
        return self.git("remote", "get-url", "origin")

    @cached_property
    def repository(self) -> str | None:
        """`OWNER/NAME` on GitHub: of the workflow that this runs in, else of `origin`; None for another host."""
        return repository.of(self.root, self.environ)

    @cached_property
    def branch(self) -> str | None:
        """The default branch's name, without `origin/`; None when it is not known here."""
        try:
            return default_branch(self.root).removeprefix("origin/")
        except InputError:
            return None

    @cached_property
    def remotes(self) -> config.Configuration:
        """What DVC's configuration says."""
        return config.read(self.root)

    @cached_property
    def objects(self) -> list[Object]:
        """What dvc.lock needs; nothing without one."""
        from lockstep.lock import entries, objects

        path = self.root / entries.FILE
        return objects.needed(self.root, entries.parse(path.read_bytes())) if path.exists() else []

    @cached_property
    def token(self) -> str | None:
        """What GitHub's API is asked with."""
        return next((self.environ[name] for name in TOKENS if self.environ.get(name)), None)

    @cached_property
    def api(self) -> Api | None:
        """GitHub's API; None without a token or a repository there."""
        from lockstep.github.api import URL, Api

        if not self.token or not self.repository:
            return None
        return Api(
            repository=self.repository, token=self.token, url=self.environ.get("GITHUB_API_URL") or URL, pause=0.5
        )

    def ask(self, path: str) -> Any | None:
        """What GitHub has at a path; None when it is not there, or this token may not see it."""
        from lockstep.github.api import ApiError

        try:
            return self.api.find(path) if self.api else None
        except ApiError as error:
            if error.status == 403:
                return None
            raise

    def _shaped(self, path: str, kind: type[Shape]) -> Shape:
        """What GitHub has there, or an empty one."""
        found = self.ask(path)
        if found is None:
            return kind()
        if not isinstance(found, kind):
            raise OutsideError(f"the answer for {path} is not as GitHub's are: is GITHUB_API_URL right?")
        return found

    @cached_property
    def unheard(self) -> tuple[str, str] | None:
        """Why GitHub does not answer, and what to do; None when it does."""
        another = f"{TOKENS[0]}=$(gh auth token) lockstep doctor"
        if self.branch is None:
            return "the default branch is not known here", "git fetch origin && git remote set-head origin --auto"
        try:
            if self.about:
                return None
        except OutsideError as error:
            return str(error), another if getattr(error, "status", None) == 401 else ""
        return f"this token sees no branch `{self.branch}` of {self.repository}", another

    @cached_property
    def variables(self) -> set[str] | None:
        """Names of the repository's variables; None where the token may not see them."""
        return None if self.settings is None else set(self.settings)

    @cached_property
    def settings(self) -> dict[str, str] | None:
        """The repository's variables; None where the token may not see them."""
        from lockstep.github.api import ApiError

        try:
            found = self.api.pages("actions/variables", "variables") if self.api else ()
            return {variable["name"]: str(variable.get("value", "")) for variable in found}
        except ApiError as error:
            if error.status in (403, 404):
                return None
            raise

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """GitHub's record of the default branch: `protected`, and `protection` as far as this token may see."""
        from lockstep.github.api import part

        return self._shaped(f"branches/{part(self.branch)}", dict) if self.branch else {}

    @cached_property
    def rules(self) -> list[Mapping[str, Any]]:
        """The rules of all rulesets that apply to the default branch."""
        return self.rules_of(self.branch) if self.branch else []

    def rules_of(self, branch: str) -> list[Mapping[str, Any]]:
        """The rules of all rulesets that apply to a branch, or would if it were there."""
        from lockstep.github.api import part

        return self._shaped(f"rules/branches/{part(branch)}", list)

    def rulesets(self, target: str) -> Iterator[Mapping[str, Any]]:
        """The active rulesets for `branch` or `tag`, whole."""
        for each in self._shaped("rulesets?per_page=100", list):
            if each.get("target") == target and each.get("enforcement") == "active":
                yield self._shaped(f"rulesets/{each['id']}", dict)

    @cached_property
    def protection(self) -> Mapping[str, Any]:
        """Its classic protection, which only administrators may see."""
        from lockstep.github.api import part

        return self._shaped(f"branches/{part(self.branch)}/protection", dict) if self.branch else {}
