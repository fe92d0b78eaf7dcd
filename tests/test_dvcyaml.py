from __future__ import annotations

import json

import pytest
import yaml

from conftest import ROOT, Project
from lockstep import dvcyaml
from lockstep.errors import InputError
from lockstep.running import versions
from lockstep.sources import imports


def differences(toy: Project) -> list[str]:
    imports.forget()
    return dvcyaml.differences(toy.root, toy.modules)


def fix(toy: Project) -> None:
    imports.forget()
    assert dvcyaml.fix(toy.root, toy.modules) == [toy.root / "dvc.yaml"]
    assert differences(toy) == []


def stale(toy: Project) -> set[str]:
    """The stages that DVC would run again."""
    return set(json.loads(toy.run("dvc", "status", "--json").stdout))


def test_the_repository_s_own_dvc_yaml_is_true() -> None:
    assert dvcyaml.differences(ROOT) == []


def test_the_file_reads_as_stages_with_their_reasons(toy: Project) -> None:
    stages = yaml.safe_load(toy.read("dvc.yaml"))["stages"]
    assert list(stages) == ["one", "two"]
    assert list(stages["two"]) == ["desc", "cmd", "deps", "params", "outs", "metrics"]
    assert stages["one"]["deps"] == [
        "src/toy/__init__.py", "src/toy/helper.py", "src/toy/stages/one.py",
    ]  # fmt: skip
    assert stages["two"]["deps"][0] == "data/word.txt"
    assert stages["two"]["params"][0] == "train.seed"
    assert {"python", "lockstep-ml", "scikit-learn", "numpy"} <= set(stages["two"]["params"][1][versions.FILE])
    assert stages["two"]["outs"] == ["model/model.txt", {"model/card.md": {"cache": False}}]
    assert stages["two"]["metrics"] == [{"reports/metrics.json": {"cache": False}}]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("      - src/toy/helper.py\n", "", "stage one, deps, lacks src/toy/helper.py"),
        ("      - src/toy/__init__.py\n", "", "lacks src/toy/__init__.py"),
        ("      - train.seed\n", "", "stage two, params, lacks train.seed"),
        (" scikit-learn,", "", "stage two, params of versions.toml, lacks scikit-learn"),
        ("[python,", "[python, ruff,", "has ruff, which the stage does not use"),
        ("          cache: false\n", "          cache: true\n", "must have `cache: false`"),
        ("python -m toy.stages.one", "python -m toy.stages.uno", "runs `python -m toy.stages.uno` instead of"),
        ("    desc: write a word\n", "    frozen: true\n", "must not say `frozen`"),
        ("  two:", "  other:", "stage two is missing"),
    ],
)
def test_a_list_that_is_not_true_is_named_and_mended(toy: Project, old: str, new: str, complaint: str) -> None:
    assert differences(toy) == []
    toy.edit("dvc.yaml", old, new)
    found = differences(toy)
    assert any(complaint in sentence for sentence in found), found
    fix(toy)


def test_a_new_import_is_noticed(toy: Project) -> None:
    (toy.root / "src/toy/more.py").write_text("import scipy\n")
    toy.edit("src/toy/helper.py", "WORD", "from toy import more\n\nWORD")
    assert any("lacks src/toy/more.py" in sentence for sentence in differences(toy))
    fix(toy)
    toy.edit("src/toy/helper.py", "from toy import more\n", "")
    assert any("has src/toy/more.py, which the stage does not use" in sentence for sentence in differences(toy))


def test_a_declared_part_of_the_spec_is_listed_once_it_is_written(toy: Project) -> None:
    assert "train.calibrate" not in toy.read("dvc.yaml")
    toy.edit("params.yaml", "  seed: 1", "  seed: 1\n  calibrate: sigmoid")
    assert any("lacks train.calibrate" in sentence for sentence in differences(toy))
    fix(toy)


