"""A stand-in of GitHub on loopback: as much of its API as is used, acting on real bare repositories.

It behaves as GitHub does where that matters: pages with `Link`, a token's permissions, 404 for what is not there,
commits only on the expected head, check runs that pile up, artifacts behind a redirect to another place.

    github = GitHub(tmp_path)
    with github.serving():
        Api(repository=github.repository, token=github.token({"contents": "write"}), url=github.url)
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BOT = "github-actions[bot]"
EVERYTHING = dict.fromkeys(("actions", "checks", "contents", "issues", "pull-requests", "administration"), "write")


class Problem(Exception):
    """What is answered instead."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Pull:
    """A pull request. `head_repository` is ours or a fork's."""

    number: int
    author: str
    branch: str
    head_repository: str
    base: str = "main"
    state: str = "open"
    title: str = ""
    body: str = ""
    merged: bool = False
    labels: list[str] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Fault:
    """What goes wrong, `times` times: an answer with that status, or none at all for 0."""

    method: str
    path: str
    status: int
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


class GitHub:
    """One repository, its forks, its pull requests and runs."""

    def __init__(self, folder: Path, repository: str = "acme/customers") -> None:
        self.folder = folder
        self.repository = repository
        self.default_branch = "main"
        self.pulls: dict[int, Pull] = {}
        self.checks: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.jobs: dict[int, list[dict[str, Any]]] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.people: dict[str, str] = {"ada": "admin"}
        self.opened_by_actions = True
        """May workflows open pull requests?"""
        self.dispatched: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.extra: dict[str, Any] = {}
        """Further answers by path, relative to the repository."""
        self.page_size = 100
        self.url = ""
        self._tokens: dict[str, tuple[str, Mapping[str, str]]] = {}
        self._ids = 1000
        self._ahead = 0.0
        self.create(repository)

    # what tests do

    @contextmanager
    def serving(self) -> Iterator[GitHub]:
        """Answer at `url` until the block ends."""
        server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self, "lock": threading.Lock()})
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def token(self, permissions: Mapping[str, str] | None = None, login: str = BOT) -> str:
        """A token with these permissions; all of them unless given."""
        name = f"token-{self.id()}"
        self._tokens[name] = (login, EVERYTHING if permissions is None else permissions)
        return name

    def tick(self, seconds: float = 60) -> None:
        """Time passes."""
        self._ahead += seconds

    def now(self) -> str:
        """The time, as the API says it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self._ahead))

    def id(self) -> int:
        """A new number."""
        self._ids += 1
        return self._ids

    def bare(self, repository: str | None = None) -> Path:
        """Where a repository lies."""
        return self.folder / f"{repository or self.repository}.git"

    def create(self, repository: str) -> Path:
        """An empty repository, ours or a fork."""
        path = self.bare(repository)
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch", self.default_branch, repository=repository)
        self.git("config", "uploadpack.allowAnySHA1InWant", "true", repository=repository)
        return path

    def git(self, *arguments: str, repository: str | None = None, text: str | None = None, **env: str) -> str:
        """Run git in a bare repository."""
        done = subprocess.run(
            ["git", "-C", str(self.bare(repository)), *arguments], env=os.environ | env, input=text,
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise Problem(422, done.stderr.strip())
        return done.stdout.strip()

    def head(self, branch: str, repository: str | None = None) -> str:
        """A branch's commit."""
        return self.git("rev-parse", "--verify", f"refs/heads/{branch}", repository=repository)

    def open(self, branch: str, author: str = "ada", repository: str | None = None, base: str = "main") -> Pull:
        """Open a pull request from a branch, ours or of a fork."""
        number = max(self.pulls, default=0) + 1
        pull = Pull(number, author, branch, repository or self.repository, base)
        self.pulls[number] = pull
        self.sync(pull)
        return pull

    def sync(self, pull: Pull) -> str:
        """Bring what was pushed to a pull request's branch to us; returns its head."""
        where = f"+refs/heads/{pull.branch}:refs/pull/{pull.number}/head"
        self.git("fetch", "--quiet", str(self.bare(pull.head_repository)), where)
        return self.git("rev-parse", f"refs/pull/{pull.number}/head")

    def label(self, pull: Pull, name: str, who: str) -> None:
        """Somebody sets a label."""
        pull.labels.append(name)
        pull.timeline.append(self._event("labeled", name, who))

    def unlabel(self, pull: Pull, name: str, who: str) -> None:
        """Somebody takes it away."""
        pull.labels.remove(name)
        pull.timeline.append(self._event("unlabeled", name, who))

    def _event(self, kind: str, name: str, who: str) -> dict[str, Any]:
        return {"event": kind, "label": {"name": name}, "actor": {"login": who}, "created_at": self.now()}

    def comment(self, pull: Pull, body: str, who: str = BOT) -> dict[str, Any]:
        """Somebody comments."""
        made = {"id": self.id(), "user": {"login": who}, "body": body, "created_at": self.now()}
        pull.comments.append(made)
        return made

    def run(self, sha: str, event: str, branch: str, head_repository: str | None = None, **more: Any) -> dict[str, Any]:
        """A run of pull-request.yml begins."""
        made = {
            "id": self.id(), "name": "pull request", "path": ".github/workflows/pull-request.yml", "event": event,
            "head_sha": sha, "head_branch": branch, "status": "in_progress", "conclusion": None,
            "head_repository": {"full_name": head_repository or self.repository}, "created_at": self.now(),
            "html_url": f"https://github.example/{self.repository}/actions/runs/{self._ids}", "pull_requests": [],
        }  # fmt: skip
        made |= more
        self.runs.append(made)
        return made

    def artifact(self, run: int, zipped: bytes, name: str = "lockstep") -> None:
        """A run leaves something."""
        made = {"id": self.id(), "name": name, "run": run, "expired": False, "size_in_bytes": len(zipped)}
        self.artifacts.append({**made, "zip": zipped})

    def checks_of(self, sha: str) -> list[dict[str, Any]]:
        """Check runs on a commit, oldest first."""
        return [check for check in self.checks if check["head_sha"] == sha]

    # what the API does

    def answer(self, method: str, path: str, query: Mapping[str, str], content: Any, token: str) -> Any:
        """The JSON for a request, or a `Problem`; a tuple is a status, headers and bytes."""
        if path.startswith("/blobs/"):
            return 200, {"Content-Type": "application/zip"}, self._artifact(path.rpartition("/")[2])["zip"]
        login, permissions = self._who(token)
        if path == "/graphql":
            self._insist(permissions, "contents", "write")
            return self._graphql(content)
        prefix = f"/repos/{self.repository}"
        if path == prefix:
            return {"full_name": self.repository, "default_branch": self.default_branch} | self.extra.get("", {})
        if not path.startswith(f"{prefix}/"):
            raise Problem(404, "Not Found")
        inside = path.removeprefix(f"{prefix}/")
        if inside in self.extra:
            return self.extra[inside]
        for wanted, pattern, scope, level, work in ROUTES:
            found = re.fullmatch(pattern, inside)
            if wanted == method and found:
                self._insist(permissions, scope, level)
                return work(self, Asked(query, content, login, [unquote(part) for part in found.groups()]))
        raise Problem(404, "Not Found")

    def _who(self, token: str) -> tuple[str, Mapping[str, str]]:
        if token not in self._tokens:
            raise Problem(401, "Bad credentials")
        return self._tokens[token]

    def _insist(self, permissions: Mapping[str, str], scope: str, level: str) -> None:
        scopes = ("pull-requests", "issues") if scope == "pull-requests" else (scope,)
        has = {permissions.get(name, "none") for name in scopes}
        if scope and not has & ({"write"} if level == "write" else {"read", "write"}):
            raise Problem(403, "Resource not accessible by integration")

    def _artifact(self, number: str) -> dict[str, Any]:
        return next(each for each in self.artifacts if each["id"] == int(number))

    def pull(self, number: str) -> Pull:
        """The pull request, or 404."""
        if int(number) not in self.pulls:
            raise Problem(404, "Not Found")
        return self.pulls[int(number)]

    def shown(self, pull: Pull) -> dict[str, Any]:
        """A pull request as the API gives it."""
        base = {"full_name": self.repository, "default_branch": self.default_branch}
        return {
            "number": pull.number, "state": pull.state, "user": {"login": pull.author}, "title": pull.title,
            "body": pull.body, "merged": pull.merged,
            "html_url": f"https://github.example/{self.repository}/pull/{pull.number}",
            "labels": [{"name": name} for name in pull.labels],
            "head": {
                "sha": self.git("rev-parse", f"refs/pull/{pull.number}/head"), "ref": pull.branch,
                "label": f"{pull.head_repository.partition('/')[0]}:{pull.branch}",
                "repo": {"full_name": pull.head_repository, "fork": pull.head_repository != self.repository},
            },
            "base": {"sha": self.head(pull.base), "ref": pull.base, "repo": base},
        }  # fmt: skip

    def tree(self, base: str, contents: Mapping[str, bytes | None]) -> str:
        """A tree: another one with files written, or removed for None."""
        index = {"GIT_INDEX_FILE": str(self.folder / f"index-{self.id()}")}
        self.git("read-tree", base, **index)
        for path, content in contents.items():
            if content is None:
                self.git("update-index", "--index-info", text=f"0 {'0' * 40}\t{path}\n", **index)
                continue
            blob = subprocess.run(
                ["git", "-C", str(self.bare()), "hash-object", "-w", "--stdin"], input=content, capture_output=True,
                check=True,
            ).stdout.decode().strip()  # fmt: skip
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
        return self.git("write-tree", **index)

    def _graphql(self, content: Any) -> Any:
        asked = content["variables"]["input"]
        branch, expected = asked["branch"]["branchName"], asked["expectedHeadOid"]
        assert asked["branch"]["repositoryNameWithOwner"] == self.repository
        head = self.head(branch)
        if head != expected:
            return {"data": {"createCommitOnBranch": None}, "errors": [
                {"type": "STALE_DATA", "message": f'Expected branch to point to "{expected}" but it did not.'}
            ]}  # fmt: skip
        contents: dict[str, bytes | None] = {
            each["path"]: base64.b64decode(each["contents"], validate=True)
            for each in asked["fileChanges"].get("additions", [])
        }
        contents |= {each["path"]: None for each in asked["fileChanges"].get("deletions", [])}
        tree, when = self.tree(head, contents), f"{int(time.time() + self._ahead)} +0000"
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", BOT), ("EMAIL", "bot@github.example"), ("DATE", when))
        }
        message = f"{asked['message']['headline']}\n\n{asked['message'].get('body', '')}"
        made = self.git("commit-tree", tree, "-p", head, "-m", message, **who)
        self.git("update-ref", f"refs/heads/{branch}", made, head)
        for pull in self.pulls.values():
            if pull.branch == branch and pull.head_repository == self.repository:
                self.sync(pull)
        return {"data": {"createCommitOnBranch": {"commit": {"oid": made, "tree": {"oid": tree}}}}}


