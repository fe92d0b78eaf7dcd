from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lockstep.report.change import SpecChange
from lockstep.report.spec_changes import LENGTH, comparable, differences, same, spec_changes


def said(before: dict[Any, Any], after: dict[Any, Any]) -> list[tuple[str, str, str]]:
    return [(change.path, change.before, change.after) for change in spec_changes(before, after)]


def test_a_changed_key_is_named_by_its_path_with_both_values() -> None:
    before = {"train": {"params": {"learning_rate": 0.06, "max_leaf_nodes": 63}, "seed": 7}}
    after = {"train": {"params": {"learning_rate": 0.1, "max_leaf_nodes": 63}, "seed": 7}}
    assert said(before, after) == [("train.params.learning_rate", "0.06", "0.1")]


def test_a_key_that_came_or_went_has_an_empty_side() -> None:
    assert said({"split": {"gap": "1 day"}}, {"split": {"salt": ""}}) == [
        ("split.salt", "", '""'),
        ("split.gap", "1 day", ""),
    ]


def test_a_new_section_is_told_key_by_key() -> None:
    after = {"train": {"search": {"trials": 5, "params": {"alpha": 0.1}}}}
    assert said({"train": {}}, after) == [("train.search.trials", "", "5"), ("train.search.params.alpha", "", "0.1")]


def test_how_it_is_served_and_released_is_told_key_by_key() -> None:
    after = {"serve": {"log": 0.1}, "release": {"trust_pull_requests": True, "run_image": "example.org/python:3.11"}}
    assert said({}, after) == [
        ("serve.log", "", "0.1"),
        ("release.trust_pull_requests", "", "true"),
        ("release.run_image", "", "example.org/python:3.11"),
    ]
    before = {"release": {"run_image": "example.org/a-long-name/of-a-team/with-many-images/python:3.11-slim-bookworm"}}
    now = {"release": {"run_image": "example.org/a-long-name/of-a-team/with-many-images/python:3.11-slim-trixie"}}
    _, old, new = said(before, now)[0]
    assert "bookworm" in old
    assert "trixie" in new


def test_an_estimator_is_told_by_its_class_unless_only_its_module_changed() -> None:
    def change(before: str, after: str) -> tuple[str, str, str]:
        return said({"train": {"estimator": before}}, {"train": {"estimator": after}})[0]

    assert change("sklearn.linear_model.LogisticRegression", "sklearn.ensemble.RandomForestClassifier") == (
        "train.estimator",
        "LogisticRegression",
        "RandomForestClassifier",
    )
    assert change("mine.Model", "theirs.Model") == ("train.estimator", "mine.Model", "theirs.Model")
    assert change("mine.Model", "") == ("train.estimator", "Model", '""')


def test_a_threshold_is_one_choice_though_some_are_written_as_mappings() -> None:
    before, after = {"evaluate": {"threshold": {"maximise": "f1"}}}, {"evaluate": {"threshold": {"precision": 0.6}}}
    assert said(before, after) == [("evaluate.threshold", "{maximise: f1}", "{precision: 0.6}")]


def test_a_list_says_which_items_are_gone_and_which_came() -> None:
    before, after = {"evaluate": {"metrics": ["roc_auc", "brier"]}}, {"evaluate": {"metrics": ["f1", "roc_auc"]}}
    assert spec_changes(before, after) == (SpecChange(path="evaluate.metrics", before="brier", after="f1", items=True),)


