from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import lay
from lockstep.errors import InputError
from lockstep.report.change import Change, DataFinding, SpecChange, StageChange
from lockstep.report.changes import changes, judges, new_findings
from lockstep.report.contract_changes import UNREADABLE, exposed
from lockstep.revision import Revision
from two_revisions import FILES, LOCK, METRICS, SUMMARY, commit, edited, repository, spec_of, write_reference
from worlds import CUSTOMERS


def looked(root: Path, base: Revision | None, champion: Path | None = None) -> Change:
    return changes(root, spec_of(root), base, champion)


def change(root: Path, path: str, value: Any) -> None:
    lay(root, {"params.yaml": yaml.safe_dump(edited(CUSTOMERS, path, value), sort_keys=False)})


def test_an_untouched_work_tree_differs_in_nothing(tmp_path: Path) -> None:
    found = looked(tmp_path, repository(tmp_path))
    assert found == Change(
        stages=(StageChange(name="prepare", state="restored"), StageChange(name="train", state="restored")),
        rows={name: (count, count) for name, count in SUMMARY["rows"].items()},
        quarantine={"age:min": (5, 5)},
    )


def test_the_spec_is_compared_with_the_base_s(tmp_path: Path) -> None:
    base = repository(tmp_path)
    change(tmp_path, "ingest.until", "2025-02-01")
    assert looked(tmp_path, base).spec == (SpecChange(path="ingest.until", before="2025-01-01", after="2025-02-01"),)


def test_columns_are_compared_as_a_contract_and_not_as_keys(tmp_path: Path) -> None:
    base = repository(tmp_path)
    change(tmp_path, "contract.columns.age.max", 99)
    found = looked(tmp_path, base)
    assert found.spec == ()
    assert [(each.text, each.breaking) for each in found.contract] == [
        ("`age`: largest value accepted: 120 → 99, narrower", True)
    ]


def test_a_base_without_a_model_has_no_callers_to_break(tmp_path: Path) -> None:
    base = repository(tmp_path, **{"dvc.lock": None})
    lay(tmp_path, {"dvc.lock": FILES["dvc.lock"]})
    change(tmp_path, "contract.columns.age.max", 99)
    assert [each.breaking for each in looked(tmp_path, base).contract] == [False]


def test_stages_are_told_by_what_the_locks_say(tmp_path: Path) -> None:
    base = repository(tmp_path)
    lock = edited(LOCK, "stages.train.params", {"params.yaml": {"train": {"seed": 2}}, "versions.toml": {}})
    lay(tmp_path, {"dvc.lock": yaml.safe_dump(lock)})
    restored, reran = looked(tmp_path, base).stages
    assert restored.state == "restored"
    assert reran == StageChange(name="train", state="reran", why=("params: train.seed", "versions: numpy"))


def test_a_stage_that_is_gone_is_noted(tmp_path: Path) -> None:
    base = repository(tmp_path)
    lay(tmp_path, {"dvc.lock": yaml.safe_dump({"stages": {"prepare": LOCK["stages"]["prepare"]}})})
    assert looked(tmp_path, base).notes == ("Stages of the base that are gone: `train`.",)


def test_rows_and_reasons_stand_beside_those_of_the_base(tmp_path: Path) -> None:
    base = repository(tmp_path)
    summary = {"rows": {"rows": 130, "training": 90, "quarantine": 9}, "quarantine": {"age:max": 9}}
    lay(tmp_path, {"data/prepared/summary.json": json.dumps(summary)})
    found = looked(tmp_path, base)
    assert found.rows == {"rows": (100, 130), "training": (70, 90), "quarantine": (5, 9)}
    assert found.quarantine == {"age:max": (0, 9), "age:min": (5, 0)}


def test_without_a_summary_the_report_of_the_rows_counts(tmp_path: Path) -> None:
    base = repository(tmp_path)
    (tmp_path / "data/prepared/summary.json").unlink()
    found = looked(tmp_path, base)
    assert found.rows is not None
    assert found.rows["rows"] == (100, 100)
    assert "blocks" not in found.rows
    assert found.quarantine == {"age:min": (5, 5)}


