"""The service's answers over HTTP, from one ASGI application: predictions, refusals, feedback, documents, health."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.batch.scorer import Scorer
from lockstep.errors import InputError
from lockstep.models.model import as_float32
from lockstep.serving import app, arrival, bodies
from lockstep.serving.answers import shortest
from lockstep.serving.rows import STRANGERS
from lockstep.serving.settings import Settings
from lockstep.serving.settings import settings as read_settings
from served import COLUMNS, ROW, Asked, Reply, a_model, golden_of, said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("binary"))


@pytest.fixture
def asked(folder: Path) -> Asked:
    return Asked(folder, version="v1.2.0", commit="c0ffee", lock="10c4", name="customers")


@pytest.fixture(scope="module")
def one(folder: Path) -> Asked:
    """One for questions that leave nothing behind."""
    return Asked(folder)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


# Predictions.


def test_one_row_gets_one_answer_that_says_all_there_is_to_say(asked: Asked) -> None:
    reply = asked.post("/predict", ROW, x_request_id="order-17")
    model = asked.service.predictor.fingerprint[:12]
    answer = reply.json
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"] == "order-17"
    assert list(answer) == ["label", "probability", "threshold", "version", "model", "request"]
    assert answer["label"] is (answer["probability"] >= answer["threshold"])
    assert (answer["version"], answer["model"], answer["request"]) == ("v1.2.0", model, "order-17")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_golden_rows_are_answered_to_the_bit_one_by_one_and_together(task: str, tmp_path: Path) -> None:
    golden, asked = golden_of(a_model(tmp_path, task)), Asked(tmp_path)
    together = asked.post("/predict", golden["rows"])
    assert together.status == 200
    assert [said(answer) for answer in together.json] == golden["predictions"]
    assert [said(asked.post("/predict", row).json) for row in golden["rows"]] == golden["predictions"]


def test_classes_get_their_probabilities_and_a_value_has_no_threshold(tmp_path: Path) -> None:
    answer = Asked(a_model(tmp_path / "m", "multiclass")).post("/predict", ROW).json
    assert set(answer["probabilities"]) == {"basic", "gold", "silver"}
    assert answer["probability"] == answer["probabilities"][answer["label"]] == max(answer["probabilities"].values())
    value = Asked(a_model(tmp_path / "r", "regression")).post("/predict", ROW).json
    assert list(value) == ["value", "version", "model", "request"]


def test_a_linear_model_with_calibration_answers_as_it_was_evaluated(tmp_path: Path) -> None:
    estimator = {"estimator": "sklearn.linear_model.LogisticRegression", "params": {}, "calibrate": "sigmoid"}
    golden, asked = golden_of(a_model(tmp_path, **estimator)), Asked(tmp_path)
    assert [said(answer) for answer in asked.post("/predict", golden["rows"]).json] == golden["predictions"]


def test_floats_are_written_as_as_float32_defines() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)].astype(np.float64)
    assert shortest(values) == as_float32(values)
    assert shortest(values[:30].reshape(10, 3)) == as_float32(values[:30].reshape(10, 3))


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ü", "a/b", "a\r\nb: c"])
def test_a_request_id_of_another_form_is_replaced(name: str, one: Asked) -> None:
    made = [one.post("/predict", ROW, x_request_id=name).headers["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{24}", each) for each in made)
    assert made[0] != made[1]


def test_a_thousand_rows_are_answered_and_one_more_is_refused(one: Asked) -> None:
    assert len(one.post("/predict", [ROW] * 1000).json) == 1000
    reply = one.post("/predict", [ROW] * 1001)
    assert (reply.status, "1,001" in reply.json["error"]) == (413, True)


def test_labels_that_training_never_saw_are_served_and_counted(asked: Asked) -> None:
    assert asked.post("/predict", [{**ROW, "city": "Oslo"}, ROW, {**ROW, "device": None}]).status == 200
    assert asked.metric('lockstep_unknown_categories_total{column="city"}') == 1
    assert asked.metric('lockstep_missing_values_total{column="device"}') == 1
    labels = [asked.metric(f'lockstep_predictions_total{{label="{label}"}}') for label in ("true", "false")]
    assert sum(labels) == 3


def test_labels_that_training_never_saw_are_refused_where_the_contract_says_so(tmp_path: Path) -> None:
    asked = Asked(a_model(tmp_path, columns={"city": {"type": "category", "unknown": "refused"}}))
    reply = asked.post("/predict", {**ROW, "city": "Oslo"})
    assert (reply.status, reply.json["problems"][0]["column"]) == (400, "city")
    assert asked.post("/predict", {**ROW, "city": "Ulm"}).status == 200


# Refusals.


def test_all_bad_cells_are_named_at_once_and_counted(asked: Asked) -> None:
    rows = [ROW, {**ROW, "age": -30, "sity": "Kiel"}, {**ROW, "city": None}, {**ROW, "age": 300}]
    reply = asked.post("/predict", rows, x_request_id="r1")
    assert reply.status == 400
    assert reply.json == {
        "error": "nothing was predicted: 4 cells of 3 of 4 rows break the contract",
        "request": "r1",
        "problems": [
            {"row": 1, "column": "age", "value": -30, "rule": "at least -20"},
            {
                "row": 1,
                "column": "sity",
                "rule": "to be left out: the contract has no such column. Did you mean `city`?",
            },
            {"row": 2, "column": "city", "value": None, "rule": "must be given"},
            {"row": 3, "column": "age", "value": 300, "rule": "at most 200"},
        ],
    }
    assert asked.metric('lockstep_refused_rows_total{column="age"}') == 2
    assert asked.metric('lockstep_refused_rows_total{column="(undeclared)"}') == 1
    assert asked.metric('lockstep_requests_total{path="/predict",status="400"}') == 1
    assert asked.metric('lockstep_predictions_total{label="true"}') == 0


def test_of_very_many_bad_cells_the_rest_is_counted_quickly(one: Asked) -> None:
    started = time.monotonic()
    reply = one.post("/predict", [{f"column{name}": 1 for name in range(200)}] * 1000)
    assert reply.status == 400
    assert len(reply.json["problems"]) == 100
    assert reply.json["more"] == 1000 * (STRANGERS + 1 + 4) - 100
    assert time.monotonic() - started < 10


def test_half_a_million_names_that_nobody_knows_cost_little_and_are_counted_once_a_row(asked: Asked) -> None:
    body = b"[" + b",".join([b"{" + b",".join(b'"u%d":1' % at for at in range(20_000)) + b"}"] * 20) + b"]"
    started = time.process_time()
    reply = asked.post("/predict", body)
    assert time.process_time() - started < 1.0
    assert reply.status == 400
    rules = [each["rule"] for each in reply.json["problems"] if each["column"] is None]
    assert rules[0] == f"{20_000 - STRANGERS:,} more names: to be left out: the contract has no such column"
    assert asked.metric('lockstep_refused_rows_total{column="(undeclared)"}') == 20


@pytest.mark.parametrize("path", ["/predict", "/feedback"])
@pytest.mark.parametrize(
    "shape",
    [("", ""), ('{"age":', ',"b":"\\u0041"}'), ('[{"age":1,"age":', "}]"), (" " * bodies.MOST_ROWS * 20, "")],
    ids=["alone", "beside an escape", "in a name given twice", "in a large body"],
)
def test_a_body_of_any_depth_is_refused_and_is_no_failure(path: str, shape: tuple[str, str], keeping: Asked) -> None:
    for depth in [1, 2, 500, *range(900, 1101, 3)]:
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            inner = opening * depth + ("" if opening == "[" else "1") + closing * depth
            reply = keeping.post(path, f"{shape[0]}{inner}{shape[1]}".encode())
            assert (reply.status, bool(reply.json["error"])) == (400, True), (depth, opening)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"city": "\xff"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b"[]", "1 to 1,000"),
        (b"3", "must be one object"),
        (b'"x"', "must be one object"),
        (b"null", "must be one object"),
        (b"[1, null]", "2 cells of 2 of 2 rows"),
        (b'{"age": "x", "city": 3}', "4 cells of row 0 break"),
    ],
)
def test_what_is_no_rows_is_refused_with_a_sentence(body: bytes, word: str, one: Asked) -> None:
    reply = one.post("/predict", body)
    assert reply.status == 400
    assert word in reply.json["error"]


@pytest.mark.parametrize(
    ("cell", "column", "rule"),
    [
        ('"age": NaN', "age", "a finite number"),
        ('"age": -Infinity', "age", "a finite number"),
        ('"age": 1e400', "age", "a finite number"),
        (f'"age": {"9" * 400}', "age", "at most 200"),
        ('"age": 1, "age": 2', "age", "to be given once"),
        ('"age" : 1, "\\u0061ge" : 2', "age", "to be given once"),
        ('"age": [[[[1]]]]', "age", "a number"),
    ],
)
def test_what_json_does_not_allow_is_named_by_its_cell(cell: str, column: str, rule: str, one: Asked) -> None:
    rest = json.dumps({name: value for name, value in ROW.items() if name != "age"})[1:]
    reply = one.post("/predict", f"[{json.dumps(ROW)}, {{{cell}, {rest}]".encode())
    assert reply.status == 400
    assert [(each["row"], each["column"], each["rule"]) for each in reply.json["problems"]] == [(1, column, rule)]


def test_half_a_character_is_not_json_though_nothing_else_is_wrong(one: Asked) -> None:
    reply = one.post("/predict", json.dumps({**ROW, "city": "\ud800"}).encode())
    assert (reply.status, "not JSON" in reply.json["error"]) == (400, True)


def test_values_that_lead_a_linear_model_beyond_all_numbers_are_refused(tmp_path: Path) -> None:
    estimator = {"estimator": "sklearn.linear_model.LinearRegression", "params": {}}
    asked = Asked(a_model(tmp_path, "regression", columns={"visits": {"type": "number"}}, **estimator))
    reply = asked.post("/predict", [ROW, {**ROW, "visits": 3e38}])
    assert reply.status == 400
    assert [(each["row"], each["column"]) for each in reply.json["problems"]] == [(1, None)]
    assert "finite" in reply.json["error"]


def test_too_large_a_body_is_refused_before_it_is_read_and_the_connection_ends(one: Asked) -> None:
    reply = one.ask("POST", "/predict", [None], content_length=str(bodies.MOST_BYTES + 1))
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    part = b" " * (bodies.MOST_BYTES // 3)
    assert one.ask("POST", "/predict", [part] * 4).status == 413
    assert one.ask("POST", "/predict", [part, json.dumps(ROW).encode()]).status == 200


def test_names_given_twice_among_very_many_are_found_quickly(one: Asked) -> None:
    body = b'{"a": 1, "a": 2, ' + b", ".join(b'"n%d": 1' % at for at in range(150_000)) + b"}"
    started = time.monotonic()
    reply = one.post("/predict", body)
    assert time.monotonic() - started < 10
    assert [each["column"] for each in reply.json["problems"] if each["rule"] == "to be given once"] == ["a"]


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5000, "³"])
def test_a_strange_content_length_is_no_failure(length: str, one: Asked) -> None:
    assert one.post("/predict", ROW, content_length=length).status in (200, 413)


def test_a_body_may_come_in_many_parts_and_a_slow_one_is_not_waited_for(
    one: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(ROW).encode()
    assert one.ask("POST", "/predict", [body[at : at + 1] for at in range(len(body))]).status == 200

    async def never() -> dict[str, Any]:
        import asyncio

        await asyncio.sleep(30)
        raise AssertionError

    import asyncio

    monkeypatch.setattr(arrival, "PATIENCE", 0.05)
    monkeypatch.setattr(arrival, "EVERY", 0.1)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(one.app({"type": "http", "method": "POST", "path": "/predict", "headers": []}, never, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_many_batches_at_once_wait_for_their_turn_and_only_very_much_is_refused(
    one: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async def at_once(body: bytes, times: int) -> list[Reply]:
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
        return await asyncio.gather(*(one._ask(scope, [body]) for _ in range(times)))

    batch = json.dumps([ROW] * 200).encode()
    assert len(batch) > app.INLINE
    assert {reply.status for reply in asyncio.run(at_once(batch, 100))} == {200}
    monkeypatch.setattr(app, "MOST_LARGE", 3 * len(batch))
    replies = asyncio.run(at_once(batch, 5))
    assert sorted(reply.status for reply in replies) == [200, 200, 200, 503, 503]
    assert {reply.headers["retry-after"] for reply in replies if reply.status == 503} == {"3"}
    assert one.post("/predict", batch).status == 200


def test_a_caller_who_goes_away_is_no_failure(asked: Asked) -> None:
    assert asked.ask("POST", "/predict", [b'{"city":', None]) == Reply(0, {}, b"")
    assert asked.metric('lockstep_requests_total{path="/predict",status="499"}') == 1


def test_a_gzip_body_is_understood_and_a_bomb_is_not_unpacked(one: Asked) -> None:
    body = gzip.compress(json.dumps(ROW).encode())
    assert one.post("/predict", body, content_encoding="gzip").status == 200
    assert one.post("/predict", body[:-9], content_encoding="gzip").status == 400
    halves = [gzip.compress(part) for part in (json.dumps(ROW).encode()[:20], json.dumps(ROW).encode()[20:])]
    assert one.post("/predict", b"".join(halves), content_encoding="gzip").status == 200
    assert one.post("/predict", body + b"junk", content_encoding="gzip").status == 400
    assert one.post("/predict", gzip.compress(b"") * 200_000 + body, content_encoding="gzip").status == 400
    assert one.post("/predict", b"no gzip", content_encoding="gzip").status == 400
    bomb = gzip.compress(b" " * (200 << 20), compresslevel=9)
    assert one.post("/predict", bomb, content_encoding="gzip").status == 413
    assert one.post("/predict", body, content_encoding="br").status == 415


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
def test_only_json_is_taken(kind: str, status: int, one: Asked) -> None:
    assert one.post("/predict", ROW, content_type=kind).status == status


def test_other_methods_and_paths_get_the_usual_answers(one: Asked) -> None:
    assert one.get("/predict").status == 405
    assert one.get("/predict").headers["allow"] == "POST, OPTIONS"
    assert one.ask("DELETE", "/contract", []).status == 405
    assert one.get("/predict", "OPTIONS").status == 204
    assert one.get("/contract", "HEAD").headers["content-length"] == str(len(one.service.contract))
    missing = one.get("/predicts")
    assert (missing.status, missing.json["error"]) == (404, "there is nothing here. Did you mean `/predict`?")
    assert one.get("/" + "x" * 10_000).status == 404


def test_what_bentoml_has_besides_is_out_of_reach_but_for_the_pages_files(one: Asked) -> None:
    for path in ("/schema.json", "/static_content", "/predict/", "/static_contents/x"):
        assert one.get(path).status == 404, path
    assert one.get("/static_content/index.css").body == b"inner"
    assert one.ask("POST", "/static_content/index.css", []).status == 404


def test_a_bug_is_told_with_its_traceback_and_the_caller_gets_an_answer(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asked.service.predictor, "_answers", None)
    reply = asked.post("/predict", ROW, x_request_id="r9")
    assert (reply.status, reply.json["request"]) == (500, "r9")
    assert "request r9" in capsys.readouterr().err
    assert asked.metric('lockstep_requests_total{path="/predict",status="500"}') == 1


# No input whatever gives a 500.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["Kiel", "2024-03-01", 1e308]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from([*ROW]), inner, max_size=6),
    max_leaves=20,
)
CELLS = st.fixed_dictionaries(
    {}, optional={name: JSON | st.just(value) for name, value in [*ROW.items(), ("email", "sec@ret")]}
)
ROWS = CELLS | st.lists(st.builds(lambda cells: {**ROW, **cells}, CELLS) | JSON, max_size=4)
DEEP = st.builds(
    lambda depth, before: f"{before}{'[' * depth}{']' * depth}".encode(),
    st.integers(900, 1100),
    st.sampled_from(["", " " * 20_000, '{"age":']),
)
TEXT = ROWS.map(lambda rows: json.dumps(rows, ensure_ascii=False).encode(errors="surrogatepass"))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=TEXT | DEEP | st.binary(max_size=200), path=st.sampled_from(["/predict", "/feedback"]), cut=st.integers(0, 3)
)
def test_no_body_whatever_makes_it_fail(body: bytes, path: str, cut: int, keeping: Asked) -> None:
    reply = keeping.post(path, body[: len(body) - cut] if cut else body)
    assert reply.status in (200, 202, 400), reply
    assert json.loads(reply.body)
    if reply.status == 400:
        assert reply.json["error"]
        assert "sec@ret" not in reply.body.decode()


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(["/predict", "/feedback", "/readyz", "/", "/metrics", "/x"]) | st.text(),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"content-type", b"content-length", b"content-encoding", b"x-request-id", b"accept"]),
            st.binary(max_size=40) | st.sampled_from([b"gzip", b"application/json", b"3"]),
        )
    ),
    body=st.binary(max_size=40),
)
def test_no_head_whatever_makes_it_fail(
    path: str, method: str, headers: list[tuple[bytes, bytes]], body: bytes, keeping: Asked
) -> None:
    import asyncio

    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    reply = asyncio.run(keeping._ask(scope, [body]))
    assert reply.status < 500, reply
    assert re.fullmatch("[A-Za-z0-9._-]{1,64}", reply.headers.get("x-request-id", "inner"))


@pytest.fixture(scope="module")
def keeping(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """One that keeps a log."""
    return Asked(folder, log=tmp_path_factory.mktemp("log"))


# The log, and feedback.


def test_what_was_served_is_logged_without_what_is_private(folder: Path, tmp_path: Path) -> None:
    asked = Asked(folder, log=tmp_path, version="v1.2.0")
    row = {**ROW, "email": "secret@example.org", "city": "Oslo"}
    answer = asked.post("/predict", [ROW, row], x_request_id="r1").json[1]
    asked.post("/predict", {**ROW, "age": 900})
    assert asked.post("/feedback", [{"request": "r1", "row": 1, "outcome": "yes"}]).status == 202
    asked.service.close()
    first, second, third = lines(tmp_path)
    assert (first["kind"], first["request"], first["row"], first["columns"]) == ("prediction", "r1", 0, ROW)
    assert second["columns"] == {**ROW, "city": "Oslo"}
    assert second["unknown"] == ["city"]
    assert (second["label"], second["probability"]) == (answer["label"], answer["probability"])
    assert (second["version"], second["model"]) == ("v1.2.0", answer["model"])
    assert {key: third[key] for key in ("kind", "request", "row", "outcome")} == {
        "kind": "feedback", "request": "r1", "row": 1, "outcome": "yes",
    }  # fmt: skip
    assert asked.metric('lockstep_feedback_total{kept="true"}') == 1
    assert asked.metric("lockstep_log_written_total") == 3


def test_feedback_that_is_wrong_is_refused_as_a_whole(keeping: Asked) -> None:
    items = [
        {"request": "r", "outcome": "yes"},
        {"request": "a b", "outcome": "yes"},
        {"request": "r", "row": 1000, "outcome": 3},
        {"request": "r", "outcome": None, "outcom": "yes"},
        7,
    ]
    reply = keeping.post("/feedback", items)
    assert reply.status == 400
    assert reply.json["error"] == "nothing was taken: 6 keys of 4 of 5 items break the rules of feedback"
    assert [(each["item"], each["key"]) for each in reply.json["problems"]] == [
        (1, "request"), (2, "row"), (2, "outcome"), (3, "outcome"), (3, "outcom"), (4, None),
    ]  # fmt: skip
    one = keeping.post("/feedback", [{"request": "r", "outcome": None}])
    assert (
        one.json["error"] == "nothing was taken: key `outcome` of item 0 breaks the rules of feedback (must be given)"
    )
    assert keeping.metric('lockstep_feedback_total{kept="true"}') == 0


def test_an_outcome_that_is_no_class_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    asked = Asked(a_model(tmp_path / "m", "multiclass"), log=tmp_path / "log")
    reply = asked.post("/feedback", {"request": "r", "outcome": "silber"})
    assert reply.status == 400
    assert reply.json["problems"][0]["rule"] == "one of basic, gold, silver. Did you mean `silver`?"
    assert asked.post("/feedback", {"request": "r", "row": 1.0, "outcome": "silver"}).status == 202
    asked.service.close()
    assert [(line["row"], line["outcome"]) for line in lines(tmp_path / "log")] == [(1, "silver")]


def test_feedback_says_how_much_of_it_is_kept(folder: Path, tmp_path: Path) -> None:
    asked = Asked(folder, log=tmp_path, sample=0.5)
    replies = [asked.post("/feedback", {"request": f"r-{n}", "outcome": "yes"}) for n in range(40)]
    asked.service.close()
    kept = [reply.json["kept"] for reply in replies]
    assert all(reply.json["taken"] == 1 for reply in replies)
    assert 0 < sum(kept) == len(lines(tmp_path)) < 40
    assert asked.metric('lockstep_feedback_total{kept="true"}') == sum(kept)
    assert asked.metric('lockstep_feedback_total{kept="false"}') == 40 - sum(kept)


def test_without_a_log_feedback_is_not_taken_for_kept(one: Asked) -> None:
    reply = one.post("/feedback", {"request": "r", "outcome": "yes"})
    assert (reply.status, "LOCKSTEP_LOG" in reply.json["error"]) == (404, True)


def test_a_log_that_cannot_be_written_fails_no_prediction(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    asked = Asked(folder, log=tmp_path / "file/log")
    assert asked.post("/predict", ROW).status == 200
    asked.service.close()
    assert asked.metric("lockstep_log_failures_total") > 0
    assert asked.metric("lockstep_log_lost_total") == 1
    assert asked.post("/predict", ROW).status == 200


# Health.


def test_ready_while_golden_rows_predict_right(asked: Asked) -> None:
    reply = asked.get("/readyz")
    assert (reply.status, reply.json["ready"], reply.json["version"]) == (200, True, "v1.2.0")
    assert asked.get("/livez").status == asked.get("/healthz").status == 200
    assert asked.metric("lockstep_golden_mismatch") == 0


def test_not_ready_when_a_golden_row_does_not_predict_right(folder: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    shutil.copytree(folder, wrong)
    golden = golden_of(folder)
    golden["predictions"][3] += 1e-4
    (wrong / "golden.json").write_text(json.dumps(golden))
    asked = Asked(wrong)
    for _ in range(3):
        reply = asked.get("/readyz")
        assert (reply.status, reply.json["ready"]) == (503, False)
        assert reply.json["why"] == "golden row 3 is not predicted as it was when the model was made"
    assert asked.metric("lockstep_golden_mismatch") == 1
    assert asked.get("/livez").status == 200


def test_not_ready_once_the_model_in_memory_is_another(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked.service.predictor, "predictions", lambda rows: [0.123])
    assert asked.get("/readyz").status == 503


def test_told_to_stop_it_is_not_ready_but_answers_and_ends_connections(asked: Asked) -> None:
    asked.service.health.leaving = True
    assert asked.get("/readyz").status == 503
    reply = asked.post("/predict", ROW)
    assert (reply.status, reply.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    "content",
    [
        None, "{}", '{"rows": [], "predictions": []}', "[1]", '{"rows": 3, "predictions": 4}',
        '{"rows": [{}], "predictions": ["a"]}', '{"rows": [{}], "predictions": [null]}',
        '{"rows": [{}], "predictions": [[0.5, 0.5]]}', '{"rows": [{}], "predictions": [true]}',
        '{"rows": [{}], "predictions": [NaN]}', '{"rows": [1], "predictions": [0.5]}',
        '{"rows": [{}], "predictions": [1%s]}' % ("0" * 400),
    ],
)  # fmt: skip
def test_without_golden_rows_it_does_not_start(content: str | None, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "golden.json").unlink()
    if content is not None:
        (tmp_path / "golden.json").write_text(content)
    with pytest.raises(InputError, match="golden.json"):
        Asked(tmp_path)


def test_a_graph_that_does_not_fit_its_contract_is_an_error_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    three = a_model(tmp_path / "three", "multiclass", rows=600)
    linear = a_model(tmp_path / "linear", estimator="sklearn.linear_model.LogisticRegression", params={}, rows=600)
    for graph, contract in ((linear, folder), (folder, linear), (folder, three)):
        mixed = tmp_path / f"{graph.name}-{contract.name}"
        shutil.copytree(contract, mixed)
        shutil.copy(graph / "model.onnx", mixed / "model.onnx")
        with pytest.raises(InputError, match=r"model\.onnx and contract\.json do not belong together"):
            Asked(mixed)
        with pytest.raises(InputError, match="do not belong together"):
            Scorer(mixed, list(ROW), without=[], prefix="")


def test_the_end_of_the_server_finishes_the_log(folder: Path, tmp_path: Path) -> None:
    import asyncio

    asked = Asked(folder, log=tmp_path)
    asked.post("/predict", ROW)
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    asyncio.run(asked.app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(lines(tmp_path)) == 1


# Documents.


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_openapi_document_is_valid_and_agrees_with_answers_and_refusals(task: str, tmp_path: Path) -> None:
    import jsonschema
    from openapi_spec_validator import validate

    asked = Asked(a_model(tmp_path, task))
    document = asked.get("/openapi.json").json
    validate(document)
    schemas = document["components"]["schemas"]
    checks = {name: jsonschema.Draft202012Validator(schema) for name, schema in schemas.items()}
    for row in golden_of(tmp_path)["rows"]:
        checks["Row"].validate(row)
        checks["Answer"].validate(asked.post("/predict", row).json)
    checks["Refusal"].validate(asked.post("/predict", [{**ROW, "age": "x"}, 3]).json)
    log = Asked(tmp_path, log=tmp_path / "log")
    refused = log.post("/feedback", [{"request": "a b", "row": 3.5}, 3, {"request": "r", "outcom": 1}])
    checks["RefusedFeedback"].validate(refused.json)
    assert refused.status == 400
    outcome = {"binary": "yes", "multiclass": "gold", "regression": 3.5}[task]
    for item in ({"request": "r", "outcome": outcome}, {"request": "r", "row": 1.0, "outcome": outcome}):
        checks["Outcome"].validate(item)
        assert log.post("/feedback", item).status == 202
    for item in ({"request": "r", "outcome": ""}, {"request": "r", "row": 1000, "outcome": outcome}, {"outcome": 1}):
        assert not checks["Outcome"].is_valid(item), item
        assert log.post("/feedback", item).status == 400
    log.service.close()
    for bad in (
        {**ROW, "age": 900}, {**ROW, "x": 1}, {**ROW, "city": ""}, {**ROW, "visits": 1.5}, {"age": 3},
        {**ROW, "income": 1e39}, {**ROW, "since": "0000-01-01"}, {**ROW, "since": "2024-00-10"},
        {**ROW, "since": "2024-01-01T24:00"},
    ):  # fmt: skip
        assert not checks["Row"].is_valid(bad), bad
        assert asked.post("/predict", bad).status == 400
    assert asked.get("/docs.json").body == asked.get("/openapi.json").body


def test_the_documents_know_the_labels_that_alone_are_served_and_what_is_not_to_be_sent(tmp_path: Path) -> None:
    import jsonschema

    columns = {
        "city": {"type": "category", "unknown": "refused"},
        "income": {**COLUMNS["income"], "available": "after"},
    }
    asked = Asked(a_model(tmp_path, columns=columns))
    row = {name: value for name, value in ROW.items() if name != "income"}
    schemas = asked.get("/openapi.json").json["components"]["schemas"]
    assert schemas["Row"]["properties"]["city"]["enum"] == ["Bonn", "Kiel", "Ulm"]
    assert "income" not in schemas["Row"]["properties"]
    check = jsonschema.Draft202012Validator(schemas["Row"])
    for city, status in (("Oslo", 400), ("Ulm", 200)):
        assert asked.post("/predict", {**row, "city": city}).status == status
        assert check.is_valid({**row, "city": city}) is (status == 200)
    told = asked.get("/contract").json["columns"]
    assert {name: (told[name]["accepted"], told[name]["feature"]) for name in ("income", "age", "customer")} == {
        "income": (False, False), "age": (True, True), "customer": (True, False),
    }  # fmt: skip


def test_the_contract_tells_units_ranges_labels_and_examples_and_no_private_label(asked: Asked) -> None:
    told = asked.get("/contract").json
    assert told["version"] == "v1.2.0"
    assert told["columns"]["age"]["unit"] == "year"
    assert told["columns"]["age"]["max"] == 200
    assert told["columns"]["age"]["about"] == "at the last birthday"
    assert told["columns"]["city"]["labels"] == ["Bonn", "Kiel", "Ulm"]
    assert {name for name, column in told["columns"].items() if column["required"]} == {
        "since",
        "city",
        "age",
        "visits",
    }
    assert "labels" not in told["columns"]["email"]
    assert told["threshold"] == 0.5
    assert asked.post("/predict", told["example"]).status == 200
    row = asked.get("/openapi.json").json["components"]["schemas"]["Row"]
    assert row["properties"]["age"]["description"] == "at the last birthday; in year"
    assert (row["properties"]["age"]["minimum"], row["properties"]["age"]["maximum"]) == (-20, 200)


def test_the_version_leads_to_commit_and_lock(asked: Asked) -> None:
    fingerprint = asked.service.predictor.fingerprint
    assert asked.get("/version").json == {
        "name": "customers", "version": "v1.2.0", "model": fingerprint[:12], "fingerprint": fingerprint,
        "commit": "c0ffee", "lock": "10c4",
    }  # fmt: skip
    assert asked.metric(f'lockstep_info{{commit="c0ffee",model="{fingerprint[:12]}",version="v1.2.0"}}') == 1


def test_the_page_shows_the_services_name_and_loads_nothing_from_elsewhere(folder: Path) -> None:
    reply = Asked(folder, name="<customers>", version="v1.2.0").get("/")
    assert b"<title>&lt;customers&gt; v1.2.0</title>" in reply.body
    assert b"index.css" not in reply.body, "it hides the title"
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.headers["content-security-policy"].startswith("default-src 'self'")
    assert b"http" not in reply.body


def test_metrics_are_what_prometheus_reads(asked: Asked) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    asked.post("/predict", ROW)
    asked.get("/nowhere")
    reply = asked.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(reply.body.decode())}
    assert {
        "lockstep_predictions", "lockstep_unknown_categories", "lockstep_missing_values", "lockstep_refused_rows",
        "lockstep_requests", "lockstep_request_seconds", "lockstep_log_lost", "lockstep_log_failures",
        "lockstep_golden_mismatch", "lockstep_info", "process_resident_memory_bytes",
    } <= names  # fmt: skip
    assert asked.metric('lockstep_requests_total{path="(other)",status="404"}') == 1
    assert asked.metric('lockstep_request_seconds_count{path="/predict"}') == 1
    assert asked.metric('lockstep_request_seconds_bucket{le="+Inf",path="/predict"}') == 1


# Settings.


def test_settings_come_from_the_environment_and_an_empty_variable_is_none() -> None:
    told = {"LOCKSTEP_MODEL": "/m", "LOCKSTEP_LOG": " ", "LOCKSTEP_LOG_SAMPLE": "0.25", "LOCKSTEP_PORT": "80"}
    assert read_settings(told) == Settings(model=Path("/m"), sample=0.25, port=80)


@pytest.mark.parametrize(
    ("name", "value"),
    [("LOCKSTEP_LOG_SAMPLE", "2"), ("LOCKSTEP_LOG_SAMPLE", "nan"), ("LOCKSTEP_PORT", "x"), ("LOCKSTEP_PORT", "1.5")],
)
def test_a_setting_out_of_range_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"{name}={value}"):
        read_settings({name: value})
