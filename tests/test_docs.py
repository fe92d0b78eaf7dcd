"""What README and docs say is true: their blocks run, their tables are of this code, their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, Project
from lockstep import pipeline
from lockstep.spec import Spec

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("[A-Z]*.md"))]


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def console(command: str) -> str:
    """What the README shows for a command."""
    return next(block.split("\n", 1)[1] for block in blocks("console") if block.startswith(f"$ {command}\n"))


@pytest.mark.timeout(900)
def test_make_repro_in_a_fresh_clone_prints_what_the_readme_shows_and_leaves_git_clean(tmp_path: Path) -> None:
    folder = tmp_path / "a fresh clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    # What the checkout under test has not committed yet belongs to it.
    changed = subprocess.run(["git", "diff", "--binary", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    if changed:
        subprocess.run(["git", "apply", "--index"], cwd=folder, input=changed, check=True)
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def repro() -> str:
        result = subprocess.run(
            ["make", "repro"], cwd=folder, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    first = [line for line in repro().splitlines() if line]
    shown = [line for line in console("make repro").splitlines() if line]
    assert [line for line in first if line in shown] == shown
    # Beyond that there is set-up only.
    rest = [line for line in first if line not in shown]
    assert {line.split()[0] for line in rest} <= {"setting", "installing", "WARNING:"}
    status = subprocess.run(["git", "diff", "--stat"], cwd=folder, capture_output=True, text=True, check=True)
    assert status.stdout == "" or changed
    new = subprocess.run(
        ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert not [line for line in new.splitlines() if line.startswith(("??", " M"))], new
    assert "setting up" not in repro()


def test_lockstep_check_prints_the_error_that_the_readme_shows(tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    for name in ("params.yaml", "src/flights/__init__.py", "src/flights/source.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    project.edit("params.yaml", "  partition: month", "  partitions: month")
    result = project.run("lockstep", "check")
    assert result.returncode == 1
    assert console("lockstep check").strip() in result.stderr


def test_each_part_of_the_tour_is_taken_from_params_yaml() -> None:
    ours = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for block in blocks("yaml"):
        for section, content in yaml.safe_load(block).items():
            if isinstance(content, list):
                assert all(item in ours[section] for item in content)
                continue
            for key, value in content.items():
                if key == "columns":
                    assert all(column.items() <= ours[section][key][name].items() for name, column in value.items())
                elif key == "target":
                    assert value.items() <= ours[section][key].items()
                else:
                    assert ours[section][key] == value


def test_the_pipeline_table_names_the_stages_in_order() -> None:
    rows = re.findall(r"^\| \*\*(\w+)\*\* \|", README, flags=re.MULTILINE)
    assert rows == list(pipeline.MODULES)


def test_the_sections_of_the_spec_are_all_in_the_tour_or_the_example() -> None:
    shown = set().union(*(yaml.safe_load(block) for block in blocks("yaml")))
    assert shown | {"project"} == set(Spec.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert len(page.read_text(encoding="utf-8")) > 200


def test_the_architecture_page_has_a_row_for_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index("## Rooms") : page.index("## Five ideas")]
    rooms = {path.stem for path in (ROOT / "src" / "lockstep").iterdir() if not path.name.startswith(("__", "py."))}
    lacking = [room for room in sorted(rooms) if f"`{room}" not in table]
    assert not lacking
