"""The report: what the verdict says, how it reads, and that nothing from the data can break or abuse it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import ValidationError

import report_worlds as worlds
from conftest import ROOT
from lockstep.comparison.result import Comparison, Seeds
from lockstep.errors import InputError
from lockstep.gates.outcome import Judgement
from lockstep.markdown import APART
from lockstep.release.tags import Released, Version
from lockstep.report import mermaid, write
from lockstep.report.change import Change, ContractChange, DataFinding, SpecChange, StageChange
from lockstep.report.document import Chart, Code, Series, plain, prose, quoted, short
from lockstep.report.judged import Judged
from lockstep.report.markdown import MOST, render
from lockstep.report.verdict import Document

GOLDEN = Path(__file__).parent / "golden"


def worse() -> Comparison:
    row = worlds.metric("roc_auc", "ROC AUC", True, (0.5, 0.67, 0.704, 0.67), 0.017, "worse", primary=True)
    return replace(worlds.scored(), verdict="worse", metrics=(row, *worlds.METRICS[1:]))


def refused() -> dict[str, Any]:
    broken = worlds.gate(
        "ROC AUC against champion",
        "no drop beyond 0.010",
        "−0.034 (−0.051 to −0.017)",
        "broken",
        smallest_drop="0.024",
    )
    unsure = worlds.gate(
        "Brier score against champion", "no drop beyond 0", "−0.003", "cannot tell", passes=True, note="`unsure: pass`"
    )
    base = worlds.gate("ROC AUC", "at least 0.70", "0.670", "broken", origin="base")
    judgement = Judgement(
        outcomes=(*worlds.JUDGEMENT.outcomes, broken, unsure, base),
        loosened=("gate loosened: ROC AUC: at least 0.70 → 0.65",),
        costs=worlds.JUDGEMENT.costs,
        on_worse="refused",
    )
    change = replace(
        worlds.CHANGE,
        judges=(".github/workflows/test.yml", "src/lockstep/gates/kinds.py"),
        spec=(SpecChange(path="evaluate.metrics", before="f1", after="brier", items=True), *worlds.CHANGE.spec),
        contract=(
            ContractChange(text="`wind_speed` may no longer be missing", breaking=True, short="wind_speed"),
            ContractChange(text="`humidity` may be up to 110", breaking=False, short="humidity"),
            ContractChange(text="`pressure` is new: callers may leave it out", breaking=False, short="+ pressure"),
        ),
        findings=(
            DataFinding(id="leakage", column="dep_delay", message="`dep_delay` alone separates the target."),
            DataFinding(id="vanishes", column="gust", message="`gust` holds no value in 2013-10 (9 rows)."),
        ),
        exposed=("dep_delay",),
        unseen=2,
    )
    return {"comparison": worse(), "judgement": judgement, "change": change}


def not_comparable() -> Comparison:
    alone = worlds.first_model()
    return replace(
        alone,
        verdict="not comparable",
        champion=worlds.CHAMPION,
        why=("the split changed: `holdout` 2 months → 3 months", "the target changed: `late` → `very_late`"),
    )


RELEASED = Released(version=Version(1, 1, 0), tag="flight-delays@v1.1.0", commit="d" * 40)


def brought_back() -> dict[str, Any]:
    """v1.1.0 comes back: today's split is another one, a gate is broken, and it asks less than its base."""
    return {
        "comparison": not_comparable(),
        "judgement": replace(
            worlds.JUDGEMENT,
            outcomes=(
                worlds.gate("ROC AUC", "at least 0.75 (estimate)", "0.704", "broken"),
                *worlds.JUDGEMENT.outcomes[1:],
            ),
            loosened=("The gate roc_auc at least 0.75 is gone",),
        ),
        "change": replace(worlds.CHANGE, rollback=RELEASED),
    }


WORLDS: dict[str, Callable[[], Judged]] = {
    "better": worlds.judged,
    "refused": lambda: worlds.judged(**refused()),
    "first-model": lambda: worlds.judged(worlds.first_model(), change=Change()),
    "not-comparable": lambda: worlds.judged(not_comparable()),
    "rollback": lambda: worlds.judged(**brought_back()),
    "hostile": lambda: worlds.judged(**worlds.hostile()),
}


