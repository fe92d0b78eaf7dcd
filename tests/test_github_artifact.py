"""What a run leaves is taken apart as if an enemy had made it."""

from __future__ import annotations

import json
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from github_world import LOCK, SEAL, document, files, report, zipped
from lockstep.errors import InputError, Refused
from lockstep.github.artifact import Bundle, Poisoned, read
from lockstep.github.packing import pack

MANIFEST: dict[str, Any] = {
    "format": 1, "head": "a" * 40, "base": "b" * 40, "number": 3, "tree": "c" * 40, "moved": [], "removed": [],
}  # fmt: skip


def moving(path: str, content: bytes = b"{}") -> dict[str, bytes]:
    return files({**MANIFEST, "moved": [path]}, **{f"tree/{path}": content})


def test_an_honest_artifact_is_read() -> None:
    bundle = read(zipped(moving("reports/metrics.json")))
    assert isinstance(bundle, Bundle)
    assert bundle.moved == {"reports/metrics.json": b"{}"}
    assert bundle.document.conclusion == "success"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dvc.lock", LOCK.format(md5="b" * 32).encode()),
        ("dvc.lock.seal", SEAL.format(sha="b" * 64).encode()),
        ("model/card.md", b"# A card\n"),
        ("reports/roc.json", b"[1, 2]"),
    ],
)
def test_what_a_run_may_move_is_taken(path: str, content: bytes) -> None:
    assert read(zipped(moving(path, content))).moved == {path: content}


@pytest.mark.parametrize(
    "path",
    [
        "../outside.json", "/etc/passwd", "reports/../../x.json", "reports/deep/x.json", "params.yaml",
        ".github/workflows/test.yml", "src/lockstep/cli.py", "model/model.onnx", "reports/UPPER.json", "reports/x.JSON",
        "reports\\x.json", "dvc.lock\n", ".gitattributes", "model/card.md/x", "reports/.json", "dvc.yaml",
    ],
)  # fmt: skip
def test_no_other_path_is_taken(path: str) -> None:
    with pytest.raises(Poisoned):
        read(zipped(moving(path)))
    with pytest.raises(Poisoned):
        read(zipped(files({**MANIFEST, "removed": [path]})))