@dataclass
class Asked:
    """What a route gets: the query, the body, who asks, the parts of the path."""

    query: Mapping[str, str]
    content: Any
    login: str
    parts: list[str]


Route = Callable[[GitHub, Asked], Any]


def _pulls(hub: GitHub, asked: Asked) -> Any:
    shown = [hub.shown(pull) for pull in hub.pulls.values()]
    if head := asked.query.get("head"):
        shown = [pull for pull in shown if pull["head"]["label"] == head]
    if base := asked.query.get("base"):
        shown = [pull for pull in shown if pull["base"]["ref"] == base]
    state = asked.query.get("state", "open")
    return [pull for pull in shown if state in ("all", pull["state"])]


def _make_pull(hub: GitHub, asked: Asked) -> Any:
    said = asked.content
    if not hub.opened_by_actions and asked.login == BOT:
        raise Problem(403, "GitHub Actions is not permitted to create or approve pull requests.")
    head, base = hub.head(said["head"]), hub.head(said["base"])
    if any((pull.branch, pull.base, pull.state) == (said["head"], said["base"], "open") for pull in hub.pulls.values()):
        raise Problem(422, f"A pull request already exists for {said['head']}.")
    if not int(hub.git("rev-list", "--count", f"{base}..{head}")):
        raise Problem(422, f"No commits between {said['base']} and {said['head']}")
    pull = hub.open(said["head"], asked.login, base=said["base"])
    pull.title, pull.body = said["title"], said["body"]
    return hub.shown(pull)


