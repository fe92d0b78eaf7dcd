"""GitHub's API: pages, patience, refusals, and where the token goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from github_stand_in import Fault
from github_world import World, a_world
from lockstep.errors import InputError, OutsideError
from lockstep.github.api import Api, ApiError, from_environment


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def test_all_pages_are_read_in_order(world: World) -> None:
    pull = world.propose()
    for number in range(7):
        world.hub.comment(pull, str(number))
    world.hub.page_size = 3
    bodies = [each["body"] for each in world.api().pages("issues/1/comments")]
    assert bodies == [str(number) for number in range(7)]


def test_all_pages_of_a_list_inside_a_mapping_are_read(world: World) -> None:
    for _ in range(5):
        world.hub.run("a" * 40, "push", "main")
    world.hub.page_size = 2
    assert len([*world.api().pages("actions/runs", "workflow_runs")]) == 5


def test_a_next_page_elsewhere_is_not_asked_for(world: World) -> None:
    with pytest.raises(OutsideError, match="is not its API"):
        world.api()._own("https://elsewhere.example/page=2")


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503])
def test_reading_is_tried_again_after_a_bad_moment(world: World, status: int) -> None:
    world.hub.faults = [Fault("GET", "/pulls", status, times=2)]
    assert [*world.api().pages("pulls")] == []


def test_reading_gives_up_in_the_end_and_says_that_it_is_safe_to_repeat(world: World) -> None:
    world.hub.faults = [Fault("GET", "/pulls", 0, times=99)]
    with pytest.raises(OutsideError, match="It is safe to try again"):
        world.api().get("pulls")


def test_what_writes_is_sent_once_unless_nothing_was_done(world: World) -> None:
    pull = world.propose()
    world.hub.faults = [Fault("POST", "/comments", 502)]
    with pytest.raises(ApiError, match="502"):
        world.api().post("issues/1/comments", {"body": "x"})
    world.hub.faults = [Fault("POST", "/comments", 503), Fault("POST", "/comments", 403, headers={"Retry-After": "0"})]
    world.api().post("issues/1/comments", {"body": "x"})
    assert len(pull.comments) == 1


def test_a_spent_rate_limit_is_waited_for_but_not_for_long(world: World) -> None:
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}
    world.hub.faults = [Fault("GET", "/pulls", 403, 2, spent)]
    assert [*world.api().pages("pulls")] == []
    world.hub.faults = [Fault("GET", "/pulls", 403, 9, spent)]
    with pytest.raises(ApiError, match="403"):
        world.api().get("pulls")


def test_a_refusal_says_what_github_said(world: World) -> None:
    world.propose()
    with pytest.raises(ApiError, match=r"403 Resource not accessible by integration .* may lack a permission"):
        world.api({"pull-requests": "read"}).post("issues/1/comments", {"body": "x"})
    with pytest.raises(ApiError, match="token is not valid"):
        Api(repository=world.hub.repository, token="wrong", url=world.hub.url).get("pulls")


@pytest.mark.parametrize("content", [b"<html>please log in</html>", b"", b"3"])
def test_an_answer_that_is_not_github_s_is_said_to_be_none(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    answer = requests.Response()
    answer.status_code, answer._content, answer.url = 200, content, "https://portal.example/x"
    monkeypatch.setattr(requests, "request", lambda *_, **__: answer)
    api = Api(repository="me/x", token="t")
    with pytest.raises(OutsideError, match="portal.example answered 200, but not as GitHub's API does: GITHUB_API_URL"):
        list(api.pages("pulls", "items"))


def test_what_is_not_there_is_none(world: World) -> None:
    assert world.api().find("pulls/77") is None


def test_a_download_has_a_limit_and_the_token_stays_with_the_api(world: World) -> None:
    world.hub.artifact(1, b"x" * 1000)
    number = world.hub.artifacts[0]["id"]
    assert len(world.api().download(f"actions/artifacts/{number}/zip", 1000)) == 1000
    with pytest.raises(InputError, match="more than 999 bytes"):
        world.api().download(f"actions/artifacts/{number}/zip", 999)


def test_the_environment_must_hold_a_token_and_a_repository() -> None:
    with pytest.raises(InputError, match="GITHUB_TOKEN is not set"):
        from_environment({})
    with pytest.raises(InputError, match="not `OWNER/NAME`"):
        from_environment({"GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "x"})
    assert "secret" not in repr(from_environment({"GITHUB_TOKEN": "secret", "GITHUB_REPOSITORY": "a/b"}))
