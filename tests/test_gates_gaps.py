"""Gaps of rates: their estimates, their intervals, and how often fair groups are called unfair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gate_worlds import an_exam, judged
from lockstep.comparison.result import Exam
from lockstep.gates import gaps
from lockstep.gates.decide import together, within
from lockstep.statistics.blocks import blocks_of


def fair_world(
    random: np.random.Generator, *, groups: int = 8, rows: int = 2400, days: int = 91, off: float = 0.0
) -> Exam:
    """Probabilities that are right for everybody but one group; days that are better or worse for all."""
    day = np.sort(random.integers(0, days, rows))
    group = random.integers(0, groups, rows).astype(float)
    p = np.clip(random.beta(2, 3, rows), 0.02, 0.98)
    truth = np.clip(p + random.normal(0, 0.05, days)[day] - off * (group == 0), 0.01, 0.99)
    return Exam(
        task="binary",
        y=(random.random(rows) < truth).astype(float),
        predictions={"challenger": p},
        thresholds={"challenger": 0.4},
        blocks=blocks_of(rows, times=np.datetime64("2024-10-01", "D") + day),
        slices={"plan": group},
    )


def by_hand(exam: Exam, rate: str, here: Any) -> float:
    y, p = exam.y, exam.predictions["challenger"]
    called = p >= exam.thresholds["challenger"]
    rates = {
        "tpr": lambda rows: called[rows & (y == 1)].mean(),
        "fpr": lambda rows: called[rows & (y == 0)].mean(),
        "calibration_gap": lambda rows: (p - y)[rows].mean(),
    }
    return float(rates[rate](here) - rates[rate](~here))


@pytest.mark.parametrize("rate", ["tpr", "fpr", "calibration_gap"])
def test_each_group_is_compared_with_all_other_rows(rate: str) -> None:
    exam = an_exam()
    for name, interval in gaps.fairness(exam, rate, "plan"):
        expected = by_hand(exam, rate, exam.slices["plan"] == name)
        assert interval.value == pytest.approx(expected)
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low < expected < interval.high


def test_the_tenths_show_mean_prediction_minus_observed_share() -> None:
    exam = fair_world(np.random.default_rng(1))
    found = gaps.calibration(exam)
    p, y = exam.predictions["challenger"], exam.y
    lowest = p < np.sort(p)[len(p) // 10]
    assert len(found) == 10
    assert found[0][1].value == pytest.approx((p - y)[lowest].mean())
    assert found[0][0] == f"the tenth predicted {p[lowest].min():.2f} to {p[lowest].max():.2f}"


def test_a_constant_prediction_is_one_tenth() -> None:
    exam = an_exam()
    [(name, interval)] = gaps.calibration(replace(exam, predictions={"challenger": np.full(len(exam), 0.3)}))
    assert name == "the tenth predicted 0.30 to 0.30"
    assert interval.value == pytest.approx(0.3 - exam.y.mean())


def test_with_several_classes_the_likeliest_is_judged() -> None:
    exam = an_exam()
    p = exam.predictions["challenger"]
    several = replace(exam, task="multiclass", predictions={"challenger": np.column_stack([1 - p, p])})
    found = gaps.calibration(several)
    assert sum(interval.value or 0 for _, interval in found) / len(found) == pytest.approx(
        np.mean(np.maximum(p, 1 - p) - ((p > 0.5) == exam.y)), abs=1e-3
    )


def test_a_group_with_fewer_than_thirty_positives_cannot_be_told() -> None:
    exam = an_exam(plans=("free",) * 40 + ("rare",))
    found = dict(gaps.fairness(exam, "tpr", "plan"))
    assert found["rare"].note.startswith("too few to say: ")
    assert found["rare"].note.endswith(" positives, fewer than 30")
    assert found["rare"].low is None
    assert judged({"fairness": "tpr", "slice": "plan", "at_most": 0.9}, exam=exam).state == "cannot tell"


def test_a_group_that_was_there_on_few_days_cannot_be_told() -> None:
    exam = an_exam(plans=("free",))
    plan = np.where(exam.blocks.ids < 9, "early", "free").astype(object)
    found = dict(gaps.fairness(replace(exam, slices={"plan": plan}), "calibration_gap", "plan"))
    assert found["early"].note == "too few to say: 9 blocks with any, fewer than 10"


def test_fewer_than_ten_weeks_cannot_be_told() -> None:
    for gate in ({"calibration": 0.5}, {"fairness": "fpr", "slice": "plan", "at_most": 0.5}):
        found = judged(gate, exam=an_exam(days=60))
        assert (found.state, found.passes) == ("cannot tell", False)
        assert "too few to say: 8 weeks, fewer than 10" in found.found


def test_a_rate_that_is_the_same_in_every_resample_is_not_taken_for_certain() -> None:
    exam = an_exam(plans=("free", "basic") * 20 + ("rare",))
    rare = exam.slices["plan"] == "rare"
    p = np.where(rare & (exam.y == 0), 0.0, np.where(rare, 0.9, exam.predictions["challenger"]))
    found = dict(gaps.fairness(replace(exam, predictions={"challenger": p}), "fpr", "plan"))
    rows = int((rare & (exam.y == 0)).sum())
    assert rows >= 30
    assert found["rare"].low is not None
    assert found["rare"].high is not None
    assert (found["rare"].high - found["rare"].low) / 2 >= 3 / rows * 0.999


def test_a_column_of_one_value_has_no_rest() -> None:
    found = judged({"fairness": "tpr", "slice": "plan", "at_most": 0.1}, exam=an_exam(plans=("free",)))
    assert (found.state, found.passes) == ("cannot tell", False)


def test_a_model_that_is_sure_and_wrong_breaks_calibration_and_a_right_one_holds() -> None:
    exam = fair_world(np.random.default_rng(2), rows=20_000)
    assert judged({"calibration": 0.12}, exam=exam).state == "holds"
    sure = replace(exam, predictions={"challenger": np.where(exam.predictions["challenger"] > 0.4, 0.95, 0.02)})
    found = judged({"calibration": 0.12}, exam=sure)
    assert (found.state, found.passes) == ("broken", False)
    assert "of 2 tenths 2 broken" in found.found


def test_the_order_of_rows_does_not_matter() -> None:
    exam = an_exam()
    order = np.random.default_rng(3).permutation(len(exam))
    turned = replace(
        exam,
        y=exam.y[order],
        predictions={name: p[order] for name, p in exam.predictions.items()},
        slices={name: values[order] for name, values in exam.slices.items()},
        blocks=replace(exam.blocks, ids=exam.blocks.ids[order]),
    )
    for rate in gaps.RATES:
        for (_, one), (_, other) in zip(
            gaps.fairness(exam, rate, "plan"), gaps.fairness(turned, rate, "plan"), strict=True
        ):
            assert one.value == pytest.approx(other.value)
            assert one.error == pytest.approx(other.error)


WORLDS = 300


@pytest.mark.parametrize("rate", ["tpr", "calibration_gap"])
def test_fair_groups_are_seldom_called_unfair_and_an_unfair_one_is_found(rate: str) -> None:
    random = np.random.default_rng(7)

    def broken(off: float) -> float:
        made = [within(gaps.fairness(fair_world(random, off=off), rate, "plan"), 0.001) for _ in range(WORLDS)]
        return float(np.mean([together([part.state for part in parts]) == "broken" for parts in made]))

    assert broken(0.0) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / WORLDS)
    if rate == "calibration_gap":
        assert broken(0.25) > 0.8


def test_a_gap_at_the_limit_seldom_holds_and_is_seldom_broken() -> None:
    random = np.random.default_rng(11)
    states = []
    for _ in range(WORLDS):
        exam = fair_world(random, groups=2, off=0.1)
        found = gaps.fairness(exam, "calibration_gap", "plan")
        states.append(together([part.state for part in within(found[:1], 0.1)]))
    most = 0.025 + 3 * np.sqrt(0.025 * 0.975 / WORLDS) + 0.01
    assert states.count("holds") / WORLDS <= most
    assert states.count("broken") / WORLDS <= most
