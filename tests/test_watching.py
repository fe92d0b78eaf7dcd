"""What people and the canary's analysis see of the service: every name exists, every rule fires on what it is about."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import deployed
from conftest import require
from served import ROW, Asked, a_model, a_port, process

FOLDER = deployed.DEPLOY / "prometheus"
DASHBOARD = deployed.DEPLOY / "grafana" / "lockstep.json"
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("watched"))


def panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"])


def shown() -> dict[str, str]:
    """The dashboard's questions, as Grafana sends them where all namespaces are chosen."""
    found = {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]}
    (releases,) = json.loads(DASHBOARD.read_text(encoding="utf-8"))["annotations"]["list"]
    found["Releases"] = releases["expr"]
    return {name: query.replace("$namespace", ".*").replace("$__rate_interval", "1m") for name, query in found.items()}


def asked(name: str) -> str:
    """A question of the canary's analysis, as the controller sends it."""
    (query,) = {
        metric["provider"]["prometheus"]["query"]
        for template, metric in deployed.analysis()
        if f"{template} {metric['name']}" == name
    }
    arguments = {"namespace": "p", "canary": "new", "stable": "old", "positive": "true"}
    return re.sub(r"\{\{args\.(\w+)\}\}", lambda match: arguments[match[1]], str(query))


QUESTIONS = [f"{template} {metric['name']}" for template, metric in deployed.analysis()]


def everything() -> dict[str, str]:
    return {
        **{f"alert {each['alert']}": each["expr"] for each in deployed.alerts()},
        **{f"dashboard {name}": query for name, query in shown().items()},
        **{f"analysis {name}": asked(name) for name in QUESTIONS},
    }


