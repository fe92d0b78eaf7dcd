from __future__ import annotations

from typing import Any

import pytest

from lockstep.report.change import ContractChange
from lockstep.report.contract_changes import UNREADABLE, contract_changes, private_columns

TARGET = {"column": "left", "task": "binary", "positive": True}
NUMBER = {"type": "number", "unit": "mph", "min": 0, "max": 200}


def contract(target: Any = TARGET, key: Any = ("id",), time: Any = None, **columns: Any) -> dict[str, Any]:
    return {"key": list(key), "time": time, "target": target, "columns": {"id": {"type": "integer"}, **columns}}


def told(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(change.text, change.breaking) for change in contract_changes(before, after)]


def column(before: Any, after: Any) -> list[tuple[str, bool]]:
    return told(contract(wind=before), contract(wind=after))


def test_equal_contracts_differ_in_nothing_however_defaults_are_written() -> None:
    plain = {"type": "number"}
    written = {"type": "number", "missing": "refused", "feature": True, "private": False, "unit": "", "about": ""}
    assert column(plain, written) == []
    assert column({"type": "number", "min": 0}, {"type": "number", "min": 0.0}) == []


def test_the_order_of_columns_is_no_difference() -> None:
    one = contract(a={"type": "number"}, b={"type": "category"})
    assert told(one, contract(b={"type": "category"}, a={"type": "number"})) == []


@pytest.mark.parametrize(
    ("new", "said", "breaking"),
    [
        ({"type": "number"}, "`wind` is new: callers must send it", True),
        ({"type": "number", "missing": "allowed"}, "`wind` is new: callers may leave it out", False),
        ({"type": "number", "feature": False}, "`wind` is new, but callers do not send it", False),
        ({"type": "number", "available": "after"}, "`wind` is new, but callers do not send it", False),
        ({"type": "datetime"}, "`wind` is new, but callers do not send it", False),
        ({"type": "datetime", "parts": ["hour"]}, "`wind` is new: callers must send it", True),
    ],
)
def test_a_new_column_breaks_callers_only_if_they_must_send_it(new: dict[str, Any], said: str, breaking: bool) -> None:
    assert told(contract(), contract(wind=new)) == [(said, breaking)]


def test_a_column_that_is_gone_breaks_nobody_because_what_is_sent_beyond_the_contract_is_ignored() -> None:
    assert told(contract(wind=NUMBER), contract()) == [("`wind` is gone: callers may leave it out", False)]
    hidden = NUMBER | {"feature": False}
    assert told(contract(wind=hidden), contract()) == [("`wind` is gone; callers did not send it", False)]


def test_a_column_that_the_model_begins_or_ceases_to_read_is_like_a_new_one_or_one_that_is_gone() -> None:
    assert column(NUMBER | {"feature": False}, NUMBER) == [
        ("`wind` is read by the model now: callers must send it", True)
    ]
    optional = NUMBER | {"missing": "allowed"}
    assert column(optional | {"feature": False}, optional) == [
        ("`wind` is read by the model now: callers may leave it out", False)
    ]
    assert column(NUMBER, NUMBER | {"feature": False}) == [
        ("`wind` is no longer read by the model: callers may leave it out", False)
    ]


@pytest.mark.parametrize(
    ("changed", "said", "breaking"),
    [
        ({"type": "category"}, "`wind`: number → category", True),
        ({"unit": "km/h"}, "`wind`: unit mph → km/h", True),
        ({"unit": ""}, "`wind`: unit mph → not stated", False),
        ({"min": 1}, "`wind`: smallest value accepted: 0 → 1, narrower", True),
        ({"min": -1}, "`wind`: smallest value accepted: 0 → -1, wider", False),
        ({"min": None}, "`wind`: smallest value accepted: 0 → none, wider", False),
        ({"max": 199}, "`wind`: largest value accepted: 200 → 199, narrower", True),
        ({"max": 201}, "`wind`: largest value accepted: 200 → 201, wider", False),
        ({"missing": "allowed"}, "`wind`: may be missing now", False),
        ({"about": "a breeze"}, "`wind`: described in other words", False),
        ({"available": "before"}, "`wind`: known before or after the moment of prediction: not stated → before", False),
    ],
)
def test_what_a_caller_may_send_breaks_when_it_narrows(changed: dict[str, Any], said: str, breaking: bool) -> None:
    assert column(NUMBER, NUMBER | changed) == [(said, breaking)]