def test_fix_keeps_comments_other_stages_and_what_the_project_added(toy: Project) -> None:
    toy.edit("dvc.yaml", "      - src/toy/helper.py\n", "")
    (toy.root / "incoming.csv").write_text("a\n")
    toy.edit("dvc.yaml", "stages:\n", "# ours\nstages:\n  extra:\n    cmd: echo hi  # greeting\n")
    toy.edit("dvc.yaml", "    deps:\n", "    deps:\n      - incoming.csv  # what the source reads\n")
    toy.edit("dvc.yaml", "desc: write a word", "desc: my own words")
    toy.edit("dvc.yaml", "          cache: false", "          cache: false\n          desc: kept")
    fix(toy)
    text = toy.read("dvc.yaml")
    for kept in (
        "# ours",
        "echo hi  # greeting",
        "incoming.csv  # what the source reads",
        "my own words",
        "desc: kept",
    ):
        assert kept in text


def test_a_missing_or_broken_file_is_an_error(toy: Project) -> None:
    (toy.root / "dvc.yaml").write_text("stages: [\n")
    with pytest.raises(InputError, match=r"dvc.yaml cannot be read"):
        differences(toy)
    (toy.root / "dvc.yaml").unlink()
    with pytest.raises(InputError, match="check --fix"):
        differences(toy)


def test_upgrading_what_a_stage_imports_reruns_it_and_upgrading_a_tool_reruns_nothing(toy: Project) -> None:
    toy.repro()
    assert stale(toy) == set()
    before = toy.read(versions.FILE)
    tracked = versions.read(toy.root)
    toy.edit(versions.FILE, f'scikit-learn = "{tracked["scikit-learn"]}"', 'scikit-learn = "99"')
    assert stale(toy) == {"two"}
    (toy.root / versions.FILE).write_text(before + 'ruff = "99"\n')
    assert stale(toy) == set()
    toy.edit(versions.FILE, f'rich = "{tracked["rich"]}"', 'rich = "99"')
    assert stale(toy) == set()


def test_what_a_stage_imports_reruns_it_and_what_it_does_not_import_reruns_nothing(toy: Project) -> None:
    toy.repro()
    (toy.root / "src/toy/notes.py").write_text("")
    toy.edit("params.yaml", "primary: roc_auc", "primary: roc_auc  # still")
    assert stale(toy) == set()
    toy.edit("src/toy/helper.py", "hello", "good morning")
    assert stale(toy) == {"one"}
    toy.edit("src/toy/helper.py", "good morning", "hello")
    toy.edit("params.yaml", "seed: 1", "seed: 2")
    assert stale(toy) == {"two"}


def test_a_folder_of_code_that_is_not_needed_whole_is_complained_about_and_data_is_not(toy: Project) -> None:
    for name in ("src/toy/deep/a.py", "src/mine/__init__.py", "src/mine/b.py", "assets/words.txt", "assets/make.py"):
        (toy.root / name).parent.mkdir(parents=True, exist_ok=True)
        (toy.root / name).write_text("# something\n")
    added = ("src/toy/deep", "src/mine", "src", "assets")
    toy.edit("dvc.yaml", "    deps:\n", "    deps:\n" + "".join(f"      - {name}\n" for name in added))
    assert any("has src/toy/deep, src/mine, src, which the stage does not use" in found for found in differences(toy))
    fix(toy)
    assert "- assets\n" in toy.read("dvc.yaml")
    assert "- src/mine\n" not in toy.read("dvc.yaml")


DAMAGED = {
    "a: [": "cannot be read: while parsing",
    "<<<<<<< HEAD\n": "it is not a mapping",
    "[1]": "it is not a mapping",
    "stages: abc": "stages is not a mapping",
    "stages: []": "stages is not a mapping",
    "stages: {one: [1]}": "stages.one is not a mapping",
    "stages: {one: null}": "stages.one is not a mapping",
    "stages: {one: {params: 3}}": "stages.one.params is not a list",
    "stages: {one: {params: [{versions.toml: abc}]}}": "stages.one.params, versions.toml is not a list",
    "stages: {one: {params: [{versions.toml: [{}]}]}}": "versions.toml has an item that is not a name",
    "stages: {one: {outs: [[1]]}}": "stages.one.outs has an item that is not a name",
    "stages: {one: {outs: [{}]}}": "stages.one.outs has an item that is not a name",
    "stages: {one: {outs: [{data/word.txt: 3}]}}": "stages.one.outs, data/word.txt is not a mapping",
    "when: 2024-13-45": "cannot be read",
}


