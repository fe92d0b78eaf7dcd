"""The chain's parts that need no container: command lines, recipe, bento, addresses, questions, the bill."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, wait_for
from lockstep.errors import InputError, OutsideError
from lockstep.release import bento, chain, engines, image, outside, registry, sbom
from lockstep.release.wanted import Wanted
from lockstep.serving import warm

DIGEST = f"sha256:{'a' * 64}"


def wanted(**more: object) -> Wanted:
    made = Wanted(
        name="flight-delays", version="v1.2.0", identity="1" * 64, model="2" * 64, commit="3" * 40, lock="4" * 64,
        data={"data/raw": "5" * 32}, registry="ghcr.io/acme/flights", build_image="b:1", run_image="r@" + DIGEST,
        log=0.5,
    )  # fmt: skip
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def test_docker_is_told_in_its_own_words() -> None:
    docker = engines.ENGINES["docker"]
    assert docker.build("localhost/a:b") == [
        "docker", "build", "--file", "Containerfile", "--tag", "localhost/a:b", "--build-arg", "SOURCE_DATE_EPOCH=0",
        ".",
    ]  # fmt: skip
    assert docker.containerize() == ["--backend", "docker"]
    assert docker.run("localhost/a:b", "name", {"A": "1"}, memory="512m", pids=100) == [
        "docker", "run", "--rm", "--name", "name", "--pull", "never", "--network", "none", "--read-only",
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "512m", "--pids-limit", "100",
        "--tmpfs", "/tmp:rw,size=64m,mode=1777", "--tmpfs", "/log:rw,size=64m,mode=1777", "--env", "A=1",
        "localhost/a:b",
    ]  # fmt: skip
    assert docker.execute("name", "python") == ["docker", "exec", "--interactive", "name", "python"]
    assert docker.remove("name") == ["docker", "rm", "--force", "name"]
    assert docker.prune("a=b") == ["docker", "image", "prune", "--force", "--filter", "label=a=b"]
    assert docker.inspect("i", ".Size") == ["docker", "image", "inspect", "--format", "{{json .Size}}", "i"]


def test_buildah_gives_its_images_no_time() -> None:
    assert engines.ENGINES["buildah"].containerize() == ["--backend", "buildah", "--opt", "timestamp=0"]
    assert "--timestamp=0" in engines.ENGINES["podman"].build("x")


def test_podman_keeps_also_its_own_places_read_only() -> None:
    command = engines.ENGINES["buildah"].run("i", "n", {}, memory="1m", pids=1)
    assert "--read-only-tmpfs=false" in command
    assert "--timeout=300" in command


def test_an_engine_that_nobody_knows_is_named() -> None:
    with pytest.raises(InputError, match=r"LOCKSTEP_ENGINE=dokcer: this must be one of buildah, podman, docker"):
        engines.chosen({"LOCKSTEP_ENGINE": "dokcer"})


def test_without_an_engine_people_learn_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"docker is not installed\). Install buildah with podman"):
        engines.chosen({})


def test_the_recipe_quotes_what_could_be_read_otherwise() -> None:
    text = image.recipe("localhost/p:1", wanted(name='a"b$PATH\\c'))
    assert r'org.opencontainers.image.title="a\"b\$PATH\\c"' in text
    with pytest.raises(InputError, match="cannot be a label"):
        image.recipe("localhost/p:1", wanted(name="a\nRUN evil"))
    with pytest.raises(InputError, match="cannot be a part of an image's recipe"):
        image.recipe("localhost/p:1", wanted(run_image="r AS x"))


def test_the_image_says_what_it_is_and_runs_as_a_number() -> None:
    text = image.recipe("localhost/p:1", wanted())
    for said in (
        'LOCKSTEP_VERSION="v1.2.0"', 'LOCKSTEP_LOG_SAMPLE="0.5"', f'lockstep.identity="{"1" * 64}"',
        f'lockstep.data.data.raw="{"5" * 32}"', "USER 10001:10001", 'ENTRYPOINT ["/app/.venv/bin/python"',
        f"FROM r@{DIGEST}\n", 'BENTOML_DO_NOT_TRACK="true"', 'ORT_DISABLE_TELEMETRY="1"',
    ):  # fmt: skip
        assert said in text
    assert text.split(f"FROM r@{DIGEST}")[1].count("RUN") == 0  # nothing runs in what is served


def test_the_bento_names_locked_packages_and_single_files() -> None:
    files = bento.included(ROOT)
    content = yaml.safe_load(bento.derived(ROOT, wanted(), files))
    assert content["python"] == {"requirements_txt": "requirements/serve.txt", "lock_packages": False}
    assert {"name": "UV_REQUIRE_HASHES", "value": "1"} in content["envs"]
    assert [path for path in content["include"] if path.startswith("model/")] == [
        "model/model.onnx", "model/contract.json", "model/golden.json",
    ]  # fmt: skip
    assert "'base_image': 'b:1'" in bento.entry(ROOT, wanted())


@pytest.mark.parametrize(
    "address",
    ["ghcr.io/acme/flights", "127.0.0.1:5000/a/b", "localhost:5000/a", "1.dkr.ecr.eu-west-1.amazonaws.com/a-b/c_d"],
)
def test_an_address_of_an_image_is_taken(address: str) -> None:
    assert registry.check(address) == address


@pytest.mark.parametrize("address", ["", "ghcr.io/Acme/x", "ghcr.io/a:v1", "ghcr.io", "https://ghcr.io/a", "--a/b c"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="an image's address without tag"):
        registry.check(address)


@pytest.mark.parametrize("address", ["localhost.example.org/a", "127.0.0.1.example.org/a", "10.0.0.1:5000/a"])
def test_only_loopback_goes_unencrypted(address: str) -> None:
    assert not registry.is_loopback(address)
    assert registry.is_loopback("127.0.0.1:5000/a")
    assert registry.is_loopback("[::1]:5000/a")


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(OutsideError, match=r"the push failed \(`.*` ended with 3\): no such luck"):
        outside.run(
            [sys.executable, "-c", "import sys; sys.exit(print('no such luck', file=sys.stderr) or 3)"],
            "the push",
            timeout=20,
        )


def test_a_program_that_hangs_is_ended_with_what_it_started() -> None:
    began = time.monotonic()
    script = "import subprocess, sys; subprocess.run(['sleep', '987.125'])"
    with pytest.raises(OutsideError, match="did not end in 1 seconds"):
        outside.run([sys.executable, "-c", script], "it", timeout=1)
    assert time.monotonic() - began < 10
    assert subprocess.run(["pgrep", "-f", "sleep 987.125"], capture_output=True).returncode == 1


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="`no-such-program` is not installed"):
        outside.run(["no-such-program"], "it", timeout=1)


def test_the_bill_names_every_package_that_is_installed_and_is_the_same_twice(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    sbom.write(ROOT, wanted(), DIGEST, tmp_path / "a.json")
    sbom.write(ROOT, wanted(), DIGEST, tmp_path / "b.json")
    text = (tmp_path / "a.json").read_text()
    assert text == (tmp_path / "b.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    packages = {part["name"] for part in bill["components"] if part["type"] == "library"}
    assert {"bentoml", "onnxruntime", "numpy"} <= packages
    assert "colorama" not in packages
    assert len(packages) == len(list(sbom.installed(ROOT)))
    model = next(part for part in bill["components"] if part["type"] == "machine-learning-model")
    assert {"name": "lockstep:fingerprint", "value": "2" * 64} in model["properties"]
    assert str(tmp_path) not in text


def test_trimming_leaves_what_a_service_runs(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.11/site-packages"
    for name in (
        "numpy/tests/x.py", "numpy/core.py", "numpy/core.pyi", "onnxruntime/tools/a/b.py", "uvloop/loop.pyx",
        "uvloop/loop.so", "pygments/lexers/abap.py", "pygments/lexers/python.py", "a/__pycache__/x.pyc",
        "onnxruntime/capi/libonnxruntime.so.1.32.0", "onnxruntime/capi/pybind.so",
    ):  # fmt: skip
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3", "bentoml", "f2py"):
        (tmp_path / "bin" / name).touch()
    warm.trim(tmp_path)
    assert sorted(path.relative_to(packages).as_posix() for path in packages.rglob("*") if path.is_file()) == [
        "numpy/core.py", "onnxruntime/capi/pybind.so", "pygments/lexers/python.py", "uvloop/loop.so",
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "bin").iterdir()) == ["bentoml", "python", "python3"]


def test_bytecode_is_kept_of_what_was_used_in_a_form_without_time(tmp_path: Path) -> None:
    (tmp_path / "used.py").write_text("x = 1\n")
    (tmp_path / "unused.py").write_text("x = 2\n")
    command = [sys.executable, "-c", "import used"]
    subprocess.run(command, cwd=tmp_path, check=True, env={"PYTHONPATH": str(tmp_path)})
    assert warm.settle(tmp_path) == 1
    (made,) = tmp_path.glob("__pycache__/*.pyc")
    assert made.name.startswith("used.")
    assert made.read_bytes()[4:8] == b"\x01\x00\x00\x00"  # by hash, unchecked: no time in it
    assert re.search(rb"used\.py", made.read_bytes())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_two_calls_take_turns_at_one_image_and_the_second_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said, entered = list[str](), threading.Event()

    def second() -> None:
        with chain._alone(wanted(), said.append):
            entered.set()

    thread = threading.Thread(target=second, daemon=True)
    with chain._alone(wanted(), said.append):
        thread.start()
        wait_for(lambda: bool(said), 10)
        assert "another call on this machine is at the image" in said[0]
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