def test_the_same_narrowing_of_a_column_that_nobody_sends_breaks_nobody() -> None:
    hidden = NUMBER | {"feature": False}
    assert column(hidden, hidden | {"min": 1}) == [("`wind`: smallest value accepted: 0 → 1, narrower", False)]


def test_a_value_that_may_no_longer_be_missing_breaks() -> None:
    assert column(NUMBER | {"missing": "allowed"}, NUMBER) == [("`wind`: may no longer be missing", True)]


def test_a_bound_where_none_was_narrows() -> None:
    assert column({"type": "number"}, {"type": "number", "max": 5}) == [
        ("`wind`: largest value accepted: none → 5, narrower", True)
    ]


def test_bounds_of_moments_are_compared_as_moments() -> None:
    when = {"type": "datetime", "parts": ["hour"], "min": "2013-01-01"}
    assert column(when, when | {"min": "2013-01-01T00:30"})[0][1]
    assert not column(when, when | {"min": "2012-12-31T23:59"})[0][1]
    assert column(when, when | {"min": "whenever"})[0][1], "what cannot be put in order counts as narrower"
    assert column(when, when | {"min": 7})[0][1]


def test_labels_accepted_no_longer_break_and_more_of_them_do_not() -> None:
    place = {"type": "category", "allowed": ["EWR", "JFK"]}
    assert column(place, place | {"allowed": ["JFK", "LGA"]}) == [
        ("`wind`: values accepted no longer: EWR", True),
        ("`wind`: values accepted now also: LGA", False),
    ]
    assert column(place, place | {"allowed": ["JFK", "EWR"]}) == []
    assert column(place, {"type": "category"}) == [("`wind`: not only these values are accepted: EWR, JFK", False)]
    assert column({"type": "category"}, place) == [("`wind`: only these values are accepted now: EWR, JFK", True)]


def test_labels_that_training_never_saw_break_callers_when_they_are_refused_now() -> None:
    served, refused = {"type": "category"}, {"type": "category", "unknown": "refused"}
    assert column(served, refused) == [("`wind`: labels that training never saw are refused now", True)]
    assert column(refused, served) == [("`wind`: labels that training never saw are served now, and counted", False)]
    assert column(served, served | {"unknown": "served"}) == []
    hidden = {"feature": False}
    assert column(served | hidden, refused | hidden) == [
        ("`wind`: labels that training never saw are refused now", False)
    ]


def test_parts_and_the_most_labels_are_matters_of_training() -> None:
    when = {"type": "datetime", "parts": ["hour"]}
    assert column(when, when | {"parts": ["hour", "month"]}) == [("`wind`: the model sees hour → hour, month", False)]
    label = {"type": "category"}
    assert column(label, label | {"max_values": 9}) == [("`wind`: most labels in training none → 9", False)]


@pytest.mark.parametrize("side", ["before", "after", "both"])
def test_values_of_a_private_column_are_not_told(side: str) -> None:
    open_, hidden = {"private": False}, {"private": True}
    before = {"type": "category", "allowed": ["SECRET-1"], "min": 1234} | (open_ if side == "after" else hidden)
    after = {"type": "category", "allowed": ["SECRET-2"], "min": 5678} | (open_ if side == "before" else hidden)
    found = " ".join(text for text, _ in column(before, after))
    assert "accepted no longer" in found
    assert "smallest value accepted, narrower" in found
    assert not [secret for secret in ("SECRET", "1234", "5678") if secret in found]


def test_a_column_that_becomes_private_or_ceases_to_be_is_told() -> None:
    assert column(NUMBER, NUMBER | {"private": True}) == [("`wind`: private from now on", False)]
    assert column(NUMBER | {"private": True}, NUMBER) == [("`wind`: no longer private", False)]