def test_versions_that_stages_depend_on_come_first(tmp_path: Path) -> None:
    base = repository(tmp_path)
    lay(tmp_path, {"versions.toml": 'python = "3.11"\nattrs = "2"\nnumpy = "2.4.6"\nyarl = "1"\n'})
    assert [(each.path, each.before, each.after) for each in looked(tmp_path, base).versions] == [
        ("numpy", "2.4.5", "2.4.6"),
        ("attrs", "1", "2"),
        ("yarl", "", "1"),
    ]


def test_drift_is_of_the_columns_of_both_references_without_private_ones(tmp_path: Path) -> None:
    columns = CUSTOMERS["contract"]["columns"]
    hidden = edited(CUSTOMERS, "contract.columns.balance", columns["balance"] | {"private": True})
    base = repository(tmp_path, **{"params.yaml": yaml.safe_dump(hidden)})
    change(tmp_path, "project.name", "leaving")
    champion = write_reference(tmp_path / "champion", age=[20] * 500, balance=[1.0] * 500)
    write_reference(tmp_path / "model", age=[60] * 500, balance=[7.0] * 500)
    found = looked(tmp_path, base, champion)
    assert [(each.column, each.drifted) for each in found.drift] == [("age", True)]
    assert found.notes == ()


def test_a_reference_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    base = repository(tmp_path)
    champion = write_reference(tmp_path / "champion", age=[20])
    (found,) = looked(tmp_path, base, champion).notes
    assert (
        found == "Drift was not looked at: this change's reference.parquet cannot be read (No such file or directory)."
    )
    (champion / "reference.parquet").write_bytes(b"PAR1 cut off")
    (found,) = looked(tmp_path, base, champion).notes
    assert found.startswith("Drift was not looked at: the champion's reference.parquet cannot be read (")
    assert str(tmp_path) not in found


def test_learned_classes_are_part_of_the_answer(tmp_path: Path) -> None:
    base = repository(tmp_path)
    champion = write_reference(tmp_path / "champion", age=[20])
    write_reference(tmp_path / "model", age=[20])
    lay(champion, {"contract.json": '{"classes": ["a", "b"]}'})
    lay(tmp_path / "model", {"contract.json": '{"classes": ["a"]}'})
    assert [each.text for each in looked(tmp_path, base, champion).contract] == [
        "the answer no longer has the classes: b"
    ]
    for damaged in ("", "[1]", '{"classes": 3}', "{"):
        lay(champion, {"contract.json": damaged})
        assert looked(tmp_path, base, champion).contract == ()


def test_a_first_model_has_rows_and_stages_and_nothing_to_be_compared_with(tmp_path: Path) -> None:
    repository(tmp_path)
    found = looked(tmp_path, None)
    assert {each.state for each in found.stages} == {"reran"}
    assert found.rows is not None
    assert found.rows["training"] == (None, 70)
    assert found.quarantine == {"age:min": (None, 5)}
    assert (found.spec, found.contract, found.versions, found.judges, found.notes) == ((), (), (), (), ())


def test_a_base_from_before_lockstep_has_no_callers_and_the_notes_say_what_is_lacking(tmp_path: Path) -> None:
    lacking = dict.fromkeys(["params.yaml", "dvc.lock", "versions.toml", "reports/metrics.json"])
    base = repository(tmp_path, **lacking)
    lay(tmp_path, {name: FILES[name] for name in lacking})
    found = looked(tmp_path, base)
    assert (found.spec, found.contract, found.versions) == ((), (), ())
    assert [each.why for each in found.stages] == [("the base has no run of it",)] * 2
    assert found.rows is not None
    assert found.rows["rows"] == (None, 100)
    assert [note.partition("`")[2].partition("`")[0] for note in found.notes] == [
        "reports/metrics.json", "params.yaml", "versions.toml",
    ]  # fmt: skip


