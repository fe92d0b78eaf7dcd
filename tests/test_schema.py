"""The JSON Schema that editors check params.yaml with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from lockstep import schema
from lockstep.errors import InputError
from worlds import BY_KEY, DROP, EVERY_GATE, MULTICLASS, REGRESSION, TIMELESS, a_spec, spec_text

ROOT = Path(__file__).parent.parent


def complaints(overrides: dict[str, Any]) -> list[str]:
    """What the schema has against a spec."""
    return [
        error.message for error in Draft7Validator(schema.schema()).iter_errors(yaml.safe_load(spec_text(overrides)))
    ]


def test_the_file_in_the_repository_is_what_the_models_say() -> None:
    assert schema.is_current(ROOT), "run `lockstep check --fix`"


def test_the_schema_is_a_schema() -> None:
    Draft7Validator.check_schema(schema.schema())


def test_the_example_names_the_schema_and_fits_it() -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == schema.MODELINE
    assert list(Draft7Validator(schema.schema()).iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        REGRESSION,
        MULTICLASS,
        BY_KEY,
        TIMELESS,
        {"evaluate.threshold": {"recall": 0.5}},
        {"ingest.source": None, "train.search": None, "train.calibrate": None, "split.gap": None},
        {"contract.columns.balance": {"type": "number", "missing": "allowed", "available": None, "min": None}},
        {"contract.columns.plan": {"type": "category", "allowed": None}},
        {"split.gap": "0 days", "split.holdout": "03 months", "ingest.until": "2024-12-31T23:59:59.5"},
        {"train.search": {"params": {"l2_regularization": [1, 1.0]}}},
        {"ingest.files": ["a.csv", "b.csv"]},
        {"gates": EVERY_GATE},
        {"gates": []},
        {"gates": [{"metric": "roc_auc", "at_least": 0.6, "at_most": None}]},
        REGRESSION | {"gates": [{"metric": "mae", "at_most": 12, "judge": "bound"}]},
    ],
)
def test_what_the_reader_accepts_the_schema_accepts(overrides: dict[str, Any]) -> None:
    a_spec(overrides)
    assert complaints(overrides) == []


@pytest.mark.parametrize(
    "overrides",
    [
        {"train.sed": 1},
        {"contract.columns.age.unti": "year"},
        {"contract.columns.age.type": "intger"},
        {"project.name": "Our Churn"},
        {"ingest.from": "01.02.2024"},
        {"split.holdout": "3 moons"},
        {"split": {"by": "key", "holdout": 2}},
        {"evaluate.metrics": ["auc"]},
        {"evaluate.primary": "rmse"},
        MULTICLASS | {"evaluate.primary": "roc_auc"},
        {"evaluate.threshold": {"maximize": "f1"}},
        {"train": DROP},
        {"evaluate.metrics": ["roc_auc", "roc_auc"]},
        {"contract.columns.plan": {"type": "category", "allowed": ["free", "free"]}},
        {"split.holdout": "0 months"},
        {"ingest.until": "2024-13-01"},
        {"ingest.until": "2024-12-31T24:00"},
        {"ingest.source": "shop:load"},
        {"ingest.files": DROP},
        {"ingest.files": None},
        {"gates": {"metric": "roc_auc"}},
        {"gates": [{"metric": "roc_auc"}]},
        {"gates": [{"metric": "roc_auc", "at_least": 0.6, "at_most": 0.9}]},
        {"gates": [{"metric": "roc_auc", "at_least": 0.6, "against": "champion"}]},
        {"gates": [{"metric": "roc_auc", "against": "champoin"}]},
        {"gates": [{"metric": "rmse", "against": "champion"}]},
        {"gates": [{"metric": "roc_auc", "against": "champion", "tolerance": -0.1}]},
        {"gates": [{"cost": "model_megabytes"}]},
        {"gates": [{"quarantined": 1}]},
        {"gates": [{"quarantined": 0.1}, {"quarantined": 0.1}]},
        {"gates": [{"contract": "compatble"}]},
    ],
)
def test_what_the_reader_refuses_in_shape_the_schema_refuses(overrides: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        a_spec(overrides)
    assert complaints(overrides)


def test_every_key_in_the_schema_is_described() -> None:
    for name, section in schema.schema()["$defs"].items():
        for key, content in section["properties"].items():
            assert "description" in content or key in ("type", "by"), f"{name}.{key}"


def test_the_schema_is_written_whole(tmp_path: Path) -> None:
    assert not schema.is_current(tmp_path)
    assert schema.write(tmp_path).read_text(encoding="utf-8") == schema.text()
    assert schema.is_current(tmp_path)
    assert [path.name for path in (tmp_path / "schema").iterdir()] == [Path(schema.FILE).name]
    assert re.match(r"\{\n \"\$defs\"", schema.text())


def test_a_schema_that_is_not_text_is_written_anew(tmp_path: Path) -> None:
    path = schema.write(tmp_path)
    path.write_bytes(b"\xff\xfe")
    assert not schema.is_current(tmp_path)
    schema.write(tmp_path)
    assert schema.is_current(tmp_path)