def test_what_is_said_of_privacy_in_an_unknown_way_counts_as_private() -> None:
    declared = contract(a={"private": True}, b={"private": "yes"}, c={"private": False}, d={})
    assert private_columns(declared) == {"a", "b"}
    assert private_columns(None) == private_columns({"columns": [1]}) == set()


@pytest.mark.parametrize(
    ("changed", "said", "breaking"),
    [
        ({"column": "stayed"}, "the target is another column: left → stayed", True),
        ({"task": "multiclass"}, "the target is of another kind: binary → multiclass", True),
        ({"positive": False}, "the target counts another value as positive: true → false", True),
        ({"unit": "euro"}, "the target has another unit: none → euro", True),
        ({"known_after": "1 day"}, "the target is known at another time: none → 1 day", False),
        ({"about": "gone for good"}, "the target is described in other words", False),
    ],
)
def test_another_answer_breaks_callers(changed: dict[str, Any], said: str, breaking: bool) -> None:
    assert told(contract(), contract(target=TARGET | changed)) == [(said, breaking)]


def test_classes_that_the_answer_gains_or_loses_break_callers() -> None:
    changes = contract_changes(contract(), contract(), (["gold", "silver"], ["gold", "basic"]))
    assert changes == (
        ContractChange(
            text="the answer no longer has the classes: silver", breaking=True, short="the answer's classes"
        ),
        ContractChange(text="the answer now has the classes: basic", breaking=True, short="the answer's classes"),
    )
    assert contract_changes(contract(), contract(), ([], ["gold"])) == ()


def test_the_key_and_the_time_are_no_matter_of_callers() -> None:
    assert told(contract(), contract(key=["id", "day"], time="day")) == [
        ("the key of a row: [id] → [id, day]", False),
        ("the time of a row: none → day", False),
    ]


def test_breaking_changes_come_first() -> None:
    before, after = contract(a=NUMBER, z=NUMBER), contract(a=NUMBER | {"about": "x"}, z=NUMBER | {"unit": "knot"})
    assert [breaking for _, breaking in told(before, after)] == [True, False]


@pytest.mark.parametrize("before", [None, 3, "x", [], {}, {"columns": None}, {"columns": []}, {"columns": {}}], ids=str)
def test_a_base_whose_contract_cannot_be_read_counts_as_breaking(before: Any) -> None:
    assert contract_changes(before, contract()) == (UNREADABLE,)


ODD: dict[str, Any] = {
    "nothing": None,
    "text": "number",
    "list": ["number"],
    "keys": {1: 2},
    "type": {"type": ["number"], "unit": {"a": 1}},
    "parts": {"type": "datetime", "parts": {"hour": 1}},
    "allowed": {"type": "category", "allowed": "EWR", "max_values": [1]},
    "bounds": {"type": "number", "min": "low", "max": [1], "missing": None, "available": 3, "about": [2**20000]},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_column_declared_in_an_odd_way_gets_a_sentence(odd: Any) -> None:
    for new in ({"type": "number"}, {"type": "datetime", "parts": ["hour"]}, {"type": "category", "allowed": ["a"]}):
        found = told(contract(wind=odd), contract(wind=new))
        assert found
        assert all(len(text) < 300 for text, _ in found)


@pytest.mark.parametrize("target", [None, "left", ["left"], {}, {"column": ["a"], 1: 2}], ids=str)
def test_a_target_declared_in_an_odd_way_is_another_answer(target: Any) -> None:
    assert told(contract(target=target), contract())[0][1]


def test_long_names_and_labels_are_cut_and_kept_as_they_are_otherwise() -> None:
    long = contract(**{"<b>" * 5000: {"type": "category", "allowed": ["|" * 5000]}})
    ((text, _),) = told(contract(), long)
    assert text.startswith("`<b><b>")
    assert len(text) < 120
    changed = contract(**{"<b>" * 5000: {"type": "category", "allowed": ["x" * 5000] * 200}})
    assert max(len(text) for text, _ in told(long, changed)) < 400