def _change_pull(hub: GitHub, asked: Asked) -> Any:
    pull = hub.pull(asked.parts[0])
    for name in ("title", "body", "state", "base"):
        setattr(pull, name, asked.content.get(name, getattr(pull, name)))
    return hub.shown(pull)


def _pulls_of_commit(hub: GitHub, asked: Asked) -> Any:
    # As on GitHub, a fork's commit is not linked to its pull request here.
    shown = [hub.shown(pull) for pull in hub.pulls.values() if pull.head_repository == hub.repository]
    return [pull for pull in shown if pull["head"]["sha"] == asked.parts[0]]


def _compare(hub: GitHub, asked: Asked) -> Any:
    base, head = asked.parts
    common = hub.git("merge-base", base, head)
    return {
        "merge_base_commit": {"sha": common},
        "ahead_by": int(hub.git("rev-list", "--count", f"{base}..{head}")),
        "behind_by": int(hub.git("rev-list", "--count", f"{head}..{base}")),
        "files": _changed(hub, common, head)[:300],
    }


def _changed(hub: GitHub, base: str, head: str) -> list[dict[str, Any]]:
    said = hub.git("diff", "--name-status", "--find-renames", base, head).splitlines()
    files = []
    for line in said:
        status, *paths = line.split("\t")
        files.append({"filename": paths[-1], "status": status} | ({"previous_filename": paths[0]} if paths[1:] else {}))
    return files