def test_a_symbolic_link_is_refused() -> None:
    def link(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("tree/dvc.lock")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")

    with pytest.raises(Poisoned, match="not a regular file"):
        read(zipped(files({**MANIFEST, "moved": ["dvc.lock"]}), link))


def test_a_folder_is_refused() -> None:
    with pytest.raises(Poisoned, match="which no run leaves"):
        read(zipped(files(MANIFEST), lambda archive: archive.writestr("tree/", b"")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["report/verdict.json", "report/VERDICT.json"])
def test_a_name_that_is_there_twice_is_refused(name: str) -> None:
    with pytest.raises(Poisoned, match="a name twice"):
        read(zipped(files(MANIFEST), lambda archive: archive.writestr(name, b"{}")))


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(Poisoned, match="more than"):
        read(zipped(files(MANIFEST, **{"report/report.html": b"0" * 200_000_000})))


def test_a_size_that_the_archive_lies_about_does_not_help() -> None:
    packed = bytearray(zipped(files(MANIFEST, **{"manifest.json": b"0" * 30_000})))
    real, claimed = (30_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    with pytest.raises(Poisoned):
        read(bytes(packed).replace(real, claimed))


def test_too_many_files_are_refused() -> None:
    many = {f"tree/reports/r{number}.json": b"{}" for number in range(50)}
    with pytest.raises(Poisoned, match="54 files"):
        read(zipped(files(MANIFEST, **many)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"\x00" * 1000, b"<html>not found</html>"])
def test_what_is_no_zip_file_is_refused(content: bytes) -> None:
    with pytest.raises(Poisoned, match="not a zip file"):
        read(content)


@pytest.mark.parametrize("name", ["manifest.json", "report/report.md", "report/report.html", "report/verdict.json"])
def test_nothing_may_be_missing(name: str) -> None:
    contents = files(MANIFEST)
    del contents[name]
    with pytest.raises(Poisoned, match=f"lacks {name}"):
        read(zipped(contents))


@pytest.mark.parametrize(
    "manifest",
    [
        {"format": 2}, {"head": "main"}, {"head": "A" * 40}, {"tree": "c" * 41}, {"number": 0}, {"number": "3"},
        {"moved": ["dvc.lock"]}, {"more": 1}, {"removed": ["dvc.lock"] * 100},
    ],
)  # fmt: skip
def test_a_manifest_of_another_shape_is_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(Poisoned):
        read(zipped(files({**MANIFEST, **manifest})))


@pytest.mark.parametrize(
    "changes",
    [
        {"conclusion": "neutral"}, {"headline": "x" * 5000}, {"word": "wonderful"}, {"extra": 1}, {"head": "d" * 40},
        {"base": "d" * 40}, {"word": "not comparable"}, {"looks": float("nan")},
        {
            "gates": [
                {
                    "id": "g", "title": "g", "asked": "", "found": "", "state": "broken", "passes": False,
                    "origin": "this change",
                }
            ]
        },
    ],
)  # fmt: skip
def test_a_verdict_of_another_shape_or_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    said = json.dumps(document(**changes)).encode()
    with pytest.raises(Poisoned):
        read(zipped(files(MANIFEST, **{"report/verdict.json": said})))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dvc.lock", b"just text"),
        ("dvc.lock", b"stages: [1, 2]"),
        ("dvc.lock", b"!!python/object/apply:os.system ['true']"),
        ("dvc.lock.seal", b"train ; rm -rf /"),
        ("reports/metrics.json", b"{"),
        ("reports/metrics.json", b"[" * 100_000),
        ("model/card.md", b"\xff\xfe"),
        ("model/card.md", b"a\x1b[2Jb"),
    ],
)
def test_a_moved_file_must_be_what_its_name_says(path: str, content: bytes) -> None:
    with pytest.raises(Poisoned):
        read(zipped(moving(path, content)))


@pytest.mark.parametrize("report", [b"", b" \n\n", b"x" * 60_001, b"\xff"])
def test_a_report_that_is_empty_or_too_long_is_refused(report: bytes) -> None:
    with pytest.raises(Poisoned):
        read(zipped(files(MANIFEST, **{"report/report.md": report})))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    contents = {
        "dvc.lock": LOCK.format(md5="a" * 32), "reports/metrics.json": "{}\n", "reports/roc.json": "[]\n",
        "params.yaml": "seed: 1\n", ".gitignore": "/report/\n/artifact/\n", "report/report.md": report().decode(),
        "report/report.html": "<p>", "report/verdict.json": json.dumps(document()),
    }  # fmt: skip
    for name, text in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for command in (["init", "--quiet", "-b", "main"], ["add", "--all"], ["commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def packed(project: Path) -> bytes:
    folder = project / "artifact"
    return zipped(
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    )


def git(project: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True, text=True).stdout.strip()


def test_what_is_packed_is_what_is_read(project: Path) -> None:
    (project / "dvc.lock").write_text(LOCK.format(md5="c" * 32))
    (project / "reports/new.json").write_text("{}\n")
    (project / "reports/roc.json").unlink()
    before = git(project, "status", "--porcelain")
    made = pack(project, "HEAD", 3)
    assert git(project, "status", "--porcelain") == before
    bundle = read(packed(project))
    assert bundle.manifest == made
    assert sorted(bundle.moved) == ["dvc.lock", "reports/new.json"]
    assert made.removed == ["reports/roc.json"]
    git(project, "add", "--all")
    assert git(project, "write-tree") == made.tree


def test_a_run_that_changed_something_else_is_refused(project: Path) -> None:
    (project / "params.yaml").write_text("seed: 2\n")
    with pytest.raises(Refused, match="the run changed params.yaml"):
        pack(project, "HEAD", None)


def test_a_link_in_place_of_a_moved_file_is_refused(project: Path) -> None:
    (project / "reports/new.json").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match=r"reports/new\.json"):
        pack(project, "HEAD", None)


def test_without_a_report_there_is_nothing_to_pack(project: Path) -> None:
    (project / "report/verdict.json").unlink()
    with pytest.raises(InputError, match="`lockstep report` writes it"):
        pack(project, "HEAD", None)


@pytest.mark.parametrize(
    "text",
    [
        "## ✅ customers: better\n",
        "## ❌ customers: better, safe to merge\n",
        "customers: better, safe to merge",
        "\n## x\n",
    ],
)
def test_a_report_begins_with_the_verdict_and_its_headline(text: str) -> None:
    with pytest.raises(Poisoned, match="does not begin with"):
        read(zipped(files(MANIFEST, **{"report/report.md": text.encode()})))


@pytest.mark.parametrize("headline", ["a *b* | <c>: better", "x" * 400, "`a`: worse, within its gates"])
def test_a_headline_of_odd_characters_is_recognised(headline: str) -> None:
    said: dict[str, Any] = {"headline": headline}
    told = {"report/verdict.json": json.dumps(document(**said)).encode(), "report/report.md": report(said)}
    assert read(zipped(files(MANIFEST, **told))).document.headline == headline


GATE = {
    "id": "x", "title": "x", "asked": "x", "found": "x", "state": "holds", "passes": True, "origin": "this change",
}  # fmt: skip


@pytest.mark.parametrize(
    ("gates", "trusted"), [([], False), ([GATE], False), ([{**GATE, "id": "roc_auc-against-champion"}], True)]
)
def test_what_is_worse_is_green_only_where_a_gate_says_how_much(gates: list[dict[str, Any]], trusted: bool) -> None:
    packed = zipped(
        files(MANIFEST, **{"report/verdict.json": json.dumps(document(word="worse", gates=gates)).encode()})
    )
    if trusted:
        assert read(packed).document.word == "worse"
    else:
        with pytest.raises(Poisoned, match="how much worse is allowed"):
            read(packed)
