"""A small project of customers, whole: spec, rows in git, workflows. Each stage takes about a second."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import small
from conftest import ROOT
from loop.job import set_up

COPIED = (
    ".github/workflows", ".gitignore", ".gitattributes", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "Makefile",
    "pyproject.toml", "requirements",
)  # fmt: skip
ROWS = 4000
INCOMING = "data/incoming"


def spec(**changes: Mapping[str, Any]) -> str:
    """params.yaml; keyword arguments update sections."""
    document: dict[str, Any] = small.a_spec().model_dump(mode="json", by_alias=True, exclude_unset=True)
    document["ingest"] = {"files": f"{INCOMING}/*.csv", "from": "2024-01-01", "until": "2024-04-20"}
    document["train"] |= {"params": {"max_iter": 12, "max_leaf_nodes": 4}}
    document["gates"] = [
        {"metric": "roc_auc", "at_least": 0.6},
        {"metric": "roc_auc", "against": "champion", "tolerance": 0.02},
    ]
    for section, values in changes.items():
        document[section] = {**document.get(section, {}), **values} if isinstance(values, Mapping) else values
    return yaml.safe_dump(document, sort_keys=False, width=120)


def rows() -> dict[str, str]:
    """CSV files by month."""
    table = small.a_table(ROWS, seed=5)
    months = table.groupby(table["since"].dt.strftime("%Y-%m"))
    return {f"{INCOMING}/{month}.csv": part.to_csv(index=False) for month, part in months}


def lay(root: Path) -> None:
    """Everything but what the pipeline makes; a git repository with one commit."""
    root.mkdir(parents=True)
    for name in COPIED:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    for name, text in {"params.yaml": spec(), **rows()}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main"], cwd=root, check=True)
    set_up(root)


def commit(root: Path, message: str) -> str:
    """Commit all of it; returns the commit."""
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    subprocess.run(["git", "commit", "--quiet", "--allow-empty", "-m", message], cwd=root, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()