def _files(hub: GitHub, asked: Asked) -> Any:
    pull = hub.pull(asked.parts[0])
    head = f"refs/pull/{pull.number}/head"
    return _changed(hub, hub.git("merge-base", pull.base, head), head)[:3000]


def _contents(hub: GitHub, asked: Asked) -> Any:
    try:
        text = hub.git("show", f"{asked.query['ref']}:{asked.parts[0]}")
    except Problem:
        raise Problem(404, "Not Found") from None
    return {"encoding": "base64", "content": base64.encodebytes(text.encode()).decode()}


def _commit(hub: GitHub, asked: Asked) -> Any:
    tree, date, *parents = hub.git("show", "-s", "--format=%T %ct %P", asked.parts[0]).split()
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(date)))
    shown = [{"sha": parent} for parent in parents]
    message = hub.git("show", "-s", "--format=%B", asked.parts[0]).strip()
    about = {"sha": asked.parts[0], "message": message, "tree": {"sha": tree}}
    return about | {"committer": {"date": when}, "parents": shown}


def _make_tree(hub: GitHub, asked: Asked) -> Any:
    entries = asked.content["tree"]
    contents = {each["path"]: each["content"].encode() if "content" in each else None for each in entries}
    return {"sha": hub.tree(asked.content["base_tree"], contents)}


def _ref(hub: GitHub, asked: Asked) -> Any:
    try:
        return {"object": {"sha": hub.head(asked.parts[0])}}
    except Problem:
        raise Problem(404, "Not Found") from None


def _tag(hub: GitHub, asked: Asked) -> Any:
    try:
        sha = hub.git("rev-parse", "--verify", f"refs/tags/{asked.parts[0]}")
    except Problem:
        raise Problem(404, "Not Found") from None
    return {"object": {"type": hub.git("cat-file", "-t", sha), "sha": sha}}


def _tag_object(hub: GitHub, asked: Asked) -> Any:
    sha = hub.git("rev-parse", f"{asked.parts[0]}^{{}}")
    head, _, message = hub.git("cat-file", "tag", asked.parts[0]).partition("\n\n")
    name = next(line.removeprefix("tag ") for line in head.splitlines() if line.startswith("tag "))
    return {"tag": name, "message": message, "object": {"type": hub.git("cat-file", "-t", sha), "sha": sha}}


def _tree(hub: GitHub, asked: Asked) -> Any:
    entries = []
    for line in hub.git("ls-tree", asked.parts[0]).splitlines():
        mode, kind, rest = line.split(" ", 2)
        sha, _, path = rest.partition("\t")
        entries.append({"mode": mode, "type": kind, "sha": sha, "path": path})
    return {"sha": asked.parts[0], "tree": entries}