@pytest.mark.parametrize(("before", "after"), [({}, {"slices": ["a", "b"]}), ({"slices": []}, {"slices": ["a", "b"]})])
def test_a_list_that_came_is_all_new_items(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert spec_changes(before, after) == (SpecChange(path="slices", before="", after="a, b", items=True),)


def test_an_item_that_stands_there_once_more_is_a_new_one() -> None:
    assert said({"x": [1]}, {"x": [1, 1]}) == [("x", "", "1")]


def test_a_list_in_another_order_says_so() -> None:
    assert said({"x": ["a", "b"]}, {"x": ["b", "a"]}) == [("x", "the same items", "in another order")]


def test_each_gate_that_is_gone_or_new_is_told_by_itself() -> None:
    before = {"gates": [{"metric": "roc_auc", "at_least": 0.65}, {"quarantined": 0.01}]}
    after = {"gates": [{"metric": "roc_auc", "at_least": 0.6}, {"quarantined": 0.01}]}
    assert said(before, after) == [
        ("gates", "{metric: roc_auc, at_least: 0.65}", ""),
        ("gates", "", "{metric: roc_auc, at_least: 0.6}"),
    ]


def test_a_long_list_is_counted() -> None:
    ((_, _, after),) = said({"x": []}, {"x": [f"column_{number}" for number in range(100)]})
    assert after.endswith("column_7 and 92 more")


def test_columns_are_left_to_the_contract_part_and_so_is_a_contract_that_one_side_lacks() -> None:
    contract = {"key": ["id"], "columns": {"secret": {"private": True, "allowed": ["label"]}}}
    assert said({"contract": {"key": ["id"], "columns": {}}}, {"contract": contract}) == []
    assert said({"contract": None}, {"contract": contract}) == []
    assert said({"contract": [contract]}, {"contract": contract}) == []
    assert said({"contract": {"columns": 3}}, {"contract": contract}) == [("contract.key", "", "id")]


def test_text_that_looks_like_a_number_is_told_from_the_number() -> None:
    assert said({"x": "1"}, {"x": 1}) == [("x", '"1"', "1")]
    assert said({"x": True}, {"x": 1}) == [("x", "true", "1")]
    assert said({"x": None}, {"x": "null"}) == [("x", "null", '"null"')]
    assert said({"x": "a "}, {"x": "a"}) == [("x", '"a "', "a")]


@pytest.mark.parametrize(
    ("before", "after"), [(1, 1.0), (float("nan"), float("nan")), ([1], [1.0]), ({"a": 1}, {"a": 1.0})]
)
def test_what_dvc_sees_as_the_same_is_no_change(before: Any, after: Any) -> None:
    assert same(before, after)
    assert said({"x": before}, {"x": after}) == []


def test_long_values_are_cut_and_shown_from_where_they_differ() -> None:
    ((path, before, after),) = said(
        {"k" * 500: "x" * 5000 + "a" + "y" * 5000}, {"k" * 500: "x" * 5000 + "b" + "y" * 5000}
    )
    assert max(map(len, (path, before, after))) == LENGTH
    assert before != after
    ((_, before, after),) = said({"q": "x" * 5000}, {"q": "x" * 5001})
    assert before != after


def test_a_password_in_a_url_is_not_told() -> None:
    changed = said({"files": "s3://me:old@host/a"}, {"files": "s3://me:new@host/b"})
    assert changed == [("files", "s3://host/a", "s3://host/b")]
    ((_, before, after),) = said({"files": "s3://me:old@host/a"}, {"files": "s3://me:new@host/a"})
    assert (before, after) == ("s3://host/a", "another value, which is not shown")


@pytest.mark.parametrize(
    "name", ["|", "<script>alert(1)</script>", "@everyone", "a\nb", "`x`", "a.b", "\u202e", "![x](http://y)"]
)
def test_hostile_names_and_values_stay_as_they_are(name: str) -> None:
    ((path, _, after),) = said({"train": {}}, {"train": {name: f"{name}!"}})
    assert path == f"train.{name}"
    assert f"{name}!" in after.replace("\\n", "\n") or name.startswith("![")


ODD: dict[str, Any] = {
    "keys": {1: 2, None: 3, (1, 2): 4, date(2013, 1, 1): "x"},
    "deep": {True: {"a": [{1}]}},
    "bytes": b"\xff",
    "set": {1, "a"},
    "huge": 2**20000,
    "digits": "9" * 5000,
    "infinite": float("inf"),
    "date": date(2013, 1, 1),
    "lists": [[["x"]]],
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_whatever_yaml_can_hold_is_told(value: Any) -> None:
    for before, after in (
        ({"x": value}, {"x": 1}),
        ({"x": 1}, {"x": value}),
        ({}, {"x": value}),
        ({"x": [value]}, {"x": [1]}),
    ):
        assert all(len(part) <= 2 * LENGTH for change in said(before, after) for part in change)
        assert said(before, before) == []


def laughs() -> str:
    names = "abcdefghij"
    lines = [f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]" for old, new in pairwise(names)]
    return "\n".join(["a: &a [x,x,x,x,x,x,x,x,x]", *lines])


ENDLESS = {
    "itself": "a: &a [*a]",
    "itself in a mapping": "a: &a {b: *a}",
    "laughs": laughs(),
    "long": "a: &a " + "x" * 100_000 + "\nb: [" + ",".join(["*a"] * 1000) + "]",
    "deep": "a: " + "[" * 60 + "]" * 60,
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_what_aliases_or_nesting_make_endless_is_not_walked_through(text: str) -> None:
    assert not comparable(yaml.load(text, Loader=yaml.CSafeLoader))


def test_an_ordinary_file_is_comparable() -> None:
    assert comparable({"a": [{"b": {1, 2}}], "c": "x" * 5000})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(0, 3), inner, max_size=4)
    ),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@given(MAPPINGS, MAPPINGS)
def test_two_mappings_differ_exactly_where_something_is_told(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = list(differences(before, after))
    assert bool(found) == (not same(before, after))
    assert len(found) == len(list(differences(after, before)))
    assert list(differences(before, before)) == []


@given(MAPPINGS, MAPPINGS)
def test_nothing_that_is_told_is_long(before: dict[str, Any], after: dict[str, Any]) -> None:
    for change in spec_changes(before, after):
        limit = LENGTH * (5 if change.items else 1)
        assert max(len(change.path), len(change.before), len(change.after)) <= limit
        assert change.before != change.after or change.before == ""


def test_a_mapping_on_one_side_only_is_told_whole() -> None:
    assert said({"split": "time"}, {"split": {"by": "key"}}) == [("split", "time", "{by: key}")]
