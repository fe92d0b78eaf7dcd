"""compose.yaml on one machine, and the script that ships the prediction log there and in a cluster."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

import deployed
from conftest import require, wait_for
from lockstep.release import image
from lockstep.serving import log, server
from lockstep.serving.settings import Settings, settings

COMPOSE = deployed.DEPLOY / "compose.yaml"
SHIP = deployed.DEPLOY / "base" / "ship.sh"


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")))


SERVICES: dict[str, dict[str, Any]] = compose()["services"]

each_service = pytest.mark.parametrize("name", SERVICES)


def test_the_file_is_what_the_compose_specification_allows() -> None:
    made = subprocess.run(
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)], text=True, capture_output=True
    )
    assert made.returncode == 0, made.stdout + made.stderr


@each_service
def test_every_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "devices", "pid", "ipc"} & set(service)
    if name == "folders":
        assert (service["cap_add"], service["network_mode"], service["restart"]) == (["CHOWN"], "none", "no")
    else:
        assert "cap_add" not in service
        assert service["mem_limit"]


@each_service
def test_nothing_listens_but_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@each_service
def test_every_image_is_pinned_by_digest_or_asked_for_in_words(name: str) -> None:
    named = SERVICES[name]["image"]
    if name == "service":
        assert re.fullmatch(r"\$\{LOCKSTEP_IMAGE:\?set LOCKSTEP_IMAGE to .+\}", named)
    else:
        assert re.fullmatch(r"docker\.io/[a-z/]+:v?[\d.]+@sha256:[0-9a-f]{64}", named)


def test_the_sidecar_s_image_is_the_cluster_s() -> None:
    assert SERVICES["log"]["image"] == SERVICES["folders"]["image"] == deployed.containers("staging")["log"]["image"]


@each_service
def test_what_is_mounted_is_there_and_volumes_are_declared(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source, *_ = mount.split(":")
        if source.startswith("./"):
            assert (deployed.DEPLOY / source).exists(), source
            assert mount.endswith(":ro")
        else:
            assert source in compose()["volumes"]


def test_the_service_is_asked_and_ended_as_it_expects() -> None:
    service = SERVICES["service"]
    given = {key: str(value) for key, value in service["environment"].items()}
    assert settings(given).log == Path("/log")
    assert service["ports"] == [f"127.0.0.1:3000:{Settings().port}"]
    assert f"http://127.0.0.1:{Settings().port}/readyz" in service["healthcheck"]["test"][-1]
    closing = log.PredictionLog.close.__defaults__
    assert closing
    assert deployed.seconds(service["stop_grace_period"]) > server.LAST_REQUESTS + closing[0]


def test_the_health_check_is_python_that_runs_and_fails_where_nobody_answers() -> None:
    _, python, *arguments = SERVICES["service"]["healthcheck"]["test"]
    assert Path(image.PYTHON).name == python
    assert str(Path(image.PYTHON).parent) in image.ENVIRONMENT["PATH"].split(":")
    made = subprocess.run([python, *(each.replace("3000", "1") for each in arguments)], text=True, capture_output=True)
    assert made.returncode == 1
    assert "URLError" in made.stderr


def test_everybody_who_writes_a_volume_is_the_user_to_whom_it_was_given() -> None:
    assert SERVICES["folders"]["entrypoint"] == ["/bin/chown", image.USER, "/log", "/predictions"]
    assert SERVICES["service"]["user"] == SERVICES["log"]["user"] == image.USER
    for name in ("service", "log"):
        assert SERVICES[name]["depends_on"] == {"folders": {"condition": "service_completed_successfully"}}


def test_grafana_calls_nobody() -> None:
    told = SERVICES["grafana"]["environment"]
    for name in ("REPORTING_ENABLED", "CHECK_FOR_UPDATES", "CHECK_FOR_PLUGIN_UPDATES"):
        assert told[f"GF_ANALYTICS_{name}"] == "false"


# The script. What it ships with is the real rclone, as in its image; what runs it is the machine's plain shell.


@contextmanager
def shipping(folder: Path, **told: str) -> Iterator[subprocess.Popen[str]]:
    environment = {"PATH": os.environ["PATH"], "LOCKSTEP_LOG": str(folder), "EVERY": "1", "KEEP_MB": "2"} | told
    started = subprocess.Popen(
        ["/bin/sh", str(SHIP)], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):  # the `sleep` of a script that has ended is still of its group
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    return folder


def put(folder: Path, number: int, size: int = 10, suffix: str = ".jsonl") -> Path:
    path = folder / f"predictions-20240101T0000{number:02}.000000Z-1{suffix}"
    path.write_text("x" * size)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_finished_files_are_moved_and_the_one_being_written_stays(folder: Path, tmp_path: Path) -> None:
    require(shutil.which("rclone"), "rclone")
    first, part = put(folder, 1), put(folder, 2, suffix=".jsonl.part")
    there = tmp_path / "there"
    with shipping(folder, DESTINATION=str(there)):
        wait_for(lambda: names(there) == [first.name])
        later = put(folder, 3)
        wait_for(lambda: names(there) == [first.name, later.name])
        wait_for(lambda: names(folder) == [part.name])


def test_the_last_file_is_shipped_when_the_pod_ends(folder: Path, tmp_path: Path) -> None:
    require(shutil.which("rclone"), "rclone")
    there = tmp_path / "there"
    first = put(folder, 1)
    with shipping(folder, DESTINATION=str(there), EVERY="600") as script:
        wait_for(lambda: names(there) == [first.name])
        last = put(folder, 2)
        script.terminate()
        assert script.wait(20) == 0
    assert names(there) == [first.name, last.name]
    assert names(folder) == []


def test_a_file_that_is_there_already_with_other_content_is_never_overwritten(folder: Path, tmp_path: Path) -> None:
    require(shutil.which("rclone"), "rclone")
    there = tmp_path / "there"
    there.mkdir()
    put(there, 1).write_text("older and not the same")
    mine = put(folder, 1)
    with shipping(folder, DESTINATION=str(there)) as script:
        assert script.stderr
        wait_for(lambda: "not shipped" in script.stderr.readline())  # type: ignore[union-attr]
        assert (there / mine.name).read_text() == "older and not the same"
        assert names(folder) == [mine.name]


def test_a_destination_that_is_down_loses_nothing_that_there_is_room_for(folder: Path, tmp_path: Path) -> None:
    require(shutil.which("rclone"), "rclone")
    down = {"RCLONE_CONFIG_BUCKET_TYPE": "webdav", "RCLONE_CONFIG_BUCKET_URL": "http://127.0.0.1:1"}
    mine = put(folder, 1)
    with shipping(folder, DESTINATION="bucket:predictions", **down) as script:
        assert script.stderr
        wait_for(lambda: "trying again in 1 s" in script.stderr.readline())  # type: ignore[union-attr]
        assert names(folder) == [mine.name]


def test_without_a_destination_the_oldest_files_make_room_for_new_ones(folder: Path) -> None:
    files = [put(folder, number, size=700_000) for number in range(5)]
    part = put(folder, 9, size=100, suffix=".jsonl.part")
    with shipping(folder, DESTINATION="") as script:
        assert script.stderr
        words = "".join(script.stderr.readline() for _ in range(3))
        assert names(folder) == [*(path.name for path in files[-2:]), part.name]
    assert [f"deleted {path.name}" in words for path in files] == [True, True, True, False, False]


def test_a_folder_with_room_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    kept = [put(folder, number, size=100_000) for number in range(3)]
    looked = tmp_path / "du"
    looked.write_text(f'#!/bin/sh\ntouch {tmp_path / "seen"}\nexec /usr/bin/du "$@"\n')
    looked.chmod(0o755)
    with shipping(folder, DESTINATION="", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}") as script:
        wait_for((tmp_path / "seen").exists)
        script.terminate()
        assert script.wait(20) == 0
    assert names(folder) == [path.name for path in kept]


def test_the_script_works_in_the_shell_of_small_images(folder: Path) -> None:
    require(shutil.which("busybox"), "busybox")
    made = subprocess.run(["busybox", "sh", "-n", str(SHIP)], text=True, capture_output=True)
    assert made.returncode == 0, made.stderr