def _make_commit(hub: GitHub, asked: Asked) -> Any:
    parents = [word for parent in asked.content["parents"] for word in ("-p", parent)]
    who = {f"GIT_{role}_{what}": BOT for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = hub.git("commit-tree", asked.content["tree"], *parents, "-m", asked.content["message"], **who)
    return {"sha": made, "tree": {"sha": asked.content["tree"]}}


def _make_ref(hub: GitHub, asked: Asked) -> Any:
    ref, sha = asked.content["ref"], asked.content["sha"]
    if hub.git("for-each-ref", ref):
        raise Problem(422, "Reference already exists")
    hub.git("update-ref", ref, sha)
    return {"ref": ref, "object": {"sha": sha}}


def _change_ref(hub: GitHub, asked: Asked) -> Any:
    ref, sha = f"refs/heads/{asked.parts[0]}", asked.content["sha"]
    before = hub.git("for-each-ref", "--format=%(objectname)", ref)
    if not before:
        raise Problem(422, "Reference does not exist")
    if not asked.content.get("force") and hub.git("merge-base", before, sha) != before:
        raise Problem(422, "Update is not a fast forward")
    hub.git("update-ref", ref, sha)
    for pull in hub.pulls.values():
        if (pull.branch, pull.head_repository, pull.state) == (asked.parts[0], hub.repository, "open"):
            hub.sync(pull)
    return {"ref": ref, "object": {"sha": sha}}


def _checks(hub: GitHub, asked: Asked) -> Any:
    name = asked.query.get("check_name")
    found = [check for check in hub.checks_of(asked.parts[0]) if name in (None, check["name"])]
    if asked.query.get("filter", "latest") == "latest":
        found = list({check["name"]: check for check in found}.values())
    return {"total_count": len(found), "check_runs": found}


def _make_check(hub: GitHub, asked: Asked) -> Any:
    assert len(asked.content["output"]["summary"]) <= 65_535
    assert asked.content["conclusion"] in ("success", "failure", "neutral", "cancelled", "skipped", "timed_out")
    made = {
        "id": hub.id(),
        "html_url": "https://github.example/check",
        "app": {"slug": "github-actions"},
    } | asked.content
    hub.checks.append(made)
    return made


def _comments(hub: GitHub, asked: Asked) -> Any:
    return hub.pull(asked.parts[0]).comments


def _body(asked: Asked) -> str:
    body = asked.content["body"]
    if not body.strip() or len(body) > 65_536:
        raise Problem(422, "Validation Failed: body is too long (maximum is 65536 characters)")
    return str(body)


def _make_comment(hub: GitHub, asked: Asked) -> Any:
    return hub.comment(hub.pull(asked.parts[0]), _body(asked), asked.login)


def _change_comment(hub: GitHub, asked: Asked) -> Any:
    for pull in hub.pulls.values():
        for comment in pull.comments:
            if comment["id"] == int(asked.parts[0]):
                comment["body"] = _body(asked)
                return comment
    raise Problem(404, "Not Found")


def _timeline(hub: GitHub, asked: Asked) -> Any:
    return [{"event": "committed", "sha": "0" * 40}, *hub.pull(asked.parts[0]).timeline]


def _permission(hub: GitHub, asked: Asked) -> Any:
    role = hub.people.get(asked.parts[0])
    if role is None:
        raise Problem(404, f"{asked.parts[0]} is not a user")
    # As GitHub: `permission` knows neither maintain nor triage.
    return {"permission": {"maintain": "write", "triage": "read"}.get(role, role), "role_name": role}


def _runs(hub: GitHub, asked: Asked) -> Any:
    found = [run for run in hub.runs if asked.query.get("head_sha") in (None, run["head_sha"])]
    found = [run for run in found if asked.query.get("event") in (None, run["event"])]
    return {"total_count": len(found), "workflow_runs": found}


def _artifacts(hub: GitHub, asked: Asked) -> Any:
    found = [each for each in hub.artifacts if each["run"] == int(asked.parts[0])]
    shown = [{key: value for key, value in each.items() if key != "zip"} for each in found]
    return {"total_count": len(shown), "artifacts": shown}


def _jobs(hub: GitHub, asked: Asked) -> Any:
    return {"jobs": hub.jobs.get(int(asked.parts[0]), [])}


def _zip(hub: GitHub, asked: Asked) -> Any:
    # By another name, so that a client must not send its token along.
    elsewhere = hub.url.replace("127.0.0.1", "localhost")
    return 302, {"Location": f"{elsewhere}/blobs/{asked.parts[0]}"}, b""


def _dispatch(hub: GitHub, asked: Asked) -> Any:
    hub.dispatched.append((asked.parts[0], asked.content))
    return 204, {}, b""


SHA = "([0-9a-f]{40})"
ROUTES: list[tuple[str, str, str, str, Route]] = [
    ("GET", "pulls", "pull-requests", "read", _pulls),
    ("POST", "pulls", "pull-requests", "write", _make_pull),
    ("PATCH", r"pulls/(\d+)", "pull-requests", "write", _change_pull),
    ("GET", r"pulls/(\d+)", "pull-requests", "read", lambda hub, asked: hub.shown(hub.pull(asked.parts[0]))),
    ("GET", r"pulls/(\d+)/files", "pull-requests", "read", _files),
    ("GET", "contents/(.+)", "contents", "read", _contents),
    ("GET", f"commits/{SHA}/pulls", "pull-requests", "read", _pulls_of_commit),
    ("GET", r"compare/(.+?)\.\.\.(.+)", "contents", "read", _compare),
    ("GET", f"git/commits/{SHA}", "contents", "read", _commit),
    ("POST", "git/commits", "contents", "write", _make_commit),
    ("POST", "git/trees", "contents", "write", _make_tree),
    ("GET", f"git/trees/{SHA}", "contents", "read", _tree),
    ("GET", "git/ref/heads/(.+)", "contents", "read", _ref),
    ("GET", "git/ref/tags/(.+)", "contents", "read", _tag),
    ("GET", f"git/tags/{SHA}", "contents", "read", _tag_object),
    ("POST", "git/refs", "contents", "write", _make_ref),
    ("PATCH", "git/refs/heads/(.+)", "contents", "write", _change_ref),
    ("GET", f"commits/{SHA}/check-runs", "checks", "read", _checks),
    ("POST", "check-runs", "checks", "write", _make_check),
    ("GET", r"issues/(\d+)/comments", "pull-requests", "read", _comments),
    ("POST", r"issues/(\d+)/comments", "pull-requests", "write", _make_comment),
    ("PATCH", r"issues/comments/(\d+)", "pull-requests", "write", _change_comment),
    ("GET", r"issues/(\d+)/timeline", "pull-requests", "read", _timeline),
    ("GET", "collaborators/([^/]+)/permission", "", "read", _permission),
    ("GET", "actions/runs", "actions", "read", _runs),
    ("GET", r"actions/runs/(\d+)/artifacts", "actions", "read", _artifacts),
    ("GET", r"actions/runs/(\d+)/jobs", "actions", "read", _jobs),
    ("GET", r"actions/artifacts/(\d+)/zip", "actions", "read", _zip),
    ("POST", "actions/workflows/([^/]+)/dispatches", "actions", "write", _dispatch),
]
"""Method, path, the permission that it needs and its level, what is done."""


class Handler(BaseHTTPRequestHandler):
    """Carries requests to the stand-in, one at a time."""

    protocol_version = "HTTP/1.1"
    hub: GitHub
    lock: threading.Lock

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        content = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self.lock:
            self.hub.asked.append((self.command, parts.path))
            if not self._fails(parts.path):
                self._answer(parts.path, query, content)

    def _fails(self, path: str) -> bool:
        """Is this one of the bad moments that a test arranged?"""
        faults = self.hub.faults
        fault = next((each for each in faults if each.method == self.command and re.search(each.path, path)), None)
        if fault is None:
            return False
        fault.times -= 1
        self.hub.faults = [each for each in faults if each.times > 0]
        if fault.status:
            self._send(fault.status, dict(fault.headers), b'{"message": "a bad moment"}')
        self.close_connection = True
        return True

    def _answer(self, path: str, query: Mapping[str, str], content: Any) -> None:
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ").removeprefix("token ")
        assert not (token and path.startswith("/blobs/")), "the token was sent to where artifacts lie"
        try:
            given = self.hub.answer(self.command, path, query, content, token)
        except Problem as problem:
            self._send(problem.status, {}, json.dumps({"message": str(problem)}).encode())
            return
        if isinstance(given, tuple):
            self._send(*given)
        else:
            self._send_page(given, path, query)

    def _send_page(self, given: Any, path: str, query: Mapping[str, str]) -> None:
        """Lists come in pages, also the list of an answer that counts a total."""
        key = None
        if isinstance(given, dict) and "total_count" in given:
            key = next(name for name, value in given.items() if isinstance(value, list))
        items = given[key] if key else given
        headers = {}
        if isinstance(items, list):
            size, page = min(int(query.get("per_page", 30)), self.hub.page_size), int(query.get("page", 1))
            if len(items) > page * size:
                more = "&".join(f"{name}={value}" for name, value in {**query, "page": page + 1}.items())
                headers["Link"] = f'<{self.hub.url}{path}?{more}>; rel="next"'
            items = items[(page - 1) * size : page * size]
        shown = {**given, key: items} if key else items
        self._send(200 if self.command != "POST" else 201, headers, json.dumps(shown).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Quiet."""
