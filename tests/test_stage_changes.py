from __future__ import annotations

from typing import Any

from lockstep.lock.entries import Entry
from lockstep.report.change import StageChange
from lockstep.report.stage_changes import gone, stage_changes, tracked


def entry(name: str = "train", **parts: Any) -> Entry:
    usual: dict[str, Any] = {
        "deps": {"data/training.parquet": "d1", "src/flights/source.py": "c1"},
        "params": {"params.yaml": {"train": {"seed": 7}}, "versions.toml": {"numpy": "2.4.5"}},
        "outs": {"model/model.onnx": "m1"},
    }
    return Entry(name=name, cmd="python -m train", **usual | parts)


def why(before: Entry, after: Entry, *others: Entry) -> tuple[str, ...]:
    entries = {each.name: each for each in others}
    (change,) = [
        change
        for change in stage_changes({**entries, before.name: before}, {**entries, after.name: after})
        if change.name == after.name
    ]
    assert change.state == "reran"
    return change.why


def test_a_stage_with_the_inputs_and_outputs_of_the_base_was_restored() -> None:
    assert stage_changes({"train": entry()}, {"train": entry()}) == (StageChange(name="train", state="restored"),)


def test_a_changed_param_is_named_as_deep_as_it_lies() -> None:
    params = {"params.yaml": {"train": {"seed": 8, "params": {"alpha": 1}}}, "versions.toml": {"numpy": "2.4.5"}}
    assert why(entry(), entry(params=params)) == ("params: train.seed, train.params.alpha",)


def test_a_key_that_only_one_of_them_tracks_is_named_whole() -> None:
    params = {"params.yaml": {"train": {"seed": 7}, "contract": {"key": ["a"]}}, "versions.toml": {"numpy": "2.4.5"}}
    assert why(entry(), entry(params=params)) == ("params: contract",)
    assert why(entry(params=params), entry()) == ("params: contract",)


def test_values_of_params_are_not_told() -> None:
    params = {"params.yaml": {"train": {"seed": "SECRET"}}, "versions.toml": {"numpy": "2.4.5"}}
    assert "SECRET" not in str(why(entry(), entry(params=params)))


def test_a_moved_version_is_told_from_what_to_what() -> None:
    params = {"params.yaml": {"train": {"seed": 7}}, "versions.toml": {"numpy": "2.4.6"}}
    assert why(entry(), entry(params=params)) == ("versions: numpy 2.4.5 → 2.4.6",)


def test_code_data_and_what_another_stage_made_are_told_apart() -> None:
    deps = {"data/training.parquet": "d2", "src/flights/source.py": "c2", "data/incoming": "new", "load.py": "new"}
    prepare = entry("prepare", outs={"data/training.parquet": "d2"})
    assert why(entry(), entry(deps=deps), prepare) == (
        "code: src/flights/source.py, load.py",
        "data: data/incoming",
        "from prepare: data/training.parquet",
    )


def test_a_dependency_that_is_gone_is_a_reason() -> None:
    assert why(entry(), entry(deps={"src/flights/source.py": "c1"})) == ("data: data/training.parquet",)


def test_many_paths_are_folded_into_their_folders() -> None:
    many = {f"src/lockstep/a{number}.py": "new" for number in range(30)} | {"src/flights/source.py": "c2"}
    assert why(entry(deps={}), entry(deps=many)) == ("code: src/lockstep (30), src/flights/source.py",)


def test_another_command_is_a_reason() -> None:
    other = Entry(name="train", cmd="python -m other", deps=entry().deps, params=entry().params, outs=entry().outs)
    assert why(entry(), other) == ("command",)


def test_other_outputs_from_the_same_inputs_are_said_to_be_that() -> None:
    assert why(entry(), entry(outs={"model/model.onnx": "m2"})) == ("the same inputs gave other outputs",)


def test_a_stage_that_the_base_lacks_ran_and_one_that_only_the_base_has_is_gone() -> None:
    (change,) = stage_changes({}, {"train": entry()})
    assert change == StageChange(name="train", state="reran", why=("the base has no run of it",))
    assert gone({"search": entry("search")}, {"train": entry()}) == ["search"]


def test_stages_keep_the_order_of_the_lock() -> None:
    after = {"b": entry("b"), "a": entry("a")}
    assert [change.name for change in stage_changes({}, after)] == ["b", "a"]


def test_another_params_file_is_named() -> None:
    assert why(entry(), entry(params=entry().params | {"more.json": {"a": 1}})) == ("more.json: a",)


def test_tracked_versions_are_those_of_all_stages() -> None:
    assert tracked({"train": entry(), "x": entry("x", params={"versions.toml": {"onnx": "1"}})}) == {"numpy", "onnx"}


def test_odd_keys_and_long_names_do_no_harm() -> None:
    odd: Any = {"params.yaml": {1: {None: 2}, "x" * 5000: 1}, 3: {"a": 1}, "versions.toml": {}}
    found = why(entry(), entry(params=odd, deps={5: "x", "|" * 5000: "y"}))
    assert all(len(phrase) < 400 for phrase in found)
