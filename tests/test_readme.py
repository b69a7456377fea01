"""What the README and the page of settings promise to a Space and to whoever sets the app up."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from ddpo.hub import ids
from tests.helpers.serving import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SCOPES = {
    "email", "read-repos", "write-repos", "manage-repos", "read-billing", "inference-api", "jobs", "webhooks",
    "write-discussions",
}  # fmt: skip


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    assert README.startswith("---\n")
    facts = yaml.safe_load(README.split("---\n")[1])
    assert isinstance(facts, dict)
    return facts


def requirements() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()]
    return {requirement.name: requirement for requirement in found}


def test_the_front_matter_is_what_a_space_reads(card: dict[str, Any]) -> None:
    texts = ("title", "emoji", "license", "short_description", "python_version", "sdk_version")
    assert all(isinstance(card[name], str) and card[name] for name in texts)
    assert len(card["short_description"]) <= 60
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert card["sdk"] == "gradio" and (ROOT / card["app_file"]).is_file()
    assert len(card["tags"]) == len(set(card["tags"])) >= 3


def test_the_space_runs_versions_that_were_tested(card: dict[str, Any]) -> None:
    assert requirements()["gradio"].specifier.contains(card["sdk_version"])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest = re.search(r'requires-python = "(.*)"', project)
    assert lowest and Requirement(f"python{lowest[1]}").specifier.contains(card["python_version"])


def test_the_models_are_ids_and_those_built_in_are_among_them(card: dict[str, Any]) -> None:
    assert all(ids.parse(model) for model in card["models"])
    assert {line.split()[0] for line in card["preload_from_hub"]} <= set(card["models"])


def test_it_says_what_a_public_address_means() -> None:
    (line,) = [line for line in README.split("\n\n") if "GRADIO_SERVER_NAME=0.0.0.0" in line]
    assert "let others in" in line and "(docs/security.md#what-a-public-address-means)" in line


def test_visitors_can_sign_in_and_push(card: dict[str, Any]) -> None:
    assert card["hf_oauth"] is True and set(card["hf_oauth_scopes"]) <= SCOPES
    assert "manage-repos" in card["hf_oauth_scopes"]  # Push makes a repository where there is none
    assert requirements()["gradio"].extras == {"mcp", "oauth"}


def test_the_thumbnail_is_there_and_fit_for_sharing(card: dict[str, Any]) -> None:
    path = ROOT / card["thumbnail"].partition("/resolve/main/")[2]
    assert path.stat().st_size < 10e6
    with Image.open(path) as picture:
        assert picture.width >= 1200 and 1.7 < picture.width / picture.height < 2.1


def test_the_chapters_stand_in_the_order_of_their_use() -> None:
    wanted = ("Install and run", "Compare", "Finetune", "Results", "How it works", "Add to it", "Cite, licence")
    chapters = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert [chapter for chapter in chapters if chapter in wanted] == list(wanted)
    picture, first_words = README.index("![The Compare tab"), README.index("An unconditional diffusion model")
    assert README.index("# DDPO Studio") < picture < first_words < README.index("## Install and run")


def test_the_test_command_is_there() -> None:
    assert "pip install -r requirements-dev.txt && pytest\n" in README


def test_every_variable_of_ours_is_in_the_table_and_nothing_else() -> None:
    files = [ROOT / "app.py", ROOT / "train_space.py", *(ROOT / "ddpo").rglob("*.py")]
    used = {name for file in files for name in re.findall(r"\bDDPO_[A-Z][A-Z_]*\b", file.read_text(encoding="utf-8"))}
    table = SETTINGS.split("## Settings of the app")[1].split("\n\n")[1]
    documented = re.findall(r"^\| `(DDPO_[A-Z_]+)` \| .{20,}\|$", table, re.MULTILINE)
    assert sorted(used) == sorted(documented)
