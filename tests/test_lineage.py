"""`lockstep lineage`: what an image, a service, a tag and the branch `deploy` say, and whether the commit agrees."""

from __future__ import annotations

import hashlib
import json
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

import tagged
from containers import Registry, registry  # noqa: F401  (a fixture)
from lockstep.commands.lineage import lineage
from lockstep.release import claims
from lockstep.release.tags import model_of
from lockstep.release.wanted import Wanted
from lockstep.revision import Revision, git
from test_rollback import NAME, Project, code, keep, said, tree

DATA = "\n  ingest:\n    cmd: i\n    outs:\n    - path: data/raw/2013-01.parquet\n      md5: " + "e" * 32 + "\n"


def with_data(model: str, **more: str) -> dict[str, str]:
    """What a commit holds, a lock with raw data included."""
    files = tree(model, **more)
    return files | {"dvc.lock": files["dvc.lock"].rstrip("\n") + DATA}


@dataclass
class World:
    """A project with two releases, a registry, and what was deployed."""

    project: Project
    registry: Registry

    @property
    def root(self) -> Path:
        return self.project.root

    def wanted(self, version: str, model: str, /, **changes: Any) -> Wanted:
        """What the release asks for."""
        commit = git(self.root, "rev-parse", f"{NAME}@{version}^{{commit}}")
        revision = Revision(root=self.root, sha=commit)
        known = {
            "name": NAME, "version": version, "identity": hashlib.sha256(model.encode()).hexdigest(),
            "model": model_of(revision.entries()), "commit": commit,
            "lock": hashlib.sha256(revision.read("dvc.lock") or b"").hexdigest(),
            "data": {"data/raw/2013-01.parquet": "e" * 32}, "registry": self.registry.image, "build_image": "b",
            "run_image": "r", "log": 1.0,
        }  # fmt: skip
        return Wanted(**known | changes)

    def send(self, wanted: Wanted, tmp: Path) -> str:
        """An image with these labels, and nothing in it, goes to the registry; its digest."""
        layout = tmp / f"oci-{len(list(tmp.iterdir()))}"
        (layout / "blobs/sha256").mkdir(parents=True)
        config = {"architecture": "amd64", "os": "linux", "config": {"Labels": wanted.labels},
                  "rootfs": {"type": "layers", "diff_ids": []}}  # fmt: skip
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
                    "config": blob(layout, config, "application/vnd.oci.image.config.v1+json")}  # fmt: skip
        about = blob(layout, manifest, "application/vnd.oci.image.manifest.v1+json")
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [about]}))
        target = f"docker://{self.registry.image}:{wanted.tag}"
        copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", target]
        subprocess.run(copy, check=True, capture_output=True)
        return str(about["digest"])

    def deploy(self, environment: str, wanted: Wanted, digest: str, **changes: Any) -> None:
        """One more commit on the branch `deploy`."""
        record = {name: getattr(wanted, name) for name in ("name", "version", "identity", "model", "commit", "lock")}
        record |= {"digest": digest, "image": wanted.registry, "skipped": [], "previous": ""} | changes
        inner = self.project.git_in(json.dumps(record), "hash-object", "-w", "--stdin")
        folder = self.project.git_in(f"100644 blob {inner}\trelease.json\n", "mktree")
        top = self.project.git_in(f"040000 tree {folder}\t{environment}\n", "mktree")
        parent = git(self.root, "for-each-ref", "--format=%(objectname)", "refs/heads/deploy")
        made = git(self.root, "commit-tree", top, *(["-p", parent] if parent else []), "-m", "deploy")
        git(self.root, "update-ref", "refs/heads/deploy", made)


def blob(layout: Path, content: Mapping[str, Any], kind: str) -> dict[str, Any]:
    text = json.dumps(content).encode()
    digest = hashlib.sha256(text).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(text)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(text)}


