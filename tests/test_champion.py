"""The champion's files: where they come from, that their hashes are right, and that today's code still reads them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from branches import Branches
from lockstep.comparison import champion
from lockstep.comparison.champion import FILES, Incomparable
from lockstep.errors import InputError, OutsideError
from lockstep.models import encoding
from lockstep.remotes import transfer
from lockstep.remotes.transfer import Brought
from lockstep.revision import Revision, git, resolve
from small import a_spec, a_table

GRAPH = "model/model.onnx"


@pytest.fixture
def branch(tmp_path: Path) -> Branches:
    """The base is built and committed, and so is the work tree."""
    made = Branches(tmp_path)
    made.build(a_spec(), a_table())
    return made


def lose(branch: Branches, *paths: str) -> dict[str, bytes]:
    """Take files out of DVC's cache; returns them by md5."""
    lost = {}
    for path in paths:
        kept = branch.kept(path)
        lost[kept.parent.name + kept.name] = kept.read_bytes()
        kept.unlink()
    return lost


def no_rebuild(root: Path, revision: Revision, **_: Any) -> Any:
    raise InputError("the rows that the source gave are lost")


@contextmanager
def rebuild(root: Path, revision: Revision, **_: Any) -> Iterator[Path]:
    """The work tree itself, as if the base's code had just made it."""
    yield root


# --- where it comes from


def test_it_comes_from_dvc_s_cache_as_links_in_a_folder(branch: Branches) -> None:
    base = branch.commit("the base | of it")
    files = champion.gather(branch.root, base)
    assert files.champion.source == "from DVC's cache"
    assert files.champion.subject == "the base | of it"
    assert files.champion.md5 == files.md5s["model.onnx"]
    assert {path.name for path in files.folder.iterdir()} == set(FILES)
    assert all(path.is_symlink() for path in files.folder.iterdir())


