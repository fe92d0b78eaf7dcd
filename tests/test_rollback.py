"""`lockstep rollback`: the branch it makes, what it refuses, and that nothing but a rollback is taken for one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import tagged
from branches import WORSE, Branches
from conftest import lay
from github_stand_in import GitHub
from lockstep import errors
from lockstep.commands.rollback import rollback
from lockstep.errors import InputError
from lockstep.lock import fresh
from lockstep.release import earlier
from lockstep.release import rollback as way
from lockstep.release.earlier import brought_back
from lockstep.report.assess import assess
from lockstep.revision import Revision, git, resolve
from small import a_spec, a_table
from test_report import text_of

NAME = "customers"


def lock(model: str) -> str:
    """A dvc.lock of a model whose files hold these words."""
    outs = [{"path": f"model/{name}", "md5": md5(f"{name} {model}")} for name in ("model.onnx", "contract.json")]
    outs.append({"path": "model/golden.json", "md5": md5(f"golden {model}")})
    return yaml.safe_dump({"schema": "2.0", "stages": {"train": {"cmd": "t", "outs": outs}}})


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def tree(model: str, **more: str) -> dict[str, str]:
    """What a commit holds of a model."""
    return {
        "params.yaml": f"project: {{name: {NAME}}}\ntrain: {model}\n", "dvc.lock": lock(model), "src/code.py": model,
        ".gitignore": "/model/\n", ".github/workflows/test.yml": model, "deploy/base.yaml": model, "docs/a.md": model,
    } | more  # fmt: skip


class Project:
    """A repository with releases."""

    def __init__(self, root: Path) -> None:
        self.root = root
        git(root, "init", "--quiet", "--initial-branch=main")

    def commit(self, files: dict[str, str], message: str = "a change") -> str:
        """Commit these files and no others."""
        if git(self.root, "ls-files"):
            git(self.root, "rm", "-r", "--quiet", "--force", "--ignore-unmatch", ".")
        lay(self.root, files)
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "-m", message)
        return git(self.root, "rev-parse", "HEAD")

    def release(self, version: str, model: str, **more: str) -> str:
        """Commit a model and tag it."""
        made = self.commit(tree(model, **more), f"model {model}")
        tagged.tag(self.root, f"{NAME}@{version}")
        return made

    def deployed(self, **versions: tuple[str, str]) -> None:
        """The branch `deploy` says so: version and the one before, by environment."""
        index = {name: self.record(*versions[name]) for name in versions}
        entries = ""
        for name, text in index.items():
            blob = self.git_in(text, "hash-object", "-w", "--stdin")
            inner = self.git_in(f"100644 blob {blob}\trelease.json\n", "mktree")
            entries += f"040000 tree {inner}\t{name}\n"
        top = self.git_in(entries, "mktree")
        git(self.root, "update-ref", "refs/heads/deploy", git(self.root, "commit-tree", top, "-m", "deploy"))

    def record(self, version: str, previous: str) -> str:
        about = dict.fromkeys(("identity", "model", "lock"), "1" * 64)
        about |= {"digest": f"sha256:{'1' * 64}", "image": "ghcr.io/acme/x", "commit": "1" * 40}
        return json.dumps(about | {"name": NAME, "version": version, "skipped": [], "previous": previous})

    def git_in(self, text: str, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments], input=text, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def at_hand(self, model: str) -> None:
        """The model's files lie in the work tree."""
        lay(self.root, {f"model/{name}": f"{name} {model}" for name in ("model.onnx", "contract.json")})

    def version(self, asked: str | None = None) -> str:
        """The release that is chosen."""
        return str(way.choose(self.root, asked)[0].version)

    def found(self, base: str = "main") -> str | None:
        """The version that the work tree brings back."""
        release = brought_back(self.root, NAME, resolve(self.root, base))
        return str(release.version) if release else None


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three releases: v1.0.0, v1.1.0 and v1.2.0, of models a, b and c."""
    made = Project(tmp_path)
    for version, model in (("v1.0.0", "a"), ("v1.1.0", "b"), ("v1.2.0", "c")):
        made.release(version, model)
    return made


@pytest.fixture
def run(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(project.root)
    for name in ("GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(rollback, arguments)


def code(result: Result) -> int:
    """As the console script exits."""

    def again() -> None:
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception

    return errors.exit_code(again)


def said(result: Result) -> str:
    return f"{result.output} {result.exception or ''}"


# -- which version ----------------------------------------------------------------------------------------------------


def test_unless_named_it_is_the_release_before_the_newest(project: Project) -> None:
    assert project.version() == "v1.1.0"


def test_what_staging_has_counts_more_than_tags_and_production_where_there_is_no_staging(project: Project) -> None:
    project.deployed(staging=("v1.1.0", "v1.0.0"), production=("v1.2.0", "v1.1.0"))
    assert project.version() == "v1.0.0"
    project.deployed(production=("v1.1.0", ""))
    assert project.version() == "v1.0.0"


def test_a_release_to_which_no_rollback_leads_is_passed_over(project: Project) -> None:
    git(project.root, "checkout", "--quiet", "-b", "feature", "main~1")
    never = project.release("v1.1.5", "x")
    git(project.root, "checkout", "--quiet", "main")
    git(project.root, "merge", "--quiet", "--no-edit", "--strategy=ours", "feature")
    assert project.version() == "v1.1.0"
    with pytest.raises(InputError, match=rf"{NAME}@v1\.1\.5 is on {never[:7]} .*came in by a merge, or history was"):
        project.version("v1.1.5")


def test_what_a_rollback_has_left_is_not_gone_back_to(project: Project) -> None:
    project.deployed(staging=("v1.1.0", "v1.2.0"))
    assert project.version() == "v1.0.0", "v1.2.0 was rolled back"
    project.release("v1.3.0", "d")
    project.deployed(staging=("v1.3.0", "v1.1.0"))
    assert project.version() == "v1.1.0", "what was out before v1.3.0, not v1.2.0, which was rolled back"


@pytest.mark.parametrize("asked", ["v1.0.0", "1.0.0", "customers@v1.0.0"])
def test_a_version_may_be_written_in_three_ways(project: Project, asked: str) -> None:
    assert project.version(asked) == "v1.0.0"


def test_an_unknown_version_is_refused_with_those_that_are_known(project: Project) -> None:
    with pytest.raises(InputError, match=r"v1\.1\.2 was not released\. Released: v1\.0\.0, .*v1\.2\.0\. Did you"):
        project.version("v1.1.2")
    with pytest.raises(InputError, match="`latest` is not a version"):
        project.version("latest")


def test_what_is_out_already_is_refused_unless_the_default_branch_has_moved_on(project: Project) -> None:
    with pytest.raises(InputError, match=r"v1\.2\.0 is what is out already, says the newest tag"):
        project.version("v1.2.0")
    project.commit(tree("broken"))
    assert project.version("v1.2.0") == "v1.2.0"


def test_before_the_first_release_there_is_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.commit(tree("a"))
    with pytest.raises(InputError, match="nothing was released"):
        project.version()
    tagged.tag(project.root, f"{NAME}@v1.0.0")
    with pytest.raises(InputError, match=r"nothing was released before v1\.0\.0"):
        project.version()


def test_a_release_json_that_is_broken_stops_only_who_does_not_name_the_version(project: Project) -> None:
    project.deployed(staging=("v1.1.0", "v1.0.0"))
    blob = project.git_in("{", "hash-object", "-w", "--stdin")
    inner = project.git_in(f"100644 blob {blob}\trelease.json\n", "mktree")
    top = project.git_in(f"040000 tree {inner}\tstaging\n", "mktree")
    git(project.root, "update-ref", "refs/heads/deploy", git(project.root, "commit-tree", top, "-m", "x"))
    assert project.version("v1.0.0") == "v1.0.0"
    assert project.version("v1.2.0") == "v1.2.0", "that it is out already is a guess"
    with pytest.raises(InputError, match=r"staging/release\.json"):
        project.version()


# -- the branch -------------------------------------------------------------------------------------------------------


def test_the_branch_is_one_commit_on_the_tip_with_the_releases_tree_and_todays_workflows(
    project: Project, run: Callable[..., Result]
) -> None:
    (project.root / "src/code.py").write_text("not committed yet")
    before = git(project.root, "status", "--porcelain"), git(project.root, "symbolic-ref", "HEAD")
    result = run("v1.0.0", "--why", "it predicts nonsense since Monday")
    assert code(result) == 0, said(result)
    made, tip = resolve(project.root, "rollback/v1.0.0"), git(project.root, "rev-parse", "main")
    assert git(project.root, "rev-parse", f"{made.sha}^@") == tip
    held = {name: (made.read(name) or b"").decode() for name in tree("")}
    assert held == tree("a", **{".github/workflows/test.yml": "c", "deploy/base.yaml": "c"})
    assert (git(project.root, "status", "--porcelain"), git(project.root, "symbolic-ref", "HEAD")) == before
    assert (project.root / "src/code.py").read_text() == "not committed yet"
    message = git(project.root, "log", "-1", "--format=%B", made.sha)
    assert message.startswith("Roll back to v1.0.0\n")
    for words in ("From v1.2.0", "the newest tag", "customers@v1.0.0", "model a", "it predicts nonsense since Monday"):
        assert words in " ".join(message.split())
    assert "git push origin rollback/v1.0.0" in result.output


def test_a_workflow_that_came_after_the_release_stays_and_other_new_files_go(project: Project) -> None:
    project.commit(tree("d", **{".github/workflows/new.yml": "new", "src/new.py": "new"}))
    made = way.make(project.root, *way.choose(project.root, "v1.1.0"))
    names = git(project.root, "ls-tree", "-r", "--name-only", made.commit).splitlines()
    assert ".github/workflows/new.yml" in names
    assert "src/new.py" not in names


def test_called_again_it_keeps_the_branch_and_refuses_one_that_holds_something_else(
    project: Project, run: Callable[..., Result]
) -> None:
    first, again = (json.loads(run("v1.1.0", "--json").stdout) for _ in range(2))
    assert (first["reused"], again["reused"]) == (False, True)
    assert first["commit"] == again["commit"]
    git(project.root, "update-ref", "refs/heads/rollback/v1.1.0", "main")
    result = run("v1.1.0")
    assert code(result) == 1
    assert "git branch -D rollback/v1.1.0" in said(result)


def test_a_branch_of_an_older_tip_is_not_kept(project: Project, run: Callable[..., Result]) -> None:
    run("v1.0.0")
    project.commit(tree("c", **{"docs/b.md": "more words"}))
    result = run("v1.0.0")
    assert code(result) == 1
    assert "is not one commit on `main`" in said(result)


def test_a_tip_that_is_the_release_already_needs_no_rollback(project: Project) -> None:
    project.commit(tree("a"))
    to, now = way.choose(project.root, "v1.0.0")
    with pytest.raises(InputError, match=r"`main` is what was released as v1\.0\.0 already"):
        way.make(project.root, to, now)


def test_a_folder_of_a_repository_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    to, now = way.choose(project.root, "v1.0.0")
    with pytest.raises(InputError, match="from its top"):
        way.make(project.root / "src", to, now)


def test_files_whose_names_are_not_utf8_come_back_too(project: Project) -> None:
    odd = bytes(project.root) + b"/caf\xe9"
    Path(os.fsdecode(odd)).write_text("x")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "-m", "odd")
    tagged.tag(project.root, f"{NAME}@v1.2.1")
    project.commit(tree("d"))
    made = way.make(project.root, *way.choose(project.root, "v1.2.1"))
    assert (
        git(project.root, "diff", "--name-only", made.commit, f"{NAME}@v1.2.1")
        == ".github/workflows/test.yml\ndeploy/base.yaml"
    )


# -- the model's objects ----------------------------------------------------------------------------------------------


@pytest.fixture
def remote(project: Project) -> Path:
    """A remote of DVC's, in a folder."""
    folder = project.root.parent / f"{project.root.name}-remote"
    (folder / "files/md5").mkdir(parents=True)
    config = f"[core]\n    remote = main\n['remote \"main\"']\n    url = {folder}\n"
    lay(project.root, {".dvc/config": config, ".dvc/.gitignore": "/tmp\n/cache\n"})
    return folder


