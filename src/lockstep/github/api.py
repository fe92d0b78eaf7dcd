"""GitHub's API, as little of it as is used here: JSON in, JSON out, all pages, and patience with its bad moments."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from lockstep.errors import InputError, OutsideError
from lockstep.github.repository import of

if TYPE_CHECKING:
    from pathlib import Path

    import requests

URL = "https://api.github.com"
VERSION = "2022-11-28"
PER_PAGE = 100
TRIES = 4
PATIENCE = (10, 60)
"""Seconds to connect, and between two pieces of an answer."""

BUSY = frozenset({429, 500, 502, 503, 504})
UNHEARD = frozenset({429, 503})
"""Answers after which nothing was done: what writes may be sent again."""


class ApiError(OutsideError):
    """GitHub answered, and said no. `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Api:
    """One repository through one token. Paths are relative to the repository, those that begin with `/` to the API.

    Every call raises `ApiError` when GitHub refuses, `OutsideError` when it cannot be reached.
    """

    repository: str
    token: str = field(repr=False)
    url: str = URL
    pause: float = 2.0
    """Seconds before a second try; doubled before each further one."""

    longest: float = 60.0
    """Seconds that GitHub may let us wait before another try."""

    def get(self, path: str, **params: Any) -> Any:
        """What is there."""
        return _json(self._ask("GET", path, params=params))

    def find(self, path: str, **params: Any) -> Any | None:
        """What is there, or None where nothing is, or nothing that this token may see."""
        try:
            return self.get(path, **params)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def pages(self, path: str, key: str | None = None, **params: Any) -> Iterator[Any]:
        """The items of all pages, in order; `key` names the list in an answer that is a mapping."""
        answer = self._ask("GET", path, params={"per_page": PER_PAGE, **params})
        while True:
            content = _json(answer)
            items = content.get(key) if key and isinstance(content, dict) else content
            if not isinstance(items, list):
                raise _strange(answer)
            yield from items
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            answer = self._ask("GET", self._own(following))

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """Make something."""
        answer = self._ask("POST", path, content=content)
        return _json(answer) if answer.content else None

    def patch(self, path: str, content: Mapping[str, Any]) -> Any:
        """Change something."""
        return _json(self._ask("PATCH", path, content=content))

    def graphql(self, query: str, variables: Mapping[str, Any]) -> Any:
        """What a GraphQL query or mutation gives as `data`. Its errors raise `ApiError` with status 422."""
        server = self.url.removesuffix("/v3") if self.url.endswith("/api/v3") else self.url
        answer = _json(self._ask("POST", f"{server}/graphql", content={"query": query, "variables": dict(variables)}))
        if errors := answer.get("errors"):
            said = "; ".join(str(error.get("message", error)) for error in errors)
            raise ApiError(f"GitHub refused: {said}", 422)
        return answer["data"]

    def download(self, path: str, most: int) -> bytes:
        """The bytes behind a path, also where it leads elsewhere. Raises `InputError` beyond `most` bytes."""
        import requests

        answer = self._ask("GET", path, stream=True)
        parts, size = [], 0
        try:
            with answer:
                for part in answer.iter_content(64 * 1024):
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        raise InputError(f"it has more than {most:,} bytes")
        except requests.RequestException as error:
            raise _unreachable("GET", path, error) from None
        return b"".join(parts)

    def _address(self, path: str) -> str:
        if "://" in path:
            return path
        return f"{self.url}{path}" if path.startswith("/") else f"{self.url}/repos/{self.repository}/{path}"

    def _own(self, address: str) -> str:
        """A next page's address, which must be this API's: the token goes nowhere else."""
        if urlsplit(address)[:2] != urlsplit(self.url)[:2]:
            raise OutsideError(f"GitHub's next page is at {urlsplit(address).netloc}, which is not its API")
        return address

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: Mapping[str, Any] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Ask until it answers: again after any bad moment where it only reads, else where nothing was done."""
        import requests

        reads = method == "GET"
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                answer = requests.request(
                    method, self._address(path), params=params, json=content, headers=self._headers(), timeout=PATIENCE,
                    stream=stream,
                )  # fmt: skip
            except requests.RequestException as error:
                if last or not reads:
                    raise _unreachable(method, path, error) from None
                wait = self.pause * 2**attempt
            else:
                if answer.ok:
                    return answer
                if last or not _is_worth_another(answer, reads):
                    raise _refused(method, path, answer)
                wait = min(_wait(answer, self.pause * 2**attempt), self.longest)
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _headers(self) -> dict[str, str]:
        accept = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION, "User-Agent": "lockstep"}
        return accept | ({"Authorization": f"Bearer {self.token}"} if self.token else {})


def from_environment(environ: Mapping[str, str]) -> Api:
    """The API as a workflow's environment names it. Raises `InputError` without a token or a repository."""
    repository, token = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_TOKEN", "")
    if not token:
        raise InputError("GITHUB_TOKEN is not set: in a workflow, `env: {GITHUB_TOKEN: …github.token…}` passes it on")
    if repository.count("/") != 1:
        raise InputError(f"GITHUB_REPOSITORY is `{repository}`, not `OWNER/NAME`")
    return Api(repository=repository, token=token, url=environ.get("GITHUB_API_URL") or URL)


def of_clone(root: Path, environ: Mapping[str, str]) -> Api | None:
    """The API for a clone's repository; None without a token, or where the clone is of no repository on GitHub."""
    repository = of(root, environ) if environ.get("GITHUB_TOKEN") else None
    return from_environment({**environ, "GITHUB_REPOSITORY": repository}) if repository else None


def part(name: str) -> str:
    """A name, such as a branch's, as one part of a path.

    >>> part("a/b c")
    'a%2Fb%20c'
    """
    return quote(name, safe="")


def _is_worth_another(answer: requests.Response, reads: bool) -> bool:
    headers = answer.headers
    limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return (answer.status_code == 403 and limited) or answer.status_code in (BUSY if reads else UNHEARD)


def _wait(answer: requests.Response, otherwise: float) -> float:
    """Seconds: what GitHub asks for, or until it counts anew."""
    said, anew = answer.headers.get("retry-after", ""), answer.headers.get("x-ratelimit-reset", "")
    if said.isdigit():
        return float(said)
    spent = answer.headers.get("x-ratelimit-remaining") == "0" and anew.isdigit()
    return max(float(anew) - time.time(), otherwise) if spent else otherwise


def _json(answer: requests.Response) -> Any:
    """What it says. Raises `OutsideError` for what GitHub would not say, as the page of a network's login is."""
    try:
        return answer.json()
    except ValueError:
        raise _strange(answer) from None


def _strange(answer: requests.Response) -> OutsideError:
    return OutsideError(
        f"{urlsplit(answer.url).netloc} answered {answer.status_code}, but not as GitHub's API does: GITHUB_API_URL is "
        "wrong, or something in between answers, such as a network's login page"
    )


def _unreachable(method: str, path: str, error: Exception) -> OutsideError:
    return OutsideError(f"GitHub could not be asked ({method} {path}): {type(error).__name__}. It is safe to try again")


def _refused(method: str, path: str, answer: requests.Response) -> ApiError:
    try:
        said = str(answer.json().get("message", ""))[:300]
    except (ValueError, AttributeError):
        said = ""
    hint = {401: " The token is not valid.", 403: " The token may lack a permission."}.get(answer.status_code, "")
    return ApiError(f"GitHub answered {answer.status_code} {said} ({method} {path}).{hint}", answer.status_code)