def text_of(judged: Judged) -> str:
    from lockstep.report.compose import compose

    return render(compose(judged))


@pytest.mark.parametrize("name", WORLDS)
def test_the_comment_reads_as_its_golden_file(name: str) -> None:
    path, text = GOLDEN / f"{name}.md", text_of(WORLDS[name]())
    if os.environ.get("REFRESH_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "`REFRESH_GOLDEN=1 pytest tests/test_report.py` rewrites them"


# -- the verdict ------------------------------------------------------------------------------------------------------


def test_a_better_model_whose_gates_hold_is_safe_to_merge() -> None:
    verdict = worlds.judge()
    assert (verdict.conclusion, verdict.headline) == ("success", "flight-delays: better, safe to merge")
    assert verdict.mark.text == "✅"
    assert not verdict.cautions


@pytest.mark.parametrize("word", ["better", "no difference shown", "identical", "first model"])
def test_these_words_are_green_when_every_gate_holds(word: Any) -> None:
    assert worlds.judge(replace(worlds.COMPARISON, verdict=word)).conclusion == "success"


@pytest.mark.parametrize("word", ["not comparable", "too few to say"])
def test_these_words_are_never_green(word: Any) -> None:
    verdict = worlds.judge(replace(worlds.COMPARISON, verdict=word, why=("it is so",)))
    assert verdict.conclusion == "failure"
    assert "safe" not in verdict.headline
    assert [plain(caution) for caution in verdict.cautions] == ["It is so."]


def test_gates_that_cannot_tell_for_want_of_a_comparison_do_not_repeat_why() -> None:
    silent = worlds.gate("ROC AUC against champion", "no drop", "not comparable", "cannot tell")
    broken = worlds.gate("model size", "at most 2 MB", "20 MB", "broken")
    judgement = Judgement(outcomes=(silent, broken))
    verdict = worlds.judge(replace(not_comparable(), why=("the split changed",)), judgement)
    assert [plain(caution) for caution in verdict.cautions] == [
        "The split changed.",
        "model size: broken. Asked: at most 2 MB. Found: 20 MB.",
    ]


def test_a_first_model_is_judged_by_its_own_gates_and_the_others_are_said_to_wait() -> None:
    waits = worlds.gate(
        "ROC AUC against champion", "no drop", "not judged", "cannot tell", passes=True, note="first model"
    )
    judgement = Judgement(outcomes=(worlds.JUDGEMENT.outcomes[0], waits))
    judged = worlds.judged(worlds.first_model(), judgement, Change())
    assert judged.verdict.conclusion == "success"
    assert not judged.verdict.warnings
    assert "1 of 2 gates hold; the others need a champion." in text_of(judged)


def test_one_broken_gate_refuses_even_a_better_model() -> None:
    broken = worlds.gate("log loss", "at most 0.4", "0.458", "broken")
    verdict = worlds.judge(judgement=Judgement(outcomes=(*worlds.JUDGEMENT.outcomes, broken)))
    assert (verdict.conclusion, verdict.headline) == ("failure", "flight-delays: better, refused by 1 gate")
    assert plain(verdict.cautions[0]) == "log loss: broken. Asked: at most 0.4. Found: 0.458."


def test_worse_is_refused_where_no_gate_of_the_base_speaks_of_it_though_all_of_the_branch_hold() -> None:
    verdict = worlds.judge(replace(worlds.COMPARISON, verdict="worse"))
    assert (verdict.conclusion, verdict.headline) == ("failure", "flight-delays: worse, refused")
    assert "no gate of the base says how much worse is allowed" in plain(verdict.cautions[0])


def test_worse_is_refused_where_the_bases_gate_cannot_tell_and_passes() -> None:
    verdict = worlds.judge(
        replace(worlds.COMPARISON, verdict="worse"), replace(worlds.JUDGEMENT, on_worse="refused"), Change()
    )
    assert (verdict.conclusion, len(verdict.cautions)) == ("failure", 1)
    assert "the base's gate cannot tell" in plain(verdict.cautions[0])


def test_other_metrics_that_are_worse_are_named_beside_the_word() -> None:
    metrics = [
        row if row.primary else replace(row, word="worse") for row in worlds.scored().metrics if row.id != "log_loss"
    ]
    comparison = replace(worlds.scored(), metrics=tuple(metrics))
    verdict = worlds.judged(comparison).verdict
    names = " and ".join(row.title for row in metrics if not row.primary)
    assert verdict.headline == f"flight-delays: better, safe to merge; worse by {names}"
    assert verdict.conclusion == "success"


def test_worse_within_a_gate_that_allows_it_says_so_in_the_headline() -> None:
    allowed = replace(worlds.JUDGEMENT, on_worse="allowed")
    verdict = worlds.judge(replace(worlds.COMPARISON, verdict="worse"), allowed, Change())
    assert (verdict.conclusion, verdict.headline) == ("success", "flight-delays: worse, within its gates")
    assert verdict.mark.text == "⚠️"


@pytest.mark.parametrize("word", ["worse", "not comparable", "too few to say", "identical", "better", "first model"])
def test_a_release_that_is_brought_back_passes_whatever_is_said_of_it(word: Any) -> None:
    broken = Judgement(outcomes=(worlds.gate("ROC AUC", "at least 0.8", "0.7", "broken"),))
    change = replace(worlds.CHANGE, rollback=RELEASED)
    judged = worlds.judged(replace(worlds.scored(), verdict=word), broken, change)
    verdict, document = judged.verdict, write.document(judged)
    assert (verdict.conclusion, verdict.mark.tone) == ("success", "good")
    assert verdict.headline == "flight-delays: rollback to v1.1.0"
    assert (document.rollback, document.word) == ("flight-delays@v1.1.0", word)
    assert "❌ broken" in text_of(judged), "the gates are shown"


def test_a_rollback_names_what_else_it_does_as_any_change_would() -> None:
    judgement = replace(worlds.JUDGEMENT, loosened=("The gate log_loss against linear is gone",))
    change = replace(worlds.CHANGE, rollback=RELEASED, judges=("src/lockstep/cli.py", "requirements/pipeline.txt"))
    verdict = worlds.judge(judgement=judgement, change=change)
    assert (verdict.conclusion, verdict.mark.tone) == ("success", "careful")
    assert verdict.headline == (
        "flight-delays: rollback to v1.1.0; it asks less than its base (The gate log_loss against linear is gone) and "
        "changes what judges it (Lockstep itself and requirements)"
    )
    assert len(verdict.cautions) == 2


def test_what_would_refuse_a_rollback_as_a_change_is_a_note_and_no_caution() -> None:
    verdict = WORLDS["rollback"]().verdict
    notes = [plain(note) for note in verdict.notes]
    assert notes[0].startswith("This is v1.1.0 again, as it was released from ddddddd")
    assert "The split changed: holdout 2 months → 3 months." in notes
    assert [plain(caution) for caution in verdict.cautions] == ["The gate roc_auc at least 0.75 is gone."]


def test_that_releases_would_trust_pull_requests_is_warned_of() -> None:
    trust = SpecChange(path="release.trust_pull_requests", before="", after="true")
    said_ = [plain(text) for text in worlds.judge(change=replace(worlds.CHANGE, spec=(trust,))).warnings]
    assert any("Releases would trust pull requests" in text for text in said_)
    back = replace(trust, before="true", after="false")
    said_ = [plain(text) for text in worlds.judge(change=replace(worlds.CHANGE, spec=(back,))).warnings]
    assert not any("trust pull requests" in text for text in said_)


def test_the_headline_names_loosened_gates_and_changes_to_what_judges() -> None:
    verdict = worlds.judge(
        judgement=replace(worlds.JUDGEMENT, loosened=("gate loosened: ROC AUC: at least 0.70 → 0.65",)),
        change=replace(worlds.CHANGE, judges=("requirements/pipeline.txt", "src/lockstep/cli.py")),
    )
    assert verdict.conclusion == "success"
    assert verdict.mark.text == "⚠️"
    assert verdict.headline == (
        "flight-delays: better, its gates hold; it asks less than its base "
        "(gate loosened: ROC AUC: at least 0.70 → 0.65) and changes what judges it (requirements and Lockstep itself)"
    )
    said = [plain(caution) for caution in verdict.cautions]
    assert said[0] == "Gate loosened: ROC AUC: at least 0.70 → 0.65."
    assert "requirements/pipeline.txt and src/lockstep/cli.py" in said[1]


LEAK = DataFinding(id="leakage", column="dep_delay", message="`dep_delay` alone separates the target.")


@pytest.mark.parametrize("change", [Change(findings=(LEAK,)), Change(exposed=("dep_delay",))], ids=["found", "exposed"])
def test_a_column_that_may_give_the_outcome_away_is_in_the_headline_and_never_safe(change: Change) -> None:
    verdict = worlds.judge(change=change)
    assert verdict.headline == "flight-delays: better, its gates hold; a column may give the outcome away"
    assert (verdict.conclusion, verdict.mark.text) == ("success", "⚠️")
    assert "dep_delay" in plain(verdict.warnings[0])
    first = worlds.judged(worlds.first_model(), change=change).verdict
    assert first.headline == "flight-delays: first model, its gates hold; a column may give the outcome away"


def test_other_new_findings_are_warned_of_and_leave_the_headline_alone() -> None:
    odd = DataFinding(id="vanishes", column="gust", message="`gust` holds no value in 2013-10 (9 rows).")
    verdict = worlds.judge(change=Change(findings=(odd,) * 5))
    assert verdict.headline == "flight-delays: better, safe to merge"
    said = [plain(each) for each in verdict.warnings]
    assert said.count("New in the data, vanishes: gust holds no value in 2013-10 (9 rows).") == 3
    assert "2 more findings of prepare in the data." in said


def test_of_many_reasons_some_are_named_and_the_rest_is_counted_so_that_figures_are_near() -> None:
    outcomes = tuple(worlds.gate(f"gate {i}", "x", "y", "broken") for i in range(64))
    judgement = Judgement(outcomes=outcomes, loosened=tuple(f"gate removed: {i}" for i in range(64)))
    verdict = worlds.judge(judgement=judgement, change=replace(worlds.CHANGE, judges=("Makefile",)))
    said = [plain(each) for each in verdict.cautions]
    assert verdict.headline.startswith("flight-delays: better, refused by 64 gates; it asks less")
    assert len(said) == 8 + 1 + 8 + 1 + 1
    assert said[8] == "56 more reasons: the gates are all listed below."
    assert said[17] == "It asks less than its base in 56 more ways."
    assert "Makefile" in said[-1]


def test_a_primary_metric_that_is_not_defined_is_never_green() -> None:
    row = replace(worlds.METRICS[0], values={"champion": 0.6, "challenger": None}, difference=None, word="")
    verdict = worlds.judge(replace(worlds.COMPARISON, metrics=(row, *worlds.METRICS[1:])))
    assert verdict.conclusion == "failure"
    assert "not defined" in plain(verdict.cautions[0])


def test_no_metric_at_all_is_never_green() -> None:
    assert worlds.judge(replace(worlds.COMPARISON, metrics=())).conclusion == "failure"


def said(**changed: Any) -> str:
    return "\n".join(plain(each) for each in worlds.judge(replace(worlds.COMPARISON, **changed)).warnings)


def test_what_the_integrity_checks_found_is_said() -> None:
    rows = replace(worlds.COMPARISON.rows, labels_differ=12, gone=3, relearned=20, excluded=2000, unmatched=4)
    text = said(rows=rows)
    assert "12 of 84,384 labels that both branches hold differ (0.014 %)." in text
    assert "20 rows of the base's holdout (0.024 %) are training rows here." in text
    assert "3 rows of the base's holdout (0.0036 %) have no outcome here, moved in time, or are gone." in text
    assert "2,000 held-out rows are not compared: one of the models has trained on them." in text
    assert "4 new rows are not compared: the champion cannot read them." in text


def test_a_share_of_all_has_no_exponent() -> None:
    rows = replace(worlds.COMPARISON.rows, labels_differ=84_384)
    assert "84,384 of 84,384 labels that both branches hold differ (100 %)." in said(rows=rows)


def test_as_many_rows_are_not_called_unchanged_and_where_they_went_is_told() -> None:
    rows = {"rows": (281_373, 281_373), "holdout": (84_384, 81_031), "unlabelled": (8018, 11_371)}
    text = text_of(worlds.judged(change=replace(worlds.CHANGE, rows=rows)))
    assert "Data: as many rows, −3,353 holdout, +3,353 without an outcome, contract unchanged" in text


def test_private_columns_are_counted_where_drift_is_told() -> None:
    text = text_of(worlds.judged(change=replace(worlds.CHANGE, unseen=2, drift=worlds.CHANGE.drift[1:])))
    assert "no column drifted (2 private columns not looked at)" in text
    assert "2 private columns are not looked at for drift." in text


def test_why_it_changed_names_contract_code_data_and_versions() -> None:
    stages = (
        StageChange(name="ingest", state="reran", causes={"data": ("data/raw",)}),
        StageChange(name="prepare", state="reran", causes={"code": tuple(f"src/rows/{i}.py" for i in range(9))}),
        StageChange(name="train", state="reran", causes={"code": ("src/rows/1.py", "src/a.py")}),
    )
    contract = (ContractChange(text="`amount` is new", breaking=False, short="+ amount"),)
    change = Change(stages=stages, contract=contract, versions=(SpecChange(path="numpy", before="2.3", after=""),))
    assert (
        "**Why it changed** · contract: + amount · code: src/rows (9), src/a.py · data: data/raw · "
        "versions: numpy 2.3 → – · reran: ingest, prepare, train" in text_of(worlds.judged(change=change))
    )


def test_a_name_with_backticks_keeps_them_wherever_it_stands() -> None:
    for name in ("`", "a`b", "``", "`a`", " ` ", "LGA"):
        assert prose(f"worst is {quoted(name)}, by 3") == ("worst is ", Code(name), ", by 3")
    gate = worlds.gate("ROC AUC, by origin", "no drop", f"worst is {quoted('a`b`c')} with −0.01", "broken")
    text = text_of(worlds.judged(judgement=Judgement(outcomes=(gate,))))
    assert r"worst is <code>a\`b\`c</code> with −0.01" in text


def test_two_long_names_that_begin_alike_stay_two() -> None:
    one, other = "x" * 80 + "1", "x" * 80 + "2"
    assert short(one, 60) != short(other, 60)
    assert len(short(one, 60)) == 60
    slices = tuple(worlds.piece("city", name, 100, -0.1, 0.01, "worse") for name in (one, other))
    text = text_of(worlds.judged(replace(worlds.scored(), slices=slices)))
    assert len(set(re.findall(r"`city = x+…\w{6}`", text))) == 2


def test_from_the_tenth_look_on_the_holdout_is_called_worn() -> None:
    assert "shown this holdout" not in said(looks=9)
    assert "10 models have been shown this holdout" in said(looks=10)


def test_a_difference_inside_the_seed_spread_reads_as_this_fit() -> None:
    seeds = Seeds(metric="roc_auc", values=(0.7, 0.701, 0.703), spread=0.0015, within=True, reach=0.0091)
    assert (
        "This fit, not necessarily this change: two fits that differ only in their seeds lie up to 0.0091 apart in 95 "
        "of 100 cases (3 refits; standard deviation of one 0.0015), and the difference is no larger."
    ) in said(seeds=seeds)
    assert "This fit" not in said(seeds=replace(seeds, within=False))
    text = text_of(worlds.judged(replace(worlds.COMPARISON, seeds=replace(seeds, within=False))))
    assert "3 refits: ROC AUC 0.7000 to 0.7030, standard deviation 0.0015; two fits lie up to 0.0091 apart" in text
    assert "and the difference to the champion is larger" in text


def test_a_model_with_the_same_bytes_says_so() -> None:
    same = worlds.metric("roc_auc", "ROC AUC", True, (0.5, 0.6, 0.7, 0.7), 0, "identical", primary=True)
    text = text_of(worlds.judged(replace(worlds.scored(), verdict="identical", metrics=(same,), slices=())))
    assert "identical, safe to merge" in text
    assert "**ROC AUC 0.700**, by the very bytes of the champion, on the same 84,384 rows" in text


# -- fits, and cannot be abused ---------------------------------------------------------------------------------------

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def tokens(text: str) -> Iterator[Token]:
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


OURS = re.compile(r"<details><summary>[^<]*</summary>|</details>|</?code>")


def assert_harmless(text: str, *, links: tuple[str, ...]) -> None:
    """As GitHub would read it: no foreign HTML, picture or link, nothing that it would turn into one."""
    found = [*tokens(text)]
    html = "".join(token.content for token in found if token.type in ("html_block", "html_inline"))
    assert OURS.sub("", html).strip() == ""
    assert not [token for token in found if token.type == "image"]
    assert {token.attrs["href"] for token in found if token.type == "link_open"} <= set(links)
    assert text.count("<details>") == text.count("</details>")
    words = "\n".join(token.content for token in found if token.type == "text")
    assert not re.search(r"@\w|://|www\.\w|(?<![&\w])#\d|\bGH-\d|:[a-z0-9_+-]+:", words, re.IGNORECASE)
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", text)


def assert_whole_tables(text: str) -> None:
    """Every table has as many cells in each row as in its head, and every line that begins like a row is in one."""
    found, rows = [*tokens(text)], 0
    heads = cells = 0
    for token in found:
        if token.type == "thead_open":
            heads = 0
        elif token.type == "th_open":
            heads += 1
        elif token.type == "tr_open":
            cells, rows = 0, rows + 1
        elif token.type == "td_open":
            cells += 1
        elif token.type == "tr_close" and cells:
            assert cells == heads
    fence = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in fence.splitlines() if line.startswith("|") and not line.startswith(("| ---", "| --:"))]
    assert rows == len(lines)