def keep(where: Path, model: str) -> None:
    """The model's objects lie there."""
    for words in (f"model.onnx {model}", f"contract.json {model}", f"golden {model}"):
        path = where / "files/md5" / md5(words)[:2] / md5(words)[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words)


@pytest.mark.usefixtures("remote")
def test_a_model_that_is_nowhere_is_refused_and_a_rebuild_may_be_asked_for(
    project: Project, run: Callable[..., Result]
) -> None:
    result = run("v1.0.0")
    assert code(result) == 3
    assert "model/contract.json, model/golden.json of v1.0.0 is neither in DVC's cache" in said(result)
    assert "git checkout customers@v1.0.0 && lockstep push" in said(result)
    assert not git(project.root, "branch", "--list", "rollback/*")
    assert code(run("v1.0.0", "--rebuild")) == 0


def test_a_model_in_the_cache_alone_is_noted_and_one_in_the_remote_is_not(
    project: Project, remote: Path, run: Callable[..., Result]
) -> None:
    keep(project.root / ".dvc/cache", "a")
    result = run("v1.0.0")
    assert code(result) == 0
    assert "remote `main` lacks some of v1.0.0" in said(result)
    keep(remote, "a")
    result = run("v1.0.0")
    assert "lacks" not in said(result)


def test_without_a_remote_the_run_may_make_it_again(run: Callable[..., Result]) -> None:
    result = run("v1.0.0")
    assert code(result) == 0
    assert "the pull request's run makes it again" in said(result)