@pytest.mark.parametrize("damage", ["absent", "truncated", "tampered"])
def test_what_the_cache_lacks_or_damaged_comes_from_the_remote(
    branch: Branches, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    base = branch.commit()
    kept = branch.kept(GRAPH)
    content, asked = kept.read_bytes(), list[str]()
    if damage == "absent":
        kept.unlink()
    else:
        kept.write_bytes(content[:1000] if damage == "truncated" else content[:-1] + b"x")

    def bring(root: Path, md5s: list[str], **_: Any) -> Brought:
        asked.extend(md5s)
        kept.write_bytes(content)
        return Brought(found=dict.fromkeys(md5s, "main"))

    monkeypatch.setattr(transfer, "names", lambda root: ["main"])
    monkeypatch.setattr(transfer, "bring", bring)
    assert champion.gather(branch.root, base).champion.source == "from the remote `main`"
    assert asked == [champion.recorded(base)["model.onnx"]]


@pytest.mark.parametrize("size", [None, 1000])
def test_a_folder_serves_as_the_remote_of_what_is_absent_or_truncated(
    branch: Branches, tmp_path: Path, size: int | None
) -> None:
    base, kept = branch.commit(), branch.kept(GRAPH)
    there = tmp_path / "remote/files/md5" / kept.parent.name / kept.name
    there.parent.mkdir(parents=True)
    shutil.move(kept, there)
    if size:
        kept.write_bytes(there.read_bytes()[:size])
    (branch.root / ".dvc/config").write_text(
        f"[core]\n    remote = main\n['remote \"main\"']\n    url = {tmp_path / 'remote'}\n"
    )
    found = branch.compare(base)
    assert found.champion is not None
    assert found.champion.source == "from the remote `main`"
    assert found.verdict == "identical"


@pytest.mark.parametrize("damage", ["absent", "truncated"])
def test_without_a_remote_its_own_code_makes_it_again_and_it_is_kept(
    branch: Branches, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    base = branch.commit()
    kept = branch.kept(GRAPH)
    if damage == "absent":
        kept.unlink()
    else:
        kept.write_bytes(kept.read_bytes()[:1000])
    monkeypatch.setattr(champion, "rebuilt", rebuild)
    assert champion.gather(branch.root, base).champion.source == "rebuilt from its own commit"
    assert champion.gather(branch.root, base).champion.source == "from DVC's cache"


def test_a_remote_that_a_fork_has_no_key_to_does_not_stop_the_rebuild(
    branch: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = branch.commit()
    lose(branch, GRAPH)

    def bring(root: Path, md5s: list[str], **_: Any) -> Brought:
        raise OutsideError("403 Forbidden")

    monkeypatch.setattr(transfer, "names", lambda root: ["main"])
    monkeypatch.setattr(transfer, "bring", bring)
    monkeypatch.setattr(champion, "rebuilt", rebuild)
    assert champion.gather(branch.root, base).champion.source == "rebuilt from its own commit"
    lose(branch, GRAPH)
    monkeypatch.setattr(champion, "rebuilt", no_rebuild)
    with pytest.raises(OutsideError, match="cannot be had: it cannot be rebuilt.*could not be asked: 403 Forbidden"):
        champion.gather(branch.root, base)


def test_a_rebuild_that_gives_other_bytes_is_no_champion(branch: Branches, monkeypatch: pytest.MonkeyPatch) -> None:
    base = branch.commit()
    lose(branch, GRAPH, "model/golden.json")
    (branch.root / GRAPH).write_bytes(b"another model")
    monkeypatch.setattr(champion, "rebuilt", rebuild)
    with pytest.raises(InputError, match="a rebuild gives another model/model.onnx than its dvc.lock records") as error:
        champion.gather(branch.root, base)
    assert base.short in str(error.value)
    assert "`lockstep push`" in str(error.value)


def test_a_champion_that_is_nowhere_is_an_error_that_says_what_to_do(
    branch: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = branch.commit()
    lose(branch, GRAPH)
    monkeypatch.setattr(champion, "rebuilt", no_rebuild)
    with pytest.raises(InputError, match="neither DVC's cache nor a remote has all of it") as error:
        branch.compare(base)
    assert "the rows that the source gave are lost" in str(error.value)
    assert "`--base REV`" in str(error.value)
    assert str(error.value).count("`lockstep push`") == 1


def test_what_a_rebuild_says_of_sending_is_not_said_twice(branch: Branches, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(root: Path, revision: Revision, **_: Any) -> Any:
        raise InputError("data/raw is nowhere: `lockstep push` where it was made sends it")

    base = branch.commit()
    lose(branch, GRAPH)
    monkeypatch.setattr(champion, "rebuilt", lost)
    with pytest.raises(InputError, match="data/raw is nowhere") as error:
        champion.gather(branch.root, base)
    assert str(error.value).count("`lockstep push`") == 1


def test_no_more_is_run_again_than_must_be_and_the_source_is_asked_last(
    branch: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, asked = branch.commit(), []
    lose(branch, GRAPH)

    @contextmanager
    def rebuilt(root: Path, revision: Revision, **how: Any) -> Iterator[Path]:
        asked.append(how)
        if "from_source" not in how:
            raise InputError("data/raw is nowhere")
        yield root

    monkeypatch.setattr(champion, "rebuilt", rebuilt)
    champion.gather(branch.root, base)
    assert asked == [{"stages": ["train"]}, {}, {"from_source": True}]


def test_a_lock_with_conflict_markers_is_an_input_error(branch: Branches) -> None:
    (branch.root / "dvc.lock").write_text("<<<<<<< ours\nstages:\n=======\n>>>>>>> theirs\n")
    with pytest.raises(InputError, match=r"dvc.lock of \w{7} cannot be read") as error:
        champion.has_model(branch.commit())
    assert "choose another revision" in str(error.value)
    assert "Restore" not in str(error.value)


def test_params_of_a_commit_that_are_no_yaml_say_where(branch: Branches) -> None:
    (branch.root / "params.yaml").write_text("train:\n  a: [1\n")
    with pytest.raises(InputError, match=r"params.yaml of \w{7} cannot be read: .* \(line 3, column 1\)\.") as error:
        branch.commit().values()
    assert "string" not in str(error.value)


# --- what today's code makes of it


def relock(branch: Branches, name: str, content: bytes) -> Revision:
    """The base as if its stages had written this file; the work tree is as before."""
    path = branch.root / FILES[name]
    before = path.read_bytes()
    path.write_bytes(content)
    branch.lock()
    base = branch.commit()
    path.write_bytes(before)
    branch.lock()
    return base


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.onnx", b"no graph"),
        ("contract.json", b'{"contract": {}, "features": []}'),
        ("contract.json", b"{"),
        ("golden.json", b'{"rows": []}'),
        ("golden.json", b"[]"),
        ("golden.json", b'{"rows": [], "predictions": []}'),
        ("provenance.parquet", b"PAR1"),
    ],
)
def test_files_that_today_s_code_cannot_read_are_not_comparable_and_no_machine_path_is_told(
    branch: Branches, name: str, content: bytes
) -> None:
    found = branch.compare(relock(branch, name, content))
    assert found.verdict == "not comparable"
    assert found.why[0].startswith("Today's code cannot read the model of")
    assert name in found.why[0]
    assert str(branch.root) not in found.why[0]
    assert "\n" not in found.why[0]


def test_a_contract_with_a_key_that_today_s_spec_does_not_know_is_not_comparable(branch: Branches) -> None:
    content = json.loads((branch.root / "model/contract.json").read_text())
    content["contract"]["colour"] = "blue"
    found = branch.compare(relock(branch, "contract.json", json.dumps(content).encode()))
    assert found.verdict == "not comparable"
    assert "contract.json" in found.why[0]


def test_a_lock_that_names_no_provenance_is_not_comparable(branch: Branches) -> None:
    lock = branch.root / "dvc.lock"
    text = lock.read_text()
    lock.write_text(text.replace("model/provenance.parquet", "model/elsewhere.parquet"))
    base = branch.commit()
    lock.write_text(text)
    found = branch.compare(base)
    assert found.verdict == "not comparable"
    assert "names no model/provenance.parquet: nothing can be compared without." in found.why[0]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_golden_rows_that_come_out_otherwise_say_that_the_encoding_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    branch = Branches(tmp_path)
    branch.build(a_spec(task), a_table())
    base = branch.commit()
    assert branch.compare(base).verdict == "identical"
    monkeypatch.setitem(encoding.PARTS, "weekday", lambda moments: np.zeros(len(moments)))
    monkeypatch.setitem(encoding._CALLER_TYPES, "number", lambda values: encoding._floats(values) * 3)
    found = branch.compare(base)
    assert found.verdict == "not comparable"
    assert found.why[0].startswith("The encoding changed: today's code answers ")
    assert f"of the golden rows of {base.short} otherwise than when they were made" in found.why[0]


def test_float32_noise_is_not_a_changed_encoding(branch: Branches) -> None:
    golden = json.loads((branch.root / "model/golden.json").read_text())
    golden["predictions"] = [value + 4e-7 for value in golden["predictions"]]
    assert branch.compare(relock(branch, "golden.json", json.dumps(golden).encode())).verdict == "identical"
    golden["predictions"] = [value + 4e-6 for value in golden["predictions"]]
    assert branch.compare(relock(branch, "golden.json", json.dumps(golden).encode())).verdict == "not comparable"


@pytest.mark.parametrize("predictions", [[[0.5, 0.5]], [None]])
def test_golden_predictions_of_another_shape_are_a_changed_encoding(branch: Branches, predictions: list[Any]) -> None:
    golden = json.loads((branch.root / "model/golden.json").read_text())
    changed = {"rows": golden["rows"], "predictions": predictions * len(golden["rows"])}
    found = branch.compare(relock(branch, "golden.json", json.dumps(changed).encode()))
    assert found.verdict == "not comparable"
    assert found.why[0].startswith("The encoding changed")


def test_an_encoding_with_another_width_is_a_sentence_not_a_crash(
    branch: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = branch.commit()
    encode = encoding.Encoding.encode
    monkeypatch.setattr(encoding.Encoding, "encode", lambda self, columns, style: encode(self, columns, style)[:, :-1])
    from lockstep.comparison.replay import replay

    (sentence,) = replay(champion.load(branch.root, base))
    assert sentence.startswith("The encoding changed: today's code cannot answer the golden rows of")


def test_a_champion_that_answers_nan_is_not_comparable(branch: Branches, monkeypatch: pytest.MonkeyPatch) -> None:
    branch.build(a_spec(train={"params": {"max_iter": 5}}), a_table())
    base = branch.commit()
    branch.build(a_spec(), a_table())
    from lockstep.models.model import Model

    predict, theirs = Model.predict_matrix, champion.load(branch.root, base).model.learned
    assert theirs is not None
    calls = []

    def sometimes(model: Model, matrix: Any) -> Any:
        found = predict(model, matrix)
        calls.append(len(found))
        if len(found) > 100 and len([size for size in calls if size > 100]) == 3:
            found[:4] = np.nan
        return found

    monkeypatch.setattr(Model, "predict_matrix", sometimes)
    found = branch.compare(base)
    assert found.verdict == "not comparable"
    assert "`champion` gives no number for 4 of the" in found.why[0]


# --- released models


def test_a_released_model_answers_beside_the_champion(branch: Branches) -> None:
    branch.build(a_spec(train={"params": {"max_iter": 2}}), a_table())
    branch.commit("released")
    git(branch.root, "tag", "customers@v1.0.0")
    branch.build(a_spec(train={"params": {"max_iter": 20}}), a_table())
    base = branch.commit("base")
    branch.build(a_spec(), a_table())
    found = branch.compare(base, released=["customers@v1.0.0", "customers@v1.0.0"])
    assert found.exam is not None
    assert list(found.exam.predictions) == ["challenger", "linear", "champion", "customers@v1.0.0", "dummy"]
    assert found.primary is not None
    assert found.primary.values["customers@v1.0.0"] < found.primary.values["champion"]  # type: ignore[operator]
    assert found.notes == ()
    loaded = champion.load(branch.root, resolve(branch.root, "refs/tags/customers@v1.0.0"), tag="customers@v1.0.0")
    assert loaded.files.champion.released == "customers@v1.0.0"


def test_a_released_model_that_is_not_there_or_answers_another_question_is_a_note(branch: Branches) -> None:
    branch.build(a_spec(split={"by": "time", "holdout": "2 weeks"}), a_table())
    branch.commit("released")
    git(branch.root, "tag", "v1.0.0")
    git(branch.root, "branch", "v2.0.0")
    branch.build(a_spec(), a_table())
    base = branch.commit()
    found = branch.compare(base, released=["v1.0.0", "v2.0.0"])
    assert found.exam is not None
    assert set(found.exam.predictions) == {"challenger", "linear", "champion", "dummy"}
    assert found.notes[0].startswith(
        "The released model `v1.0.0` is not compared with. `split.holdout` changed from 2 weeks"
    )
    assert found.notes[1].startswith("The released model `v2.0.0` is not compared with: there is no commit")


def test_a_released_model_that_learned_from_these_rows_is_a_note(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    branch.commit("released")
    git(branch.root, "tag", "v1.0.0")
    earlier = a_table()[lambda table: table["since"] < "2024-03-15"]
    branch.build(a_spec(ingest={"until": "2024-03-15"}), earlier)
    base = branch.commit()
    found = branch.compare(base, released=["v1.0.0"])
    assert found.verdict == "identical"
    assert "It has learned from" in found.notes[0]
    assert found.exam is not None
    assert "v1.0.0" not in found.exam.predictions


def test_the_cache_is_where_dvc_s_configuration_says(branch: Branches, tmp_path: Path) -> None:
    base = branch.commit()
    shutil.move(branch.root / ".dvc/cache", tmp_path / "elsewhere")
    (branch.root / ".dvc/config").write_text(f"[cache]\n    dir = {tmp_path / 'elsewhere'}\n")
    assert champion.gather(branch.root, base).champion.source == "from DVC's cache"


def test_incomparable_is_an_expected_failure() -> None:
    assert Incomparable("why").code == 1