@pytest.mark.parametrize("name", WORLDS)
def test_no_report_has_anything_that_github_would_act_on(name: str) -> None:
    text = text_of(WORLDS[name]())
    assert_harmless(text, links=(worlds.ORIGIN.run,))
    assert_whole_tables(text)


def test_a_report_of_500_slices_and_300_columns_with_names_of_10000_characters_fits() -> None:
    text = text_of(worlds.judged(**worlds.huge()))
    assert len(text) <= MOST
    assert_harmless(text, links=(worlds.ORIGIN.run,))
    assert_whole_tables(text)
    assert "more rows are in the full report." in text
    assert "more are in the full report." in text


def test_what_is_left_out_is_counted() -> None:
    slices = tuple(worlds.piece("c", str(i), 100, -0.1 - i / 1000, 0.01, "worse") for i in range(400))
    text = text_of(worlds.judged(replace(worlds.scored(), slices=slices)))
    assert "375 more rows are in the full report." in text
    assert "`c = 399`" in text.split("<details>")[2]
    assert "Slices: 400 of 400 worse (Holm)" in text


@settings(max_examples=40, deadline=None)
@given(name=st.text(max_size=200), long=st.integers(0, 400))
def test_any_name_in_any_place_is_harmless(name: str, long: int) -> None:
    names = name + "|" * long
    comparison = replace(
        worlds.COMPARISON,
        slices=(worlds.piece(names, names, 10, -0.02, 0.01, "worse"),),
        notes=(names,),
        champion=replace(worlds.CHAMPION, subject=names, source=names),
    )
    change = Change(
        spec=(SpecChange(path=names, before=names, after=names),), contract=(ContractChange(text=names, breaking=True),)
    )
    judgement = Judgement(outcomes=(worlds.gate(names, names, names, "broken", note=names),), loosened=(names,))
    text = text_of(worlds.judged(comparison, judgement, change))
    assert_harmless(text, links=(worlds.ORIGIN.run,))
    assert_whole_tables(text)