def test_a_remote_that_is_away_stops_it_only_where_the_cache_lacks_the_model(
    project: Project, remote: Path, run: Callable[..., Result]
) -> None:
    remote.rename(remote.with_name("away"))
    result = run("v1.0.0")
    assert code(result) == 4, said(result)
    keep(project.root / ".dvc/cache", "a")
    result = run("v1.0.0")
    assert code(result) == 0, said(result)
    assert "the remotes were not asked" in said(result)


# -- pushed -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    """GitHub, which is origin and has it all."""
    made = GitHub(tmp_path_factory.mktemp("github"))
    git(project.root, "remote", "add", "origin", str(made.bare()))
    git(project.root, "push", "--quiet", "--tags", "origin", "main")
    git(project.root, "remote", "set-head", "origin", "main")
    with made.serving():
        yield made


def test_a_push_needs_an_origin(run: Callable[..., Result]) -> None:
    result = run("v1.0.0", "--push")
    assert code(result) == 1
    assert "git remote add origin" in said(result)


def test_pushed_without_a_token_people_open_the_pull_request(hub: GitHub, run: Callable[..., Result]) -> None:
    result = run("v1.0.0", "--push")
    assert code(result) == 0, said(result)
    assert "gh pr create --head rollback/v1.0.0 --base main" in result.output
    assert hub.head("rollback/v1.0.0") == git(Path.cwd(), "rev-parse", "rollback/v1.0.0")
    assert not hub.pulls