@pytest.mark.parametrize("text", DAMAGED)
@pytest.mark.parametrize("work", [dvcyaml.differences, dvcyaml.fix])
def test_a_damaged_file_is_one_sentence_whether_it_is_looked_at_or_mended(toy: Project, text: str, work) -> None:
    (toy.root / "dvc.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        work(toy.root, toy.modules)
    assert DAMAGED[text] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert toy.read("dvc.yaml") == text


def test_a_file_that_is_not_text_and_a_key_that_is_there_twice_are_errors(toy: Project) -> None:
    toy.edit("dvc.yaml", "stages:\n", "stages: {}\nstages:\n")
    with pytest.raises(InputError, match="duplicate key"):
        dvcyaml.fix(toy.root, toy.modules)
    (toy.root / "dvc.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        dvcyaml.fix(toy.root, toy.modules)


@pytest.mark.parametrize("text", ["", "# nothing\n", "stages:\n", "stages: {one: {deps: , params: , outs: }}"])
def test_what_is_empty_is_filled(toy: Project, text: str) -> None:
    (toy.root / "dvc.yaml").write_text(text)
    assert differences(toy)
    fix(toy)


def test_versions_without_keys_are_filled(toy: Project) -> None:
    (toy.root / "dvc.yaml").write_text("stages: {one: {params: [{versions.toml: null}]}}")
    fix(toy)


def test_a_dep_that_is_not_there_any_more_is_said_and_removed(toy: Project) -> None:
    toy.edit("dvc.yaml", "    deps:\n", "    deps:\n      - data/incoming  # until we moved\n")
    found = differences(toy)
    assert any("has data/incoming, which does not exist, and no stage writes it" in sentence for sentence in found)
    fix(toy)
    assert "data/incoming" not in toy.read("dvc.yaml")


def test_a_dep_that_a_stage_or_a_download_brings_stays(toy: Project) -> None:
    (toy.root / "lists").mkdir()
    (toy.root / "lists/words.txt.dvc").write_text("outs: []\n")
    (toy.root / "other").mkdir()
    (toy.root / "other/dvc.yaml").write_text("stages: {}\n")
    extra = "  ours:\n    cmd: x\n    wdir: sub\n    outs: [made]\n"
    extra += "  each:\n    foreach: [a]\n    do: {cmd: x, outs: ['parts/${item}.csv']}\n"
    toy.edit("dvc.yaml", "stages:\n", "stages:\n" + extra)
    kept = ["s3://bucket/rows", "remote://ours/rows", "lists/words.txt", "other/table.csv", "sub/made", "sub/made/a"]
    kept += ["parts/a.csv", "reports", "data/word.txt", "model/model.txt"]
    lines = "".join(f"      - {name}\n" for name in kept)
    toy.edit("dvc.yaml", "      - src/toy/helper.py\n", "      - src/toy/helper.py\n" + lines)
    assert differences(toy) == []


def test_files_for_which_a_folder_stands_now_are_not_called_unused(toy: Project) -> None:
    for name in ("__init__", "a", "b"):
        (toy.root / f"src/toy/more/{name}.py").parent.mkdir(exist_ok=True)
        (toy.root / f"src/toy/more/{name}.py").write_text("# something\n")
    (toy.root / "src/toy/more/a.py").write_text("from toy.more import b\n")
    toy.edit("src/toy/helper.py", "WORD", "from toy.more import a\n\nWORD")
    before = "      - src/toy/helper.py\n"
    toy.edit("dvc.yaml", before, before + "      - src/toy/more/__init__.py\n      - src/toy/more/a.py\n")
    found = " ".join(differences(toy))
    assert "has src/toy/more/__init__.py, src/toy/more/a.py, now listed as src/toy/more" in found
    assert "does not use" not in found
    fix(toy)
