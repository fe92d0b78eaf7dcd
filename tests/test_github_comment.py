"""One comment on a pull request, through CML where CML would find it, and nobody else's ever."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import cml_stand_in
from github_stand_in import BOT, Fault, Pull
from github_world import World, a_world
from lockstep.errors import OutsideError, Refused
from lockstep.github import cml, comment

BODY = comment.compose(report="## hello\n\n- [ ] a task\n\n> [!WARNING]\n> as it is", foot="a foot")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


@pytest.fixture
def pull(world: World) -> Pull:
    return world.propose()


def put(world: World, body: str = BODY) -> None:
    desk = world.desk()
    comment.put(desk.api, 1, body, environ=desk.environ)


def by_cml(pull: Pull) -> list[bool]:
    return [cml.is_marked(each["body"]) for each in pull.comments]


def test_the_first_comment_is_cmls_and_byte_for_byte_ours(world: World, pull: Pull) -> None:
    put(world)
    assert by_cml(pull) == [True]
    assert str(pull.comments[0]["body"]).startswith(BODY)


def test_the_second_time_cml_updates_it(world: World, pull: Pull) -> None:
    put(world)
    put(world, BODY.replace("hello", "again"))
    assert by_cml(pull) == [True]
    assert "again" in pull.comments[0]["body"]
    assert [method for method, path in world.hub.asked if "comments/" in path] == ["PATCH"]


def test_ours_is_found_beyond_the_first_thirty_where_cml_does_not_look(world: World, pull: Pull) -> None:
    for number in range(140):
        world.hub.comment(pull, f"chat {number}", "ada")
    put(world)
    put(world, BODY.replace("hello", "again"))
    assert len(pull.comments) == 141
    assert "again" in pull.comments[-1]["body"]


def test_a_comment_of_somebody_else_with_our_marks_is_not_touched(world: World, pull: Pull) -> None:
    forged = f'{BODY}\n\n![](https://cml.dev/watermark.png#{"a" * 40} "CML watermark {cml.WATERMARK}")'
    world.hub.comment(pull, forged, "mallory")
    put(world)
    put(world)
    assert [each["user"]["login"] for each in pull.comments] == ["mallory", BOT]
    assert pull.comments[0]["body"] == forged


def test_another_comment_of_the_same_bot_is_not_touched(world: World, pull: Pull) -> None:
    world.hub.comment(pull, "another workflow's")
    put(world)
    assert pull.comments[0]["body"] == "another workflow's"
    assert len(pull.comments) == 2


def test_without_cml_the_comment_is_written_through_the_api(tmp_path: Path) -> None:
    with a_world(tmp_path, with_cml=False) as world:
        pull = world.propose()
        put(world)
        put(world, BODY.replace("hello", "again"))
        assert by_cml(pull) == [False]
        assert "again" in pull.comments[0]["body"]


def test_when_cml_fails_the_api_is_used_and_it_is_said(
    world: World, pull: Pull, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.cml
    world.cml.write_text("#!/bin/sh\necho 'a bad day' >&2\nexit 1\n")
    put(world)
    assert by_cml(pull) == [False]
    assert "exit code 1: a bad day. The comment is written through the API instead" in capsys.readouterr().err


def test_cml_fails_on_a_token_that_may_only_read_and_so_does_the_api(world: World, pull: Pull) -> None:
    desk = world.desk(api=world.api({"pull-requests": "read"}))
    with pytest.raises(OutsideError, match="403"):
        comment.put(desk.api, 1, BODY, environ=desk.environ)


def test_the_recorded_sha_256_is_insisted_on(world: World, pull: Pull) -> None:
    assert world.cml
    world.environ["LOCKSTEP_CML_SHA256"] = hashlib.sha256(world.cml.read_bytes()).hexdigest().upper()
    put(world)
    assert by_cml(pull) == [True]
    world.cml.write_bytes(world.cml.read_bytes() + b"# changed\n")
    with pytest.raises(Refused, match="it was not run"):
        put(world, BODY.replace("hello", "again"))
    assert "again" in pull.comments[0]["body"]
    assert by_cml(pull) == [False]


def test_cml_gets_a_home_of_its_own_and_the_token_only_in_its_environment(
    world: World, pull: Pull, tmp_path: Path
) -> None:
    assert world.cml
    world.cml.write_text(f'#!/bin/sh\nenv > {tmp_path}/env\necho "$@" > {tmp_path}/arguments\ntouch "$HOME/x"\n')
    home = tmp_path / "home"
    home.mkdir()
    world.environ |= {"HOME": str(home), "LOCKSTEP_APP_TOKEN": "another secret", "AWS_SECRET_ACCESS_KEY": "a third"}
    put(world)
    assert not [*home.iterdir()]
    given = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert given["REPO_TOKEN"].startswith("token-")
    assert not {"LOCKSTEP_APP_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"} & set(given)
    said = (tmp_path / "arguments").read_text()
    assert "--publish=false" in said
    assert "--target=pr/1" in said
    assert given["REPO_TOKEN"] not in said


@pytest.mark.parametrize("text", ["@a ", "<<<<", "&#64;", "x\n", "`"])
def test_a_report_that_grows_when_it_is_tamed_is_cut_to_what_a_comment_holds(text: str) -> None:
    made = comment.compose(notices=["x" * 4000], report="## ok\n" + text * (60_000 // len(text)), foot="a foot")
    assert len(made) < comment.MOST - 1000
    assert made.endswith("<sub>a foot</sub>\n")


def test_the_longest_report_that_is_allowed_fits_whole() -> None:
    report = "x" * 60_000
    assert report in comment.compose(notices=["x" * 3000], report=report)


def test_what_a_label_says_is_exchanged_and_the_rest_stays(world: World, pull: Pull) -> None:
    put(world)
    desk = world.desk()
    assert comment.change_override(desk.api, 1, "one", environ=desk.environ)
    assert comment.change_override(desk.api, 1, "two", environ=desk.environ)
    body = pull.comments[0]["body"]
    assert "two" in body
    assert "one" not in body
    assert body.count("## hello") == 1
    assert by_cml(pull) == [True]


def test_the_stand_in_refuses_what_the_real_one_does_badly(world: World, pull: Pull) -> None:
    with pytest.raises(OutsideError, match="exit code 1: .*unknown command"):
        cml._run([str(world.cml), "comment", "create", "x"], {"PATH": "/usr/bin:/bin"})
    assert cml_stand_in.LOOKS_AT == cml.LOOKS_AT
    assert world.cml
    assert world.cml.stat().st_mode & stat.S_IXUSR


def test_a_bad_moment_of_github_while_reading_does_not_make_a_second_comment(world: World, pull: Pull) -> None:
    put(world)
    world.hub.faults = [Fault("GET", "/comments", 502)]
    put(world)
    assert len(pull.comments) == 1