def test_with_a_token_the_pull_request_is_opened_once(
    hub: GitHub, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", hub.token({"pull-requests": "write", "contents": "write"}, "ada"))
    monkeypatch.setenv("GITHUB_REPOSITORY", hub.repository)
    monkeypatch.setenv("GITHUB_API_URL", hub.url)
    first, again = (json.loads(run("v1.0.0", "--push", "--why", "Monday", "--json").stdout) for _ in range(2))
    assert first["pull_request"] == again["pull_request"] == "https://github.example/acme/customers/pull/1"
    (pull,) = hub.pulls.values()
    assert (pull.branch, pull.base, pull.author) == ("rollback/v1.0.0", "main", "ada")
    assert pull.title == "Roll back to v1.0.0"
    assert "Why: Monday" in pull.body
    assert not hub.dispatched, "what a person's token opens starts its run by itself"


def test_in_a_workflow_the_run_that_judges_it_is_started(
    hub: GitHub, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("GITHUB_TOKEN", hub.token()), ("GITHUB_REPOSITORY", hub.repository), ("GITHUB_API_URL", hub.url),
        ("GITHUB_ACTIONS", "true"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    assert code(run("v1.0.0", "--push")) == 0
    assert hub.dispatched == [("pull-request.yml", {"ref": "rollback/v1.0.0", "inputs": {"number": "1"}})]


def test_another_branch_of_that_name_at_origin_is_left_alone(hub: GitHub, run: Callable[..., Result]) -> None:
    git(Path.cwd(), "push", "--quiet", "origin", "main:refs/heads/rollback/v1.0.0")
    result = run("v1.0.0", "--push")
    assert code(result) == 1
    assert "git push origin --delete rollback/v1.0.0" in said(result)
    assert hub.head("rollback/v1.0.0") == hub.head("main")


def test_it_goes_by_what_origin_has_now(hub: GitHub, run: Callable[..., Result], tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("other")
    git(other, "clone", "--quiet", str(hub.bare()), ".")
    (other / "src/code.py").write_text("newer")
    git(other, "commit", "--quiet", "--all", "-m", "newer")
    git(other, "push", "--quiet", "origin", "main")
    assert code(run("v1.0.0")) == 0
    assert git(Path.cwd(), "rev-parse", "rollback/v1.0.0^") == hub.head("main")


def test_it_goes_by_the_branch_deploy_of_now_in_a_clone_of_one_branch(
    project: Project, hub: GitHub, run: Callable[..., Result], tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path_factory.mktemp("single")
    git(clone, "clone", "--quiet", "--single-branch", f"file://{hub.bare()}", ".")
    project.deployed(staging=("v1.2.0", "v1.0.0"))
    git(project.root, "push", "--quiet", "origin", "deploy")
    monkeypatch.chdir(clone)
    assert json.loads(run("--json").stdout)["version"] == "v1.0.0"


def test_an_origin_that_is_away_is_noted_and_only_a_push_needs_it(hub: GitHub, run: Callable[..., Result]) -> None:
    hub.bare().rename(hub.bare().with_name("away"))
    result = run("v1.0.0")
    assert code(result) == 0
    assert "which may be old" in said(result)
    assert code(run("v1.0.0", "--push")) == 4


# -- is it one? -------------------------------------------------------------------------------------------------------


def back_to(project: Project, version: str, model: str, **more: str) -> None:
    """The work tree is the rollback's, some of its files others."""
    made = way.make(project.root, *way.choose(project.root, version))
    git(project.root, "checkout", "--quiet", made.branch)
    lay(project.root, more)
    project.at_hand(model)


def test_the_branch_that_the_command_makes_is_a_rollback(project: Project) -> None:
    back_to(project, "v1.0.0", "a")
    assert project.found() == "v1.0.0"


def test_so_is_a_revert_by_hand_to_the_releases_tree(project: Project) -> None:
    git(project.root, "revert", "--no-edit", "HEAD")
    project.at_hand("b")
    assert project.found("main~1") == "v1.1.0"


@pytest.mark.parametrize(
    "more", [{"docs/a.md": "other words"}, {"README.md": "new"}, {"CHANGELOG.md": "we went back"}], ids=str
)
def test_documentation_may_differ(project: Project, more: dict[str, str]) -> None:
    back_to(project, "v1.0.0", "a", **more)
    assert project.found() == "v1.0.0"


@pytest.mark.parametrize(
    "more",
    [
        {"src/code.py": "mine"}, {"src/new.py": "mine"}, {"params.yaml": "mine"}, {"top.py": "mine"},
        {".github/workflows/test.yml": "mine"}, {".github/workflows/mine.yml": "mine"}, {"deploy/base.yaml": "mine"},
        {".dvc/config": "mine"}, {".dvcignore": "mine"}, {"dvc.yaml": "mine"}, {"versions.toml": "mine"},
        {"dvc.lock": lock("a") + "# mine\n"}, {"model/README.md/x": "mine", ".gitignore": ""},
    ],
    ids=str,
)  # fmt: skip
def test_with_anything_else_it_is_an_ordinary_change(project: Project, more: dict[str, str]) -> None:
    back_to(project, "v1.0.0", "a", **more)
    assert project.found() is None


def test_other_bytes_of_the_model_or_its_contract_are_none(project: Project) -> None:
    back_to(project, "v1.0.0", "a")
    (project.root / "model/contract.json").write_text("mine")
    assert project.found() is None
    (project.root / "model/contract.json").unlink()
    assert project.found() is None


def test_a_service_that_was_released_is_brought_back_though_the_model_is_the_same(project: Project) -> None:
    project.commit(tree("c", **{"src/code.py": "another service"}))
    git(project.root, "revert", "--no-edit", "HEAD")
    project.at_hand("c")
    assert project.found("main~1") == "v1.2.0"


def test_what_the_base_is_already_is_not_brought_back(project: Project) -> None:
    project.commit(tree("c", **{"docs/a.md": "other words", "deploy/base.yaml": "elsewhere"}))
    project.at_hand("c")
    assert project.found("main~1") is None


def test_a_tag_that_no_release_wrote_brings_nothing_back(project: Project) -> None:
    back_to(project, "v1.0.0", "a")
    about = tagged.facts(project.root, f"{NAME}@v1.0.0")
    for wrong in ({"model": "f" * 64}, {"digest": "sha256:1"}, {"identity": ""}):
        git(
            project.root,
            "tag",
            "--force",
            "-a",
            "-m",
            tagged.message(about | wrong),
            f"{NAME}@v1.0.0",
            about_commit(project),
        )
        assert project.found() is None, wrong
    twice = f"{tagged.message(about)}model: {'f' * 64}"
    git(project.root, "tag", "--force", "-a", "-m", twice, f"{NAME}@v1.0.0", about_commit(project))
    assert project.found() is None, "said twice"
    said = git(project.root, "commit-tree", "-p", "main", "-m", tagged.message(about), "main^{tree}")
    git(project.root, "tag", "--force", f"{NAME}@v1.0.0", about_commit(project))
    assert project.found() is None, "a light tag"
    git(project.root, "update-ref", f"refs/tags/{NAME}@v0.9.0", git(project.root, "rev-parse", f"{NAME}@v1.1.0"))
    git(project.root, "tag", "--delete", f"{NAME}@v1.1.0")
    git(project.root, "tag", "--force", f"{NAME}@v1.2.0", said)  # the message of a commit is none of a tag
    assert not earlier.is_genuine(project.root, earlier.released(project.root, NAME)[0]), "a tag under another name"
    assert not earlier.is_genuine(project.root, earlier.released(project.root, NAME)[-1])
    git(project.root, "tag", "--force", "-a", "-m", tagged.message(about), f"{NAME}@v1.0.0", about_commit(project))
    assert project.found() == "v1.0.0"


def about_commit(project: Project) -> str:
    """The commit of v1.0.0."""
    return git(project.root, "rev-parse", "main~2")


def test_a_commit_that_came_in_by_a_merge_was_never_the_default_branch(project: Project) -> None:
    git(project.root, "checkout", "--quiet", "-b", "feature")
    never = project.commit(tree("evil"), "what nobody was shown")
    project.commit(tree("c"), "and back")
    project.commit(tree("c", **{"CHANGELOG.md": "words"}), "words")
    git(project.root, "checkout", "--quiet", "main")
    git(project.root, "merge", "--quiet", "--no-ff", "--no-edit", "feature")
    tagged.tag(project.root, f"{NAME}@v0.9.0", never)
    with pytest.raises(InputError, match=r"v0\.9\.0 is on .* which the default branch itself never was at.*git revert"):
        project.version("v0.9.0")
    to = next(each for each in earlier.released(project.root, NAME) if each.commit == never)
    made = way.make(project.root, to, way.choose(project.root, None)[1])
    git(project.root, "checkout", "--quiet", made.branch)
    project.at_hand("evil")
    assert project.found() is None
    assert earlier.is_ancestor(project.root, never, "main"), "a merge brought it, and took it back"


def test_a_tag_that_no_release_wrote_is_not_gone_back_to(project: Project) -> None:
    git(project.root, "tag", "-a", "-m", "by hand", f"{NAME}@v1.1.5", f"{NAME}@v1.1.0^{{commit}}")
    with pytest.raises(InputError, match=r"v1\.1\.5 is not as a release writes it"):
        project.version("v1.1.5")
    assert project.version() == "v1.1.0"


def test_the_remotes_stay_todays(project: Project) -> None:
    project.commit(tree("d", **{".dvc/config": "today's"}))
    made = way.make(project.root, *way.choose(project.root, "v1.0.0"))
    assert git(project.root, "show", f"{made.commit}:.dvc/config") == "today's"
    git(project.root, "checkout", "--quiet", made.branch)
    project.at_hand("a")
    assert project.found() == "v1.0.0"


def test_of_two_releases_with_one_model_it_is_the_one_whose_code_it_has(project: Project) -> None:
    project.release("v1.2.1", "c", **{"src/code.py": "patched"})
    project.commit(tree("d"))
    for version in ("v1.2.0", "v1.2.1"):
        back_to(project, version, "c")
        assert project.found() == version
        git(project.root, "checkout", "--quiet", "main")


def test_a_tag_on_a_commit_that_was_never_merged_counts_for_nothing(project: Project) -> None:
    git(project.root, "checkout", "--quiet", "-b", "mine")
    project.release("v9.0.0", "mine")
    project.at_hand("mine")
    assert project.found() is None


def test_a_tag_of_another_project_counts_for_nothing(project: Project) -> None:
    git(project.root, "tag", "others@v3.0.0", f"{NAME}@v1.0.0")
    git(project.root, "tag", "-d", f"{NAME}@v1.0.0")
    git(project.root, "checkout", "--quiet", "-b", "back", "others@v3.0.0")
    project.at_hand("a")
    assert project.found() is None


def test_without_a_base_or_without_a_model_nothing_is_brought_back(project: Project) -> None:
    git(project.root, "checkout", "--quiet", "-b", "back", f"{NAME}@v1.0.0")
    assert project.found() is None
    project.at_hand("a")
    assert brought_back(project.root, NAME, None) is None


def test_asking_leaves_the_index_as_it_is(project: Project) -> None:
    back_to(project, "v1.0.0", "a", **{"src/new.py": "mine"})
    before = git(project.root, "status", "--porcelain")
    project.found()
    assert git(project.root, "status", "--porcelain") == before


def test_names_that_are_gone_or_new_at_the_top_are_named() -> None:
    assert earlier.differing({"a": "1"}, {"a": "1", "b": "1"}, {}) == ["b"]
    assert earlier.differing({"a": "1", "b": "1"}, {"a": "1"}, {"b": "1"}) == ["b"]
    assert earlier.differing({"a": "1"}, {"a": "1", "deploy": "1"}, {"deploy": "2"}) == ["deploy"]
    assert earlier.differing({"a": "1"}, {"a": "1", "deploy": "1"}, {}) == []


# -- the report, of real models ---------------------------------------------------------------------------------------

STRICT = {"gates": [{"metric": "roc_auc", "against": "champion", "tolerance": 0.001}]}


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Branches:
    """v1.0.0 of a poor model, main with a good one whose gate would refuse the poor one; the poor one is back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fresh, "stale", lambda root: [])  # there is no dvc.yaml here
    made = Branches(tmp_path)
    lay(tmp_path, {"versions.toml": 'python = "3.11"\n', "reports/metrics.json": "{}"})
    made.build(a_spec(train=WORSE), a_table())
    made.commit("the first")
    tagged.tag(tmp_path, f"{NAME}@v1.0.0")
    made.build(a_spec(), a_table())
    strict = yaml.safe_load((tmp_path / "params.yaml").read_text()) | STRICT
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(strict, sort_keys=False))
    made.commit("a better one")
    return made


def bring_back(made: Branches) -> None:
    """The branch is checked out, and the model's files are in the work tree."""
    back = way.make(made.root, *way.choose(made.root, "v1.0.0"))
    git(made.root, "checkout", "--quiet", back.branch)
    made.build(a_spec(train=WORSE), a_table())


def test_a_worse_model_that_was_released_comes_back_and_passes(releases: Branches) -> None:
    bring_back(releases)
    judged = assess(releases.root, releases.spec, resolve(releases.root, "main"))
    assert judged.comparison.verdict == "worse"
    assert not judged.judgement.passes
    assert judged.verdict.conclusion == "success"
    assert judged.verdict.headline.startswith("customers: rollback to v1.0.0; it asks less than its base")
    assert "They would not let it in as a change" in text_of(judged)


def test_the_same_model_with_one_more_change_is_judged_as_a_change(releases: Branches) -> None:
    bring_back(releases)
    lay(releases.root, {"src/mine.py": "x"})
    judged = assess(releases.root, releases.spec, resolve(releases.root, "main"))
    assert judged.verdict.conclusion == "failure"
    assert "rollback" not in judged.verdict.headline


def test_a_base_that_cannot_be_compared_does_not_keep_it_from_coming_back(releases: Branches) -> None:
    moved = replace_split(releases)
    bring_back(releases)
    judged = assess(releases.root, releases.spec, moved)
    assert (judged.comparison.verdict, judged.verdict.conclusion) == ("not comparable", "success")
    text_of(judged)


def replace_split(made: Branches) -> Revision:
    """main holds another question."""
    made.build(a_spec(split={"by": "key", "holdout": 0.2}), a_table())
    return made.commit("another split")


@pytest.mark.parametrize("what", ["model", "params", "lock"])
def test_a_base_that_is_broken_does_not_either(releases: Branches, what: str) -> None:
    root = releases.root
    if what == "model":
        releases.kept("model/model.onnx").unlink()
    elif what == "params":
        (root / "params.yaml").write_text(f"project: {{name: {NAME}}}\ngates: [\n")
    else:
        (root / "dvc.lock").write_text("stages: [")
    base = releases.commit("broken")
    to = next(each for each in earlier.released(root, NAME))
    git(root, "read-tree", "-u", "--reset", earlier.tree_of(root, to.commit, base.sha))
    releases.build(a_spec(train=WORSE), a_table())
    judged = assess(root, releases.spec, base)
    assert judged.verdict.headline.startswith("customers: rollback to v1.0.0")
    assert judged.verdict.conclusion == "success"
    assert judged.comparison.verdict == "not comparable"
    text_of(judged)
