"""The documentation is true where that can be checked: links, paths, examples, and sentences that are short."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ddpo.ui.page import build_demo
from tests.helpers.forks import SETTINGS, Forked
from tests.helpers.here import ROOT
from tests.helpers.prepared import as_python
from tests.helpers.serving import RunningApp

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").glob("*.md"),
    ]
)
PROSE = [page for page in PAGES if page.name == "README.md" or page.parent == ROOT / "docs"]
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|mailto:)(?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
MENTIONED = re.compile(r"\b(?:ddpo|tests|examples|benchmarks|assets|docs)/[\w./-]*\.(?:py|md|json|webp|png)\b")
MOST_WORDS, MEAN_WORDS = 35, 20
NEEDS_APP = "<!-- test: needs an app -->\n"


def text_of(page: Path) -> str:
    """A page without its front matter."""
    text = page.read_text(encoding="utf-8")
    return text.split("---\n", 2)[2] if text.startswith("---\n") else text


def without_code(text: str) -> str:
    return FENCE.sub("", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sentences(text: str) -> Iterator[str]:
    """The sentences of paragraphs and list items; code, equations, tables, headings and comments are left out."""
    text = re.sub(r"<!--.*?-->|\$\$.*?\$\$", "", without_code(text), flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)  # of a link only its words are read
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "CODE", text).replace("et al.", "et al")
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text):
        if re.match(r"\s*(?:\||#)", block):
            continue
        yield from (part for part in re.split(r"(?<=[.!?])\**\s+", " ".join(block.split())) if part)


def words(sentence: str) -> int:
    return len(re.findall(r"[^\W_][\w'.,-]*", sentence))


def examples(page: str, needs_app: bool) -> list[str]:
    """The Python examples of a page that need an app, or those that need none."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        match["code"]
        for match in FENCE.finditer(text)
        if match["language"] == "python" and text[: match.start()].endswith(NEEDS_APP) == needs_app
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for match in LINK.finditer(without_code(text_of(page))):
        target = (page.parent / match["file"]).resolve() if match["file"] else page
        anchor = match["anchor"]
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(match[0])
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_mentioned_exist(page: Path) -> None:
    missing = {path for path in MENTIONED.findall(text_of(page)) if not (ROOT / path).exists()}
    assert not missing


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_sentences_are_short(page: Path) -> None:
    counted = {sentence: words(sentence) for sentence in sentences(text_of(page))}
    assert not {sentence: count for sentence, count in counted.items() if count > MOST_WORDS}
    assert statistics.fmean(counted.values()) <= MEAN_WORDS


def test_the_check_of_sentences_sees_a_long_one() -> None:
    long = "Whoever " + "reads " * 40 + "this gives up."
    found = list(sentences(f"# Title\n\nShort. {long}\n\n| a table | {long} |\n\n```bash\n{long}\n```\n"))
    assert [words(sentence) for sentence in found] == [1, 44]


@pytest.mark.slow
def test_the_python_examples_run_as_they_stand(tmp_path: Path) -> None:
    """One after another in a folder of their own, with the short run of `ddpo.train`."""
    codes = examples("docs/api.md", needs_app=False)
    for name in ("compare", "score", "train", "load_model", "get_pair", "UserError"):
        assert any(f"ddpo.{name}" in code for code in codes), name
    printed = run_program("\n".join(codes), tmp_path)
    assert "3 of 3 update" in printed and "finished" in printed and "2000" in printed
    assert (tmp_path / "tuned-7.png").is_file()


@pytest.mark.slow
def test_the_http_examples_run_against_a_served_app(app: RunningApp, tmp_path: Path) -> None:
    codes = examples("docs/api.md", needs_app=True)
    assert len(codes) == 3
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "church.png")
    program = "\n".join(codes).replace("http://127.0.0.1:7860", app.url)
    printed = run_program(program, tmp_path)
    assert "church-64" in printed and printed.split()[-1] in ("starting", "running", "finished")


def test_every_endpoint_and_no_other_is_documented() -> None:
    served = set(build_demo().get_api_info()["named_endpoints"])
    headings = re.findall(r"^### (.*)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name for heading in headings for name in re.findall(r"`(/\w+)`", heading)}
    assert documented == served


def run_program(program: str, folder: Path) -> str:
    """What a program prints that runs in a folder and succeeds."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    variables = {**SETTINGS, "DDPO_RUNS": str(folder / "runs")}
    process = Forked(as_python, ["program.py"], cwd=folder, variables=variables)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out