@pytest.fixture
def world(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: F811
    """v1.0.0 and v1.1.0 were released; v1.1.0 is on staging."""
    (tmp_path / "clone").mkdir()
    project = Project(tmp_path / "clone")
    for name in ("LOCKSTEP_REGISTRY", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(project.root)
    for version, model in (("v1.0.0", "a"), ("v1.1.0", "b")):
        project.commit(with_data(model), f"model {model}")
        git(project.root, "tag", "-a", "-m", version, f"{NAME}@{version}")
    return World(project=project, registry=registry)


@pytest.fixture
def digest(world: World, tmp_path: Path) -> str:
    """v1.0.0 was on staging, v1.1.0 is."""
    (tmp_path / "images").mkdir()
    for version, model in (("v1.0.0", "a"), ("v1.1.0", "b")):
        wanted = world.wanted(version, model)
        sent = world.send(wanted, tmp_path / "images")
        world.deploy("staging", wanted, sent)
    return sent


Run = Callable[..., Result]


@pytest.fixture
def run(world: World) -> Run:
    return lambda *arguments: CliRunner().invoke(lineage, arguments)


def found(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, said(result)
    content: dict[str, Any] = json.loads(result.stdout)
    return content


@contextmanager
def service(answer: Mapping[str, Any] | bytes, status: int = 200, dropped: int = 0) -> Iterator[str]:
    """Something that answers at /version, once it has `dropped` so many connections; its URL."""
    drops = iter(range(dropped))
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if next(drops, None) is not None:
                return
            self.send_response(status if self.path == "/version" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def version_of(wanted: Wanted, **changes: Any) -> dict[str, Any]:
    """What the service of an image answers."""
    return {
        "name": NAME, "version": wanted.version, "model": wanted.model[:12], "fingerprint": wanted.model,
        "commit": wanted.commit, "lock": wanted.lock,
    } | changes  # fmt: skip


def references(world: World, digest: str) -> dict[str, str]:
    """Every way to name what is on staging."""
    wanted = world.wanted("v1.1.0", "b")
    return {
        "tag of the image": f"{world.registry.image}:{wanted.tag}", "image": f"{world.registry.image}@{digest}",
        "digest": digest, "version": "v1.1.0", "bare version": "1.1.0", "tag": f"{NAME}@v1.1.0",
        "environment": "staging",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["tag of the image", "image", "digest", "version", "bare version", "tag", "environment"]
)
def test_every_reference_leads_to_image_commit_lock_and_data(world: World, digest: str, run: Run, name: str) -> None:
    wanted = world.wanted("v1.1.0", "b")
    answer = found(run(references(world, digest)[name], "--json"))
    assert answer["told"] == {
        "name": NAME, "image": world.registry.image, "digest": digest, "version": "v1.1.0",
        "identity": wanted.identity, "model": wanted.model, "commit": wanted.commit, "lock": wanted.lock,
    }  # fmt: skip
    assert answer["data"] == {"data/raw/2013-01.parquet": "e" * 32}
    assert (answer["commit"]["subject"], answer["commit"]["lock"]) == ("model b", True)
    assert answer["fits"]
    assert "the image's labels" in answer["sources"]


def test_a_running_service_leads_there_too(world: World, digest: str, run: Run) -> None:
    wanted = world.wanted("v1.1.0", "b")
    with service(version_of(wanted)) as url:
        for each in (url, f"{url}/", f"{url}/version"):
            answer = found(run(each, "--json"))
            assert (answer["told"]["digest"], answer["told"]["commit"]) == (digest, wanted.commit)
            assert answer["fits"]


def test_an_older_version_is_found_in_what_deploy_has_said(world: World, digest: str, run: Run) -> None:
    answer = found(run("v1.0.0", "--json"))
    assert answer["told"]["digest"] not in ("", digest)
    assert answer["commit"]["subject"] == "model a"


def test_people_read_it_line_by_line(world: World, digest: str, run: Run) -> None:
    result = run("staging")
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["digest"] == digest
    assert lines["commit"].endswith(": model b")
    assert lines["lock"].endswith("the commit's dvc.lock")
    assert "no remote is configured" in lines["objects"]
    assert "nowhere: model.onnx, contract.json, golden.json" in lines["objects"]


def test_it_says_where_the_models_objects_are(world: World, digest: str, run: Run) -> None:
    keep(world.root / ".dvc/cache", "b")
    assert "in DVC's cache here: model.onnx, contract.json, golden.json" in run("staging").stdout
    folder = world.root.parent / "remote"
    (world.root / ".dvc/config").write_text(f"[core]\n    remote = main\n['remote \"main\"']\n    url = {folder}\n")
    keep(folder, "b")
    assert "in the remote `main`: model.onnx, contract.json, golden.json" in run("staging").stdout


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        ({"lock": "f" * 64}, "lock: the image's labels says ffffffffffff"),
        ({"model": "f" * 64}, "model: the image's labels says ffffffffffff"),
        ({"version": "v1.0.0"}, "is called v1.0.0"),
        (
            {"data": {"data/raw/2013-01.parquet": "f" * 32}},
            "data: the image's labels says data.raw.2013-01",
        ),
        ({"data": {"data/other": "f" * 32}}, "no such output"),
    ],
    ids=str,
)
def test_a_label_that_its_commit_does_not_bear_out_is_said_and_ends_with_3(
    world: World, run: Run, tmp_path: Path, lie: Mapping[str, Any], says: str
) -> None:
    (tmp_path / "images").mkdir()
    wanted = world.wanted("v1.1.0", "b", **lie)
    digest = world.send(wanted, tmp_path / "images")
    result = run(f"{world.registry.image}@{digest}")
    assert code(result) == 3
    assert says in said(result)
    assert digest in result.stdout, "what was found is shown all the same"
    assert json.loads(run(f"{world.registry.image}@{digest}", "--json").stdout)["fits"] is False


def test_an_image_that_says_otherwise_than_deploy_is_a_contradiction(world: World, run: Run, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    wanted = world.wanted("v1.1.0", "b")
    digest = world.send(wanted, tmp_path / "images")
    world.deploy("staging", wanted, digest, identity="f" * 64)
    result = run("staging")
    assert code(result) == 3
    assert "identity: staging/release.json on `deploy` says ffffffff" in said(result)


def test_an_image_that_a_later_commit_reuses_is_none(world: World, run: Run, digest: str) -> None:
    wanted = world.wanted("v1.1.0", "b")
    world.project.commit(with_data("b", **{"docs/a.md": "other words"}), "words")
    world.deploy("staging", wanted, digest, commit=git(world.root, "rev-parse", "HEAD"))
    answer = found(run("staging", "--json"))
    assert answer["fits"]
    assert answer["commit"]["subject"] == "words"


def test_a_service_that_runs_another_model_than_its_version_is_found_out(world: World, run: Run) -> None:
    other = world.wanted("v1.0.0", "a")
    with service(version_of(world.wanted("v1.1.0", "b"), fingerprint=other.model, model=other.model[:12])) as url:
        result = run(url)
    assert code(result) == 3
    assert "is called v1.1.0" in said(result)


def test_a_commit_that_is_not_here_is_a_note(world: World, run: Run, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    digest = world.send(world.wanted("v1.1.0", "b", commit="f" * 40), tmp_path / "images")
    result = run(f"{world.registry.image}@{digest}")
    assert code(result) == 0
    assert "commit fffffff is not in this clone" in said(result)


@pytest.mark.parametrize("commit", ["--output=x", "main", "HEAD", "-h", "\x1b[31m" + "f" * 40])
def test_what_is_no_hash_is_not_given_to_git(world: World, run: Run, commit: str) -> None:
    with service(version_of(world.wanted("v1.1.0", "b"), commit=commit)) as url:
        result = run(url)
    assert code(result) == 0
    assert "not here" in result.stdout
    assert "\x1b" not in said(result)
    assert not (world.root / "x").exists()


@pytest.mark.parametrize(("answer", "status"), [(b"<html>", 200), (b"[]", 200), (b"{}", 200), (b"{}", 500), (b"", 302)])
def test_what_is_no_service_of_ours_ends_with_4(world: World, run: Run, answer: bytes, status: int) -> None:
    with service(answer, status) as url:
        result = run(url)
    assert code(result) == 4
    assert f"answered {status}" in said(result)


@contextmanager
def speaking(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Something that answers so, word by word, one connection after another; its URL, and what it was asked."""
    asked: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())
            while self.rfile.readline().strip():
                pass
            for part in answers[min(len(asked), len(answers)) - 1].split(b"~"):
                self.wfile.write(part)
                self.wfile.flush()
                time.sleep(0.05)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def plain(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


def test_an_answer_in_several_parts_is_read_to_its_end(world: World, digest: str, run: Run) -> None:
    body = json.dumps(version_of(world.wanted("v1.1.0", "b"))).encode()
    parts = b"~".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:40], body[40:], b""))
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with speaking(head + b"~" + parts) as (url, _):
        assert found(run(url, "--json"))["told"]["digest"] == digest


def test_of_an_answer_without_end_no_more_is_read_than_a_service_says(run: Run) -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b" " * 3 * claims.MOST + b'{"model": "m"}'
    with speaking(endless) as (url, _):
        result = run(url)
    assert (code(result), "not as a service of ours" in said(result)) == (4, True)


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"])
def test_a_service_that_is_being_rolled_out_is_asked_again(world: World, digest: str, run: Run, status: str) -> None:
    body = json.dumps(version_of(world.wanted("v1.1.0", "b"))).encode()
    with speaking(plain(status), plain(status), plain("200 OK", body)) as (url, asked):
        assert found(run(url, "--json"))["told"]["digest"] == digest
    assert len(asked) == 3
    with speaking(plain(status)) as (url, asked):
        result = run(url)
    assert (code(result), len(asked)) == (4, 3)
    assert f"asked 3 times, the last time: it answered {status[:3]}" in said(result)


def test_where_a_redirect_leads_is_said_without_its_secrets_and_nobody_goes_there(run: Run) -> None:
    moved = plain("308 Moved", b"", "Location: https://ada:secret@example.org/version?token=secret")
    with speaking(moved) as (url, asked):
        result = run(url)
    assert (code(result), len(asked)) == (4, 1)
    assert "answered 308 and leads to https://example.org/version: ask there" in said(result)
    assert "secret" not in said(result)


@pytest.mark.parametrize(
    "url", ["http://a..b", "http://", "http://h:99999", "http://ex ample", "http://ada:secret@a..b", "http://[::1"]
)
def test_what_is_no_address_is_the_caller_s_mistake_at_once(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PAUSE", 60)
    result = run(url)
    assert code(result) == 1, said(result)
    assert "is no address of a service, such as http://host:3000" in said(result)
    assert "secret" not in said(result)


def test_a_service_without_the_encryption_that_is_asked_for_is_not_asked_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: str) -> None:
        asked.append(place)
        raise requests.exceptions.SSLError("wrong version number")

    asked: list[str] = []
    monkeypatch.setattr(claims, "_asked", refuse)
    result = run("https://127.0.0.1:3000")
    assert (code(result), len(asked)) == (4, 1)
    assert "nothing is asked unencrypted" in said(result)


def test_a_url_s_scheme_is_read_in_any_case(world: World, digest: str, run: Run) -> None:
    with service(version_of(world.wanted("v1.1.0", "b"))) as url:
        assert found(run(url.replace("http", "HTTP"), "--json"))["told"]["digest"] == digest


@pytest.mark.parametrize(
    "asked", ["localhost:3000/version", "127.0.0.1:3000", "[::1]:3000/", "service.example.org:3000"]
)
def test_a_service_whose_scheme_was_forgotten_is_no_image(run: Run, asked: str) -> None:
    result = run(asked)
    assert code(result) == 1
    assert f"did you mean http://{asked}?" in said(result)


def test_a_service_that_is_away_ends_with_4_and_its_password_is_not_told(run: Run) -> None:
    result = run("http://ada:secret@127.0.0.1:1")
    assert code(result) == 4
    assert "asked 3 times, the last time: Connection refused" in said(result)
    assert "secret" not in said(result)


@pytest.mark.parametrize("url", ["http://ada:secret@127.0.0.1:x", "http://ada:secret@[::1", "http://ada:secret@"])
def test_a_url_that_is_none_does_not_tell_its_password(run: Run, url: str) -> None:
    result = run(url)
    assert code(result) in (1, 4)
    assert "secret" not in said(result)


@pytest.mark.parametrize(("dropped", "ends"), [(1, 0), (2, 0), (3, 4)])
def test_a_service_that_drops_connections_is_asked_again(world: World, run: Run, dropped: int, ends: int) -> None:
    with service(version_of(world.wanted("v1.1.0", "b")), dropped=dropped) as url:
        result = run(url)
    assert code(result) == ends
    assert ("the last time: " in said(result)) == bool(ends)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("stagin", "Did you mean `staging`?"), ("v7.0.0", "v7.0.0 was not released here. Released: v1.0.0, v1.1.0"),
        ("production", "says nothing of production"), ("sha256:" + "0" * 64, "`--registry ADDRESS`"),
        ("flight-delays", "is none of"),
    ],
)  # fmt: skip
def test_a_reference_that_stands_for_nothing_is_refused(world: World, run: Run, asked: str, says: str) -> None:
    world.deploy("staging", world.wanted("v1.1.0", "b"), "sha256:" + "1" * 64)
    result = run(asked)
    assert code(result) == 1
    assert says in said(result)


def test_an_image_that_the_registry_does_not_have_is_refused(world: World, run: Run, digest: str) -> None:
    for asked in (f"{world.registry.image}:latest", f"{world.registry.image}@sha256:{'0' * 64}"):
        result = run(asked)
        assert code(result) == 1
        assert "the registry has no" in said(result)
    assert code(run("sha256:" + "0" * 64, "--registry", world.registry.image)) == 1


def test_a_registry_that_is_away_matters_only_to_who_asks_for_an_image(world: World, run: Run) -> None:
    away = "127.0.0.1:1/team/x"
    world.deploy("staging", world.wanted("v1.1.0", "b", registry=away), "sha256:" + "1" * 64)
    assert code(run(f"{away}:latest")) == 4
    result = run("staging")
    assert code(result) == 0
    assert "the image was not looked at" in said(result)
    assert "model b" in result.stdout


def retag(world: World, version: str, **facts: str) -> None:
    """The version's tag as a release writes it."""
    commit = git(world.root, "rev-parse", f"{NAME}@{version}^{{commit}}")
    git(world.root, "tag", "--delete", f"{NAME}@{version}")
    tagged.tag(world.root, f"{NAME}@{version}", commit, **facts)


@pytest.mark.parametrize("asked", ["staging", "v1.1.0", "tag of the image", "digest"])
@pytest.mark.parametrize("lie", [{}, {"digest": f"sha256:{'f' * 64}"}, {"identity": "f" * 64}], ids=str)
def test_what_no_tag_of_its_version_says_is_a_contradiction(
    world: World, run: Run, digest: str, asked: str, lie: dict[str, str]
) -> None:
    wanted = world.wanted("v1.1.0", "b")
    retag(world, "v1.1.0", **{"digest": digest, "identity": wanted.identity} | lie)
    result = run(references(world, digest).get(asked, asked))
    assert code(result) == (3 if lie else 0), said(result)
    if lie:
        assert f"{NAME}@v1.1.0 says" in said(result)


def test_an_image_that_was_built_again_is_no_contradiction_where_a_stage_s_tag_says_it(
    world: World, run: Run, digest: str
) -> None:
    wanted = world.wanted("v1.1.0", "b")
    retag(world, "v1.1.0", identity=wanted.identity)
    for asked in ("staging", "v1.1.0"):
        assert code(run(asked)) == 3
    tagged.tag(world.root, f"{NAME}#staging#2", wanted.commit, identity=wanted.identity, digest=digest)
    for asked in ("staging", "v1.1.0"):
        assert found(run(asked, "--json"))["told"]["digest"] == digest


def test_a_version_that_never_was_deployed_has_the_digest_of_its_tag(world: World, run: Run) -> None:
    retag(world, "v1.1.0", digest=f"sha256:{'d' * 64}")
    assert found(run("v1.1.0", "--json"))["told"]["digest"] == f"sha256:{'d' * 64}"


@pytest.mark.parametrize("asked", ["../x", "a b/c:d", "ghcr.io/Owner/x", "ghcr.io/a/b:x y", "ghcr.io/a/b@sha256:1"])
def test_what_is_no_image_s_name_is_the_caller_s_mistake(run: Run, asked: str) -> None:
    result = run(asked)
    assert code(result) == 1, said(result)
    assert asked in said(result)
