"""`lockstep remote` and `lockstep push`: what .dvc/config says, what never gets into it, who may do what there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import ROOT, Project, lay
from lockstep.cli import cli
from lockstep.errors import InputError
from lockstep.remotes import config, configure, policies, transfer

BEFORE = "[core]\n    analytics = false\n    autostage = false\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "clone"
    lay(folder, {".dvc/config": BEFORE, ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n"})
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=True)


def test_a_url_becomes_two_verified_remotes_that_dvc_opens(root: Path) -> None:
    from dvc.config import Config

    main, pr = configure.configure(root, "s3://team/flights/", {"region": "eu-central-1"})
    assert (main.url, pr.url) == ("s3://team/flights", "s3://team/flights/pr")
    settings = Config(str(root / ".dvc"))
    assert settings["core"]["remote"] == "main"
    assert settings["core"]["autostage"] is False, "what was there stays"
    for name in ("main", "pr"):
        assert settings["remote"][name]["verify"] is True
        assert settings["remote"][name]["region"] == "eu-central-1"


def test_a_folder_is_written_relative_to_the_configuration(root: Path) -> None:
    configure.configure(root, "../store", {})
    assert "url = ../../store\n" in (root / ".dvc/config").read_text()
    assert config.read(root).remotes["pr"].path == root.parent / "store/pr"
    configure.configure(root, "/srv/store", {})
    assert "url = /srv/store\n" in (root / ".dvc/config").read_text()


def test_the_second_time_other_options_stay_and_pr_gets_main_s(root: Path) -> None:
    configure.configure(root, "s3://team/a", {"endpointurl": "https://minio.example.org"})
    configure.configure(root, "s3://team/b", {"region": "x"})
    text = (root / ".dvc/config").read_text()
    configure.configure(root, "s3://team/b", {"region": "x"})
    assert (root / ".dvc/config").read_text() == text
    for name, each in config.read(root).remotes.items():
        assert each.options["endpointurl"] == "https://minio.example.org", name
        assert each.url.startswith("s3://team/b")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://me:hunter2@host/data", "the URL holds a password"),
        ("ssh://me:hunter2@host/data", "the URL holds a password"),
        ("s3://AKIAIOSFODNN7EXAMPLE@bucket/x", "the URL holds a user's name or key"),
        ("azure://box/x?sig=hunter2", "the URL holds a query or fragment"),
        ("s3:///x", "names no bucket or host"),
        ("s3:/team", "is no URL: write s3://team"),
        ("s3://", "is no URL: write s3://bucket/folder"),
        ("gs://bucket/x", "Add a line `dvc-gs` to requirements/pipeline.in, then `make lock`"),
        ("team/flights", "is a folder's path, and lies in the work tree.* or write s3://team/flights"),
        ("", "the URL is empty"),
        ("s4://bucket/x", "DVC does not take this: .*s4"),
        ("  ", "the URL is empty"),
        ("data/store", "lies in the work tree"),
        (".", "lies in the work tree"),
    ],
)
def test_a_url_that_must_not_be_is_refused_and_nothing_is_written(root: Path, url: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        configure.configure(root, url, {})
    assert "hunter2" not in str(error.value)
    assert (root / ".dvc/config").read_text() == BEFORE


def test_an_unset_variable_does_not_pass_for_a_question(root: Path) -> None:
    result = run("remote", "")
    assert (result.exit_code, "the URL is empty" in str(result.exception)) == (1, True)


def test_a_scheme_in_capitals_is_the_same_scheme(root: Path) -> None:
    main, _ = configure.configure(root, "S3://Team/x", {})
    assert main.url == "s3://Team/x"


def test_a_secret_that_stands_in_git_is_not_copied_on(root: Path) -> None:
    text = "['remote \"main\"']\n    url = s3://a\n    secret_access_key = hunter2\n    access_key_id = me\n"
    (root / ".dvc/config").write_text(text)
    with pytest.raises(InputError, match=r"holds main.secret_access_key, main.access_key_id: .*config.local") as error:
        configure.configure(root, "s3://new/b", {})
    assert (root / ".dvc/config").read_text() == text
    assert "hunter2" not in str(error.value)
    subprocess.run(str(error.value).split("`")[1], shell=True, check=True, capture_output=True)
    configure.configure(root, "s3://new/b", {})
    assert "hunter2" not in (root / ".dvc/config").read_text()


def test_a_secret_in_the_old_url_goes_with_it(root: Path) -> None:
    (root / ".dvc/config").write_text("['remote \"main\"']\n    url = https://me:hunter2@host/x\n")
    configure.configure(root, "s3://new/b", {})
    assert "hunter2" not in (root / ".dvc/config").read_text()


def test_options_of_another_kind_of_remote_are_dropped_and_named(root: Path) -> None:
    run("remote", "s3://team/x", "--set", "region=eu-central-1", "--set", "jobs=2")
    result = run("remote", "../store")
    assert (result.exit_code, "no such options: region\n" in result.output) == (0, True)
    assert [each.options.get("region") for each in config.read(root).remotes.values()] == [None, None]
    assert [each.options["jobs"] for each in config.read(root).remotes.values()] == ["2", "2"]


def test_a_user_s_name_is_no_secret_over_ssh(root: Path) -> None:
    for url, found in [("ssh://git@host/data", []), ("ssh://git:word@host/data", ["main.url"])]:
        (root / ".dvc/config").write_text(f"['remote \"main\"']\n    url = {url}\n")
        assert configure.secrets(root) == found


@pytest.mark.parametrize(
    "option",
    ["secret_access_key", "access_key_id", "session_token", "password", "passphrase", "account_key", "sas_token",
     "connection_string", "client_secret", "custom_auth_header", "sse_customer_key", "token", "oss_key_secret",
     "ssl_verify_token"],
)  # fmt: skip
def test_an_option_that_is_a_secret_is_refused(root: Path, option: str) -> None:
    with pytest.raises(InputError, match=rf"`dvc remote modify --local main {option} VALUE`"):
        configure.configure(root, "s3://team/x", {option: "hunter2"})
    assert (root / ".dvc/config").read_text() == BEFORE


def test_every_option_of_dvc_s_that_sounds_like_a_secret_is_known_as_one() -> None:
    text = (Path(__import__("dvc").__file__).parent / "config_schema.py").read_text()
    options = set(re.findall(r'^\s+"([a-z_]+)":', text, re.MULTILINE))
    sounds = {name for name in options if re.search(r"secret|passw|token|_key$|key_id|credential", name)}
    harmless = {"ask_password", "exclude_token_cache"} | {name for name in sounds if name.startswith("exclude_")}
    paths = {"credentialpath", "cert_path", "key_path", "keyfile"}
    known = {name for name in sounds if configure.is_secret(name)}
    assert sounds - harmless - paths - known <= {"allow_anonymous_login", "sse_kms_key_id", "storage_key"}


def test_an_option_that_dvc_does_not_know_is_refused_and_nothing_is_written(root: Path) -> None:
    with pytest.raises(InputError, match="DVC does not take this: .*nonsense.*Nothing was changed"):
        configure.configure(root, "s3://team/x", {"nonsense": "1"})
    assert (root / ".dvc/config").read_text() == BEFORE


def test_without_dvc_the_error_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`dvc init` makes it"):
        configure.configure(tmp_path, "s3://team/x", {})


def test_secrets_that_stand_in_git_are_found(root: Path) -> None:
    assert configure.secrets(root) == []
    with (root / ".dvc/config").open("a") as file:
        file.write("['remote \"old\"']\n    url = https://me:hunter2@host/x\n    password = hunter2\n    user = me\n")
    assert configure.secrets(root) == ["old.url", "old.password"]
    (root / ".dvc/config").write_text(BEFORE)
    (root / ".dvc/config.local").write_text("['remote \"old\"']\n    url = s3://x\n    password = hunter2\n")
    assert configure.secrets(root) == [], "there they belong"


@pytest.mark.parametrize("broken", ["[core", "['remote \"x\"']\n  url", "\xff"])
def test_a_configuration_that_cannot_be_read_is_an_error_that_names_the_file(root: Path, broken: str) -> None:
    (root / ".dvc/config").write_bytes(broken.encode("latin-1"))
    with pytest.raises(InputError, match=r"\.dvc/config cannot be read"):
        config.read(root)


def test_remotes_that_refer_to_one_another_in_a_circle_do_not_hang(root: Path) -> None:
    (root / ".dvc/config").write_text(
        "['remote \"a\"']\n  url = remote://b/x\n['remote \"b\"']\n  url = remote://a/y\n"
    )
    config.read(root)


def test_the_command_says_what_it_wrote_and_what_comes_next(root: Path) -> None:
    result = run("remote", "s3://team/flights", "--set", "region=eu-central-1")
    assert result.exit_code == 0, result.output
    for text in (
        "main  s3://team/flights  (default)", "pr    s3://team/flights/pr", "git add .dvc/config", "lockstep push",
        "LOCKSTEP_AWS_ROLE_PR", "LOCKSTEP_AWS_ROLE_MAIN", "LOCKSTEP_AWS_REGION", "lockstep doctor",
    ):  # fmt: skip
        assert text in result.output
    assert run("remote").output == "main  s3://team/flights  (default)\npr    s3://team/flights/pr\n"
    assert json.loads(run("remote", "--json").output)["remotes"]["pr"] == {
        "url": "s3://team/flights/pr", "verify": True,
    }  # fmt: skip


def test_a_remote_outside_aws_gets_no_advice_about_roles(root: Path) -> None:
    assert "LOCKSTEP_AWS" not in run("remote", "../store").output


def test_without_any_the_command_says_so(root: Path) -> None:
    assert "no remote is configured: `lockstep remote URL`" in run("remote").output


@pytest.mark.parametrize("arguments", [("--set", "a=b"), ("s3://x", "--set", "ab"), ("s3://x", "--set", "=b")])
def test_options_that_make_no_sense_are_a_matter_of_usage(root: Path, arguments: tuple[str, ...]) -> None:
    assert run("remote", *arguments).exit_code == 2


def test_a_url_s_secrets_are_not_shown(root: Path) -> None:
    (root / ".dvc/config").write_text(
        "[core]\n remote = a\n['remote \"a\"']\n  url = https://me:hunter2@host/x?key=hunter2\n"
    )
    for arguments in (("remote",), ("remote", "--json")):
        assert "hunter2" not in run(*arguments).output
    assert "not verified: `dvc remote modify a verify true`" in run("remote").output


def statements(policy: policies.Policy) -> dict[str, dict[str, object]]:
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_pull_requests_may_add_below_pr_once_and_remove_nothing() -> None:
    both = policies.policies("s3://team/flights", "me/flights")
    pr, main = (statements(both[name]["permissions"]) for name in ("pr", "main"))
    assert pr["Add"]["Resource"] == pr["Once"]["Resource"] == "arn:aws:s3:::team/flights/pr/files/md5/*"
    assert main["Add"]["Resource"] == "arn:aws:s3:::team/flights/files/md5/*"
    for role in (pr, main):
        allowed = {action for each in role.values() if each["Effect"] == "Allow" for action in [each["Action"]]}
        assert allowed == {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
        assert role["Once"]["Effect"] == "Deny"
        assert role["Once"]["Condition"]["Null"] == {"s3:if-none-match": "true"}


def test_only_the_default_branch_takes_the_role_that_writes_main() -> None:
    both = policies.policies("s3://team", "me/flights", "trunk", "123456789012")

    def subjects(name: str) -> list[str]:
        (statement,) = both[name]["trust"]["Statement"]
        assert statement["Condition"]["StringEquals"] == {f"{policies.ISSUER}:aud": "sts.amazonaws.com"}
        found: list[str] = statement["Condition"]["StringLike"][f"{policies.ISSUER}:sub"]
        return found

    assert subjects("main") == ["repo:me/flights:ref:refs/heads/trunk"]
    assert subjects("pr") == ["repo:me/flights:pull_request", "repo:me/flights:ref:refs/heads/*"]


def test_the_policies_are_printed_filled_in(root: Path) -> None:
    subprocess.run(["git", "remote", "add", "origin", "git@github.com:me/flights.git"], check=True)
    run("remote", "s3://team/flights")
    printed = json.loads(run("remote", "--policies").output)
    assert printed["pr"] == policies.policies("s3://team/flights", "me/flights")["pr"]
    run("remote", "../store")
    assert "is not in S3" in str(run("remote", "--policies").exception)


def test_the_page_shows_the_policies_that_the_command_prints() -> None:
    text = (ROOT / "docs/remote.md").read_text(encoding="utf-8")
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    shown = policies.policies("s3://BUCKET/FOLDER", "OWNER/REPOSITORY")
    assert blocks == [shown["pr"]["permissions"], shown["pr"]["trust"]]
    for name in ("LOCKSTEP_AWS_REGION", "LOCKSTEP_AWS_ROLE_PR", "LOCKSTEP_AWS_ROLE_MAIN"):
        assert name in text


@pytest.fixture
def made(toy: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The toy project, run, with a remote in a folder that is still empty."""
    toy.repro()
    monkeypatch.chdir(toy.root)
    configure.configure(toy.root, os.fspath(tmp_path_factory.mktemp("store")), {})
    return toy


def test_push_sends_what_the_lock_needs_and_the_second_time_nothing(made: Project) -> None:
    result = run("push")
    assert (result.exit_code, result.output) == (0, "sent 2; 0 were there already\n")
    assert run("push").output == "sent 0; 2 were there already\n"
    sent = json.loads(run("push", "--remote", "pr", "--json").output)
    assert len(sent["sent"]) == 2
    assert transfer.missing(made.root, sent["sent"], "pr") == []


def test_push_before_anything_ran_says_what_to_do(made: Project) -> None:
    (made.root / "dvc.lock").unlink()
    assert "names no object to send: `make repro`" in str(run("push").exception)
