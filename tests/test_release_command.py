"""What `lockstep release` says, to people, to programs, and to a workflow's later steps."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockstep.commands.release import address, release
from lockstep.errors import Refused
from lockstep.release.models import Untrue
from release_world import IMAGE, World, made, world  # noqa: F401


@pytest.fixture
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """In its folder, with a registry."""
    monkeypatch.chdir(world.root)
    monkeypatch.setenv("LOCKSTEP_REGISTRY", IMAGE)
    return world


def run(*arguments: str) -> str:
    # Under pytest's own capture: what the stages print goes to the descriptor of stderr.
    done = CliRunner().invoke(release, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture(autouse=True)
def _descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """CliRunner's stderr has none, which processes need."""
    from lockstep.lock import processes

    real = processes.run

    def quiet(command: object, folder: Path, environment: object, *, apart: bool = False) -> int:
        return real(command, folder, environment, apart=False)  # type: ignore[arg-type]

    monkeypatch.setattr(processes, "run", quiet)


def test_people_read_a_summary_last(here: World) -> None:
    lines = run().splitlines()
    assert lines[-2].startswith(f"released toy v1.0.0 to staging: {IMAGE}@sha256:")
    assert lines[-1] == "bill of materials: .dvc/tmp/lockstep/sbom.cdx.json"
    skipped = here.change("words", README_md="x\n")
    here.change("another", code_txt="2\n")
    assert run().splitlines()[-3:-1] == ["with 1 commit that had no release of its own:", f"- {skipped[:7]}"]
    assert run().startswith("nothing to do: staging has v1.1.0 of ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--digest", ""], ["--digest", "foo"], ["--digest", "sha256:1"], ["--digest", f"sha256:{'1' * 64}", "--local"],
        ["--local", "--image-only"], ["--local", "--force"], ["--image-only", "--digest", f"sha256:{'1' * 64}"],
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(here: World, arguments: list[str]) -> None:
    assert CliRunner().invoke(release, arguments).exit_code == 2
    assert here.registry.images() == {}


def test_programs_read_json(here: World) -> None:
    said = json.loads(run("--json"))
    assert (said["released"], said["version"], said["image"]) == (True, "v1.0.0", IMAGE)


def test_a_workflow_s_later_steps_get_what_they_need(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "event.json").write_text("{}")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    for name in ("EVENT_PATH", "OUTPUT", "STEP_SUMMARY"):
        monkeypatch.setenv(f"GITHUB_{name}", str(tmp_path / ("event.json" if name == "EVENT_PATH" else name)))
    run("--image-only")
    told = dict(line.split("=", 1) for line in (tmp_path / "OUTPUT").read_text().splitlines())
    assert (told["image"], told["version"], told["released"]) == (IMAGE, "v1.0.0", "true")
    assert told["digest"].startswith("sha256:")
    assert (here.root / told["sbom"]).is_file()
    run()
    (tmp_path / "OUTPUT").unlink()
    run()
    told = dict(line.split("=", 1) for line in (tmp_path / "OUTPUT").read_text().splitlines())
    assert told["released"] == "false"
    assert "nothing to do: staging has v1.0.0" in (tmp_path / "STEP_SUMMARY").read_text()


def test_a_workflow_is_told_that_the_lock_is_untrue_and_the_release_fails(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "event.json").write_text("{}")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    here.write(code_txt="2\n")
    here.commit()
    with pytest.raises(Untrue):
        run()
    assert (tmp_path / "output").read_text() == "untrue=true\nreleased=false\n"
    here.repro()
    here.forge()
    (tmp_path / "output").unlink()
    with pytest.raises(Refused, match="revert that one"):
        run()
    assert not (tmp_path / "output").exists()


def test_the_registry_is_said_or_the_repository_s_own() -> None:
    assert address({"LOCKSTEP_REGISTRY": "a/b", "GITHUB_REPOSITORY": "Acme/Flights"}) == "a/b"
    assert address({"GITHUB_REPOSITORY": "Acme/Flights"}) == "ghcr.io/acme/flights"
    assert address({}) == ""