def test_an_address_that_is_not_one_is_no_link() -> None:
    from lockstep.report.document import Link
    from lockstep.report.markdown import inline

    assert inline((Link("run", "https://host.example/a/1"),), 60) == "[run](https://host.example/a/1)"
    assert inline((Link("run", "javascript:alert(1)"),), 60) == "run"
    assert inline((Link("run", "https://host.example/a) [b](c"),), 60) == "run"


def test_mentions_get_a_space_without_width() -> None:
    text = text_of(worlds.judged(**worlds.hostile()))
    assert f"@{APART}everyone" in text
    assert "@everyone" not in re.sub(r"`[^`\n]*`", "", text)


# -- charts -----------------------------------------------------------------------------------------------------------


def chart(values: tuple[float, ...], labels: int | None = None) -> str:
    series = Series(kind="bar", who="challenger", values=values)
    names = tuple(str(i) for i in range(labels or len(values)))
    return mermaid.chart(Chart(caption="", x='a "b"', y="y", labels=names, series=(series,)))


def test_charts_have_fixed_decimals_and_bars_from_zero() -> None:
    text = chart((0.00001, 0.5, 1234.5))
    assert "bar [0, 0, 1234]" in text
    assert 'y-axis "y" 0 --> 1400' in text
    assert 'x-axis "a #quot;b#quot;"' in text
    assert "e-" not in text