ODD = {
    "not yaml": "a: [",
    "not utf-8": "a: \udcff",
    "a list": "[1]",
    "a text": "hello",
    "empty": "",
    "nothing": "null",
    "keys": "? [a, b]\n: 1",
    "a date that is none": "a: 2013-13-45",
    "a number that is none": 'a: !!int ""',
    "a truth that is none": "a: !!bool x",
    "a moment that is none": "a: !!timestamp x",
    "a huge number": "a: " + "9" * 5000,
    "an object": "a: !!python/object/apply:os.system [exit 1]",
    "itself": "a: &a [*a]",
    "deep": "a: " + "[" * 3000 + "]" * 3000,
    "a merge conflict": "<<<<<<< HEAD\na: 1\n=======\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_base_with_an_odd_spec_is_noted_and_counts_as_breaking(tmp_path: Path, text: str) -> None:
    repository(tmp_path, **{"params.yaml": None})
    (tmp_path / "params.yaml").write_bytes(text.encode(errors="surrogateescape"))
    base = commit(tmp_path)
    lay(tmp_path, {"params.yaml": FILES["params.yaml"]})
    found = looked(tmp_path, base)
    assert found.spec == ()
    assert found.contract == (UNREADABLE,)
    assert len(found.notes) == 1
    assert "The spec was not compared" in found.notes[0]
    assert len(found.notes[0]) < 300
    assert "\n" not in found.notes[0]


@pytest.mark.parametrize(
    "values",
    [
        {"contract": None},
        {"contract": {"columns": None}},
        {"train": [1], "split": 3, "contract": {"columns": {"age": None}}},
        {1: 2, None: 3, "contract": {"columns": {5: {"type": "number"}}}},
    ],
    ids=str,
)
def test_a_base_whose_sections_have_another_shape_is_compared_as_far_as_it_goes(tmp_path: Path, values: Any) -> None:
    base = repository(tmp_path, **{"params.yaml": yaml.safe_dump(values)})
    lay(tmp_path, {"params.yaml": FILES["params.yaml"]})
    found = looked(tmp_path, base)
    assert found.spec
    assert any(each.breaking for each in found.contract)


ENDLESS_LOCK = "stages: {a: {cmd: x, params: {params.yaml: {a: &a [*a]}}}}"


@pytest.mark.parametrize(
    "text", ["[1]", "<<<<<<< HEAD", "stages: [1]", "stages: {a: null}", "a: !!bool x", ENDLESS_LOCK]
)
def test_a_base_with_a_damaged_lock_is_noted(tmp_path: Path, text: str) -> None:
    base = repository(tmp_path, **{"dvc.lock": text})
    lay(tmp_path, {"dvc.lock": FILES["dvc.lock"]})
    found = looked(tmp_path, base)
    if found.stages:
        assert all(each.state == "reran" for each in found.stages)
    else:
        (note,) = found.notes
        assert note.startswith("Which stages ran is not known: dvc.lock of ")


@pytest.mark.parametrize(
    "text", ["", "[", "[1]", "3", '{"data": 3, "quarantine": []}', '{"data": {"rows": true, "x": "y"}}', "NaN"]
)
def test_a_base_with_a_damaged_record_of_its_rows_is_noted(tmp_path: Path, text: str) -> None:
    base = repository(tmp_path, **{"reports/metrics.json": text})
    lay(tmp_path, {"reports/metrics.json": json.dumps(METRICS)})
    found = looked(tmp_path, base)
    assert found.rows is not None
    assert found.rows["rows"] == (None, 100)
    assert found.notes == (f"The base ({base.short}) has no record of its rows in `reports/metrics.json`.",)


@pytest.mark.parametrize("text", ["", "numpy = ", "\x00", "[a]\nb = 1"])
def test_a_base_with_damaged_versions_is_noted(tmp_path: Path, text: str) -> None:
    base = repository(tmp_path, **{"versions.toml": text})
    lay(tmp_path, {"versions.toml": FILES["versions.toml"]})
    found = looked(tmp_path, base)
    assert found.versions == ()
    assert found.notes == (f"The base ({base.short}) has no readable `versions.toml`: versions were not compared.",)


def test_a_damaged_work_tree_is_an_error(tmp_path: Path) -> None:
    base = repository(tmp_path)
    spec = spec_of(tmp_path)
    (tmp_path / "params.yaml").unlink()
    with pytest.raises(InputError, match="params.yaml cannot be read"):
        changes(tmp_path, spec, base, None)


def test_changed_new_and_removed_files_that_judge_are_named_and_others_are_not(tmp_path: Path) -> None:
    base = repository(tmp_path)
    lay(
        tmp_path,
        {"Makefile": "all:\n", "src/flights/b.py": "1", "README.md": "x", ".github/new file\n.yml": "", "dvc.yaml": ""},
    )
    (tmp_path / "src/lockstep/a.py").unlink()
    commit(tmp_path)
    lay(tmp_path, {".github/workflows/test.yml": "on: pull_request_target\n", "requirements/é.txt": ""})
    assert judges(tmp_path, base) == [
        ".github/new file\n.yml",
        ".github/workflows/test.yml",
        "Makefile",
        "dvc.yaml",
        "requirements/é.txt",
        "src/lockstep/a.py",
    ]


def test_a_renamed_workflow_is_named_twice(tmp_path: Path) -> None:
    base = repository(tmp_path)
    (tmp_path / ".github/workflows/test.yml").rename(tmp_path / ".github/workflows/best.yml")
    commit(tmp_path)
    assert judges(tmp_path, base) == [".github/workflows/best.yml", ".github/workflows/test.yml"]


def test_notes_and_values_of_an_adversarial_base_stay_short(tmp_path: Path) -> None:
    wild = edited(CUSTOMERS, "train.params", {"|" * 9000: "<script>" * 9000})
    base = repository(
        tmp_path, **{"params.yaml": yaml.safe_dump(wild), "versions.toml": f'"{"x" * 9000}" = "{"y" * 9000}"\n'}
    )
    lay(tmp_path, {"params.yaml": FILES["params.yaml"], "versions.toml": FILES["versions.toml"]})
    found = looked(tmp_path, base)
    told = [part for each in (*found.spec, *found.versions) for part in (each.path, each.before, each.after)]
    assert max(map(len, told)) <= 60


def found(*places: tuple[str, str]) -> dict[str, Any]:
    return {"findings": [{"id": id_, "level": "warning", "column": column, "message": "so"} for id_, column in places]}


def test_findings_of_prepare_are_told_when_the_base_does_not_have_them_of_the_same_column() -> None:
    before, after = found(("leakage", "a"), ("vanishes", "b")), found(("leakage", "a"), ("leakage", "b"))
    assert new_findings(before, after) == (DataFinding(id="leakage", column="b", message="so"),)
    assert len(new_findings({}, after)) == 2
    assert new_findings(after, before) == (DataFinding(id="vanishes", column="b", message="so"),)


@pytest.mark.parametrize("odd", [None, 3, "x", [3], [{}], [{"id": 1, "column": "", "message": ""}], {"id": "x"}])
def test_what_is_no_finding_is_none(odd: Any) -> None:
    assert new_findings({}, {"findings": odd}) == ()
    assert len(new_findings({"findings": odd}, found(("leakage", "a")))) == 1


def test_a_column_that_the_base_knows_only_after_the_outcome_and_the_model_now_reads_is_exposed() -> None:
    after = {"type": "number", "available": "after"}
    before = {"columns": {"late": after, "kept": after, "gone": after, "plan": {"type": "category"}}}
    now = {"columns": {"late": {"type": "number", "available": "before"}, "kept": after, "plan": {"type": "category"}}}
    assert exposed(before, now) == ("late",)
    for aside in ({"type": "datetime"}, {"type": "number", "feature": False}):
        assert exposed(before, {"columns": {"late": aside}}) == ()
    assert exposed(None, now) == exposed({"columns": 3}, now) == ()