def promtool(*arguments: str, folder: Path) -> str:
    require(shutil.which("promtool"), "promtool (Debian's package prometheus)")
    made = subprocess.run(["promtool", *arguments], cwd=folder, text=True, capture_output=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def test_the_cluster_has_the_alerts_of_the_one_machine() -> None:
    ours = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    cluster = yaml.safe_load((deployed.DEPLOY / "base" / "alerts.yaml").read_text(encoding="utf-8"))
    assert cluster["spec"] == ours


def test_every_metric_that_anybody_asks_for_is_one_that_the_service_has(model: Path) -> None:
    service = Asked(model)
    service.post("/predict", ROW)
    text = service.get("/metrics").body.decode()
    there = set(re.findall(r"^(\w+)(?:\{| )", text, flags=re.MULTILINE))
    for name, query in everything().items():
        metrics = set(re.findall(r"\b(?:lockstep|process)_\w+", re.sub(r'"[^"]*"', "", query)))
        assert metrics, name
        assert metrics - there <= set(), name


def test_every_label_that_anybody_asks_for_is_one_that_its_metric_has(model: Path) -> None:
    service = Asked(model)
    service.post("/predict", ROW)
    text = service.get("/metrics").body.decode()
    from_outside = {"namespace", "job", "instance", "rollouts_pod_template_hash"}
    for name, query in everything().items():
        for metric, selector in re.findall(r"(lockstep_\w+)\{([^}]*)\}", query):
            (sample, *_) = re.findall(rf"^{metric}(?:\{{(.*)\}})? ", text, flags=re.MULTILINE)
            own = set(re.findall(r"(\w+)=\"", sample))
            assert set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", selector)) <= own | from_outside, name


def test_the_values_that_are_asked_for_are_those_that_the_service_counts_by(model: Path) -> None:
    service = Asked(model)
    service.post("/predict", ROW)
    service.post("/predict", {"age": "old"})
    for line in (
        'lockstep_requests_total{path="/predict",status="200"}',
        'lockstep_requests_total{path="/predict",status="400"}',
        'lockstep_request_seconds_count{path="/predict"}',
    ):
        assert service.metric(line) > 0
    assert sum(service.metric(f'lockstep_predictions_total{{label="{label}"}}') for label in ("true", "false")) == 1


def test_prometheus_understands_its_configuration() -> None:
    output = promtool("check", "config", "prometheus.yaml", folder=FOLDER)
    assert f"{len(deployed.alerts())} rules found" in output


def test_prometheus_understands_every_question(tmp_path: Path) -> None:
    rules = [{"record": f"question:{number}", "expr": query} for number, query in enumerate(everything().values())]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", "all.yaml", folder=tmp_path)


# Every alert on what it is about, and silent where that is not so. Values of a series come once a minute.

QUIET = {
    'lockstep_info{job="s",instance="a"}': "1x720",
    'lockstep_golden_mismatch{job="s",instance="a"}': "0x720",
    'lockstep_predictions_total{job="s",instance="a",label="true"}': "0+20x720",
    'lockstep_predictions_total{job="s",instance="a",label="false"}': "0+80x720",
    'lockstep_refused_rows_total{job="s",instance="a",column="age"}': "0+1x720",
    'lockstep_unknown_categories_total{job="s",instance="a",column="city"}': "0+1x720",
    'lockstep_requests_total{job="s",instance="a",path="/predict",status="200"}': "0+100x720",
    'lockstep_log_lost_total{job="s",instance="a"}': "0x720",
    'lockstep_log_failures_total{job="s",instance="a"}': "0x720",
}

SITUATIONS: dict[str, tuple[dict[str, str], set[str]]] = {
    "all is well": ({}, set()),
    "a golden row is predicted otherwise": (
        {'lockstep_golden_mismatch{job="s",instance="a"}': "0x700 1x20"},
        {"ModelAnswersOtherwise"},
    ),
    "a column refuses a tenth of the rows": (
        {'lockstep_refused_rows_total{job="s",instance="a",column="age"}': "0+12x720"},
        {"RowsRefused"},
    ),
    "every row is refused": (
        {
            'lockstep_refused_rows_total{job="s",instance="a",column="age"}': "0+100x720",
            'lockstep_predictions_total{job="s",instance="a",label="true"}': "0x720",
            'lockstep_predictions_total{job="s",instance="a",label="false"}': "0x720",
        },
        {"RowsRefused", "NoPredictions"},
    ),
    "two of five rows are refused, of too few to tell": (
        {
            'lockstep_refused_rows_total{job="s",instance="a",column="age"}': "0+1x720",
            'lockstep_predictions_total{job="s",instance="a",label="true"}': "0+1x720",
            'lockstep_predictions_total{job="s",instance="a",label="false"}': "0x720",
            'lockstep_unknown_categories_total{job="s",instance="a",column="city"}': "0x720",
        },
        set(),
    ),
    "a tenth of the predictions saw an unknown label": (
        {'lockstep_unknown_categories_total{job="s",instance="a",column="city"}': "0+10x720"},
        {"UnknownCategories"},
    ),
    "the log lost a line": (
        {'lockstep_log_lost_total{job="s",instance="a"}': "0x710 1x10"},
        {"PredictionLogLosesLines"},
    ),
    "the log cannot be written": (
        {'lockstep_log_failures_total{job="s",instance="a"}': "0x700 0+1x20"},
        {"PredictionLogLosesLines"},
    ),
    "nobody asks": (
        {
            'lockstep_predictions_total{job="s",instance="a",label="true"}': "5x720",
            'lockstep_predictions_total{job="s",instance="a",label="false"}': "5x720",
            'lockstep_refused_rows_total{job="s",instance="a",column="age"}': "0x720",
            'lockstep_unknown_categories_total{job="s",instance="a",column="city"}': "0x720",
        },
        {"NoPredictions"},
    ),
    "one request in twenty fails": (
        {'lockstep_requests_total{job="s",instance="a",path="/predict",status="500"}': "0+5x720"},
        {"ServiceErrors"},
    ),
    "three callers get nothing but errors, and probes get their answers": (
        {
            'lockstep_requests_total{job="s",instance="a",path="/predict",status="200"}': "0x720",
            'lockstep_requests_total{job="s",instance="a",path="/predict",status="500"}': "0+1x720",
            'lockstep_requests_total{job="s",instance="a",path="/livez",status="200"}': "0+1000x720",
        },
        {"ServiceErrors"},
    ),
    "one request in two hundred fails": (
        {'lockstep_requests_total{job="s",instance="a",path="/predict",status="500"}': "0+0.5x720"},
        set(),
    ),
    "one request fails of the few there are": (
        {
            'lockstep_requests_total{job="s",instance="a",path="/predict",status="200"}': "0x700 1x20",
            'lockstep_requests_total{job="s",instance="a",path="/predict",status="500"}': "0x710 1x10",
        },
        set(),
    ),
    "feedback fails": (
        {'lockstep_requests_total{job="s",instance="a",path="/feedback",status="500"}': "0+5x720"},
        {"ServiceErrors"},
    ),
    "a pod is not ready, and is asked whether it is": (
        {'lockstep_requests_total{job="s",instance="a",path="/readyz",status="503"}': "0+12x720"},
        set(),
    ),
    "one request in ten is told to come again": (
        {'lockstep_requests_total{job="s",instance="a",path="/predict",status="503"}': "0+11x720"},
        {"ServiceBusy"},
    ),
    "a request in fifty is told to come again": (
        {'lockstep_requests_total{job="s",instance="a",path="/predict",status="503"}': "0+2x720"},
        set(),
    ),
    "no service is seen": (dict.fromkeys(QUIET, ""), {"ServiceNotSeen"}),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_an_alert_fires_on_what_it_is_about_and_on_nothing_else(situation: str, tmp_path: Path) -> None:
    changed, firing = SITUATIONS[situation]
    rules = [{"alert": each["alert"], "expr": each["expr"], "for": each["for"]} for each in deployed.alerts()]
    assert firing <= {each["alert"] for each in rules}
    check_firing(tmp_path, rules, QUIET | changed, {name: [label(name)] for name in firing}, at="715m")


def label(name: str) -> dict[str, str]:
    """The labels with which an alert comes."""
    of_one = {"instance": "a"} if name in ("ModelAnswersOtherwise", "PredictionLogLosesLines") else {}
    of_column = {"RowsRefused": {"column": "age"}, "UnknownCategories": {"column": "city"}}.get(name, {})
    return {} if name == "ServiceNotSeen" else {"job": "s", **of_one, **of_column}


def check_firing(
    folder: Path, rules: list[dict[str, str]], series: dict[str, str], firing: dict[str, list[dict[str, str]]], at: str
) -> None:
    """Let promtool say that of these rules exactly those fire."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "tried", "rules": rules}]}))
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
                "alert_rule_test": [
                    {
                        "eval_time": at,
                        "alertname": rule["alert"],
                        "exp_alerts": [{"exp_labels": labels} for labels in firing.get(rule["alert"], [])],
                    }
                    for rule in rules
                ],
            }
        ],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(tests, width=500))
    promtool("test", "rules", "tests.yaml", folder=folder)


# Every question of the analysis: holds, broken, or cannot tell.


def canary_series(**changed: float) -> dict[str, str]:
    """What Prometheus has of a canary and the stable pods, each quantity as so much a minute."""
    rates = {
        "requests": 100,
        "errors": 0,
        "busy": 0,
        "refused": 1,
        "positives": 40,
        "predictions": 200,
        "fast": 100,
        "golden": 0,
    }
    stable = "".join(f',{name}="{value}"' for name, value in {"namespace": "p"}.items())
    made: dict[str, str] = {}
    for pods in ("new", "old"):
        rate = rates | (changed if pods == "new" else {})
        labels = f'rollouts_pod_template_hash="{pods}"{stable}'
        counters = {
            f'lockstep_requests_total{{{labels},path="/predict",status="200"}}': rate["requests"],
            f'lockstep_requests_total{{{labels},path="/predict",status="400"}}': rate["refused"],
            f'lockstep_requests_total{{{labels},path="/predict",status="500"}}': rate["errors"],
            f'lockstep_requests_total{{{labels},path="/predict",status="503"}}': rate["busy"],
            f'lockstep_predictions_total{{{labels},label="true"}}': rate["positives"],
            f'lockstep_predictions_total{{{labels},label="false"}}': rate["predictions"] - rate["positives"],
            f'lockstep_request_seconds_bucket{{{labels},path="/predict",le="0.01"}}': rate["fast"],
            f'lockstep_request_seconds_bucket{{{labels},path="/predict",le="0.5"}}': rate["requests"],
            f'lockstep_request_seconds_bucket{{{labels},path="/predict",le="+Inf"}}': rate["requests"],
        }
        made |= {name: f"0+{value}x60" for name, value in counters.items()}
        made[f"lockstep_golden_mismatch{{{labels}}}"] = f"{rate['golden']}x60"
    return made


def without_errors(series: dict[str, str]) -> dict[str, str]:
    """A service that never failed has no series that says so."""
    return {name: values for name, values in series.items() if 'status="500"' not in name}


def nothing_of(pods: str) -> dict[str, str]:
    return {name: values for name, values in canary_series().items() if f'hash="{pods}"' not in name}


LIKENESS = ("golden-mismatch", "error-share", "p99-seconds", "refused-share", "positive-share")
HARM = {"lockstep-harm golden-mismatch", "lockstep-harm errors"}
HOLDS = {f"lockstep-likeness {name}" for name in LIKENESS}

CANARIES: dict[str, tuple[Callable[[], dict[str, str]], set[str], set[str]]] = {
    "like the stable ones": (canary_series, HOLDS, set()),
    "like the stable ones, and neither ever failed": (lambda: without_errors(canary_series()), HOLDS, set()),
    "with too few requests": (
        lambda: canary_series(requests=1, refused=0.1, positives=0.4, predictions=2, fast=1),
        {"lockstep-likeness golden-mismatch"},
        set(),
    ),
    "that Prometheus does not see": (lambda: nothing_of("new"), set(), set()),
    "without stable ones to compare with": (
        lambda: nothing_of("old"),
        HOLDS - {"lockstep-likeness refused-share", "lockstep-likeness positive-share"},
        set(),
    ),
    "that fails one request in ten": (
        lambda: canary_series(errors=11),
        HOLDS - {"lockstep-likeness error-share"},
        {"lockstep-likeness error-share", "lockstep-harm errors"},
    ),
    "that tells one request in ten to come again": (lambda: canary_series(busy=11), HOLDS, set()),
    "that fails one request in two hundred": (
        lambda: canary_series(errors=0.5),
        HOLDS - {"lockstep-likeness error-share"},
        set(),
    ),
    "that predicts a golden row otherwise": (
        lambda: canary_series(golden=1),
        HOLDS - {"lockstep-likeness golden-mismatch"},
        {"lockstep-likeness golden-mismatch", "lockstep-harm golden-mismatch"},
    ),
    "that is slow for one request in ten": (
        lambda: canary_series(fast=90),
        HOLDS - {"lockstep-likeness p99-seconds"},
        {"lockstep-likeness p99-seconds"},
    ),
    "that refuses one request in ten": (
        lambda: canary_series(refused=11),
        HOLDS - {"lockstep-likeness refused-share"},
        {"lockstep-likeness refused-share"},
    ),
    "that says yes twice as often": (
        lambda: canary_series(positives=80),
        HOLDS - {"lockstep-likeness positive-share"},
        {"lockstep-likeness positive-share"},
    ),
    "that says yes half as often": (
        lambda: canary_series(positives=16),
        HOLDS - {"lockstep-likeness positive-share"},
        {"lockstep-likeness positive-share"},
    ),
    "that says yes a little more often": (
        lambda: canary_series(positives=54),
        HOLDS - {"lockstep-likeness positive-share"},
        set(),
    ),
}


@pytest.mark.parametrize("canary", CANARIES)
def test_a_canary_is_judged_by_what_it_does(canary: str, tmp_path: Path) -> None:
    series, holds, broken = CANARIES[canary]
    rules = [
        {"alert": f"{question} {end}", "expr": f"({asked(question)}) {comparison}"}
        for question in QUESTIONS
        for end, comparison in ends(question).items()
    ]
    firing = [*(f"{name} holds" for name in holds), *(f"{name} broken" for name in broken)]
    assert set(firing) <= {each["alert"] for each in rules}
    check_firing(tmp_path, rules, series(), {name: [{}] for name in firing}, at="50m")


def ends(question: str) -> dict[str, str]:
    """`holds` and `broken` of a question, each as the comparison that Argo Rollouts makes with the answer."""
    (metric,) = [each for template, each in deployed.analysis() if f"{template} {each['name']}" == question]
    conditions = {"holds": metric.get("successCondition"), "broken": metric["failureCondition"]}
    found = {
        end: re.fullmatch(r"len\(result\) > 0 && result\[0\] (.*)", text) for end, text in conditions.items() if text
    }
    return {end: match[1] for end, match in found.items() if match}


# The dashboard.


def test_the_dashboard_counts_no_probe_as_an_answer_to_a_caller() -> None:
    counting = [
        query for query in shown().values() if "lockstep_requests_total" in query and "sum by (path" not in query
    ]
    assert len(counting) == 2
    for query in counting:
        assert all("/predict" in each for each in re.findall(r"lockstep_requests_total\{([^}]*)\}", query))


def test_the_dashboard_s_panels_do_not_overlap_and_have_names() -> None:
    cells = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert all(panel["title"] and panel["datasource"]["uid"] == "prometheus" for panel in panels())
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_dashboard_is_provisioned_with_the_datasource_that_it_asks() -> None:
    (source,) = yaml.safe_load((deployed.DEPLOY / "grafana" / "datasource.yaml").read_text())["datasources"]
    assert source["uid"] == "prometheus"
    assert {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]} == {source["uid"]}


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """compose.yaml's Prometheus, with another address to ask and less patience."""
    require(shutil.which("prometheus"), "prometheus")
    told = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    told["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (scrape,) = told["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["service:3000"]}]
    scrape |= {"static_configs": [{"targets": [target]}], "scrape_timeout": "1s"}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(told))
    shutil.copy(FOLDER / "alerts.yaml", folder)
    port = a_port()
    options = ["--config.file=prometheus.yaml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "words").open("wb") as words:
        started = subprocess.Popen(["prometheus", *options], cwd=folder, stdout=words, stderr=words)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            started.terminate()
            started.wait(20)


def test_a_real_prometheus_has_an_answer_to_every_panel(model: Path, tmp_path: Path) -> None:
    require(shutil.which("prometheus"), "prometheus")
    with (
        process(model, "lockstep", tmp_path / "home", LOCKSTEP_LOG=str(tmp_path / "log")) as service,
        prometheus(tmp_path, service.url.removeprefix("http://")) as url,
    ):
        answers: dict[str, list[Any]] = {}

        def ask(query: str) -> list[Any]:
            answer = httpx.get(f"{url}/api/v1/query", params={"query": query})
            if answer.status_code == 503:  # it listens before it is ready
                raise httpx.TransportError(answer.text)
            reply = answer.json()
            assert reply["status"] == "success", reply
            return list(reply["data"]["result"])

        def unanswered() -> list[str]:
            strange = {**ROW, "city": "Atlantis", "device": None}
            for content in (ROW, strange, {**ROW, "age": "old"}):
                httpx.post(f"{service.url}/predict", json=content)
            try:
                answers.update({name: ask(query) for name, query in shown().items() if name != "Releases"})
            except httpx.TransportError:
                return [(tmp_path / "words").read_text()]
            return [name for name, found in answers.items() if not found or found[0]["value"][1] == "NaN"]

        end = time.monotonic() + 60
        while lacking := unanswered():
            assert time.monotonic() < end, lacking
            time.sleep(0.2)
        assert {each["metric"]["label"] for each in answers["Predictions by label A"]} == {"true", "false"}
        assert {each["metric"]["column"] for each in answers["Unknown categories by column A"]} == {"city"}
        assert float(answers["Golden rows A"][0]["value"][1]) == 0
        assert 0 < float(answers["Requests refused A"][0]["value"][1]) < 1
        assert float(answers["Memory A"][0]["value"][1]) > 20e6