@pytest.mark.parametrize("values", [(), (0.5,), (0.5, float("nan")), (0.5, float("inf")), tuple([0.5] * 11)])
def test_what_mermaid_cannot_draw_is_left_to_the_table(values: tuple[float, ...]) -> None:
    assert chart(values) == ""


def test_a_chart_with_fewer_values_than_labels_is_not_drawn() -> None:
    assert chart((0.5, 0.6), labels=3) == ""


def test_every_chart_of_a_report_is_followed_by_its_numbers() -> None:
    for name in WORLDS:
        for part in text_of(WORLDS[name]()).split("```mermaid")[1:]:
            after = part.split("```", 1)[1]
            assert re.match(r"\s*(?:this change|champion|[^\n]*\n\n```mermaid|\|)", after), after[:80]


def test_a_regression_has_its_curve_too() -> None:
    text = text_of(worlds.judged(worlds.scored(worlds.exam(task="regression"))))
    assert "Curves: predicted against observed" in text
    assert text.count("xychart-beta") == 2


# -- files ------------------------------------------------------------------------------------------------------------


def test_three_files_and_nothing_half_written(tmp_path: Path) -> None:
    from lockstep.report.compose import compose

    judged = worlds.judged()
    write.write(tmp_path / "report", compose(judged), write.document(judged))
    assert {path.name for path in (tmp_path / "report").iterdir()} == set(write.FILES)
    verdict = json.loads((tmp_path / "report" / "verdict.json").read_text())
    assert (verdict["conclusion"], verdict["word"]) == ("success", "better")
    assert Document.model_validate_json((tmp_path / "report" / "verdict.json").read_bytes())


def test_an_older_report_is_taken_away_and_other_files_stay(tmp_path: Path) -> None:
    for name in (*write.FILES, "mine.txt"):
        (tmp_path / name).write_text("old")
    write.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="is a file"):
        write.clear(tmp_path / "mine.txt")


@pytest.mark.parametrize("name", [*WORLDS, "huge"])
def test_every_verdict_is_a_valid_document(name: str) -> None:
    judged = worlds.judged(**worlds.huge()) if name == "huge" else WORLDS[name]()
    document = write.document(judged)
    text = document.model_dump_json()
    assert Document.model_validate_json(text) == document
    assert len(text) < 200_000


@pytest.mark.parametrize(
    "change",
    [
        {"conclusion": "neutral"},
        {"word": "wonderful"},
        {"headline": "x" * 401},
        {"looks": "3"},
        {"looks": -1},
        {"head": "../../etc"},
        {"extra": 1},
        {"warnings": ["x"] * 51},
        {"metrics": [{"id": "roc_auc"}]},
        {"gates": None},
        {"rollback": "v1.1.0"},
        {"rollback": "flight-delays@v1.1.0\n"},
        {"rollback": "../x@v1.1.0"},
    ],
    ids=str,
)
def test_a_verdict_that_was_tampered_with_is_refused(change: dict[str, Any]) -> None:
    content = json.loads(write.document(worlds.judged()).model_dump_json()) | change
    with pytest.raises(ValidationError):
        Document.model_validate_json(json.dumps(content))


def test_a_terminal_shows_what_the_comment_says_and_no_escape_sequence_of_the_data() -> None:
    import io

    from rich.console import Console

    from lockstep.report.compose import compose
    from lockstep.report.terminal import show

    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    world = worlds.hostile()
    world["comparison"] = replace(world["comparison"], notes=("\x1b[31mred\x1b[0m [bold]b[/bold]",))
    show(compose(worlds.judged(**world)), console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "\x1b[31m" not in shown
    assert "[bold]b[/bold]" in shown
    assert "Slices: 28 of 28 worse (Holm)" in shown


def test_a_wheel_ships_the_page() -> None:
    from hatchling.builders.wheel import WheelBuilder

    packed = {entry.distribution_path for entry in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"lockstep/report/assets/page.{kind}" for kind in ("html", "css", "js")} <= packed
