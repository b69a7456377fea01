"""The Space starts on its host: versions, hardware and prices are those of scripts/space_host.json."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from ddpo.common.machine import CPU_HARDWARE, HOURLY_PRICES
from scripts.test_versions import CASES, HOST, PAGE, RESULTS, SPACE_PYTHON, page
from tests.helpers.here import ROOT

Files = dict[str, str]  # name -> text
MINORS = [f"2.{minor}.0" for minor in range(40)]  # torch's releases, past and to come
URL = re.compile(r"https://huggingface\.co/spaces/(?P<space>[\w.-]+/[\w.-]+)/resolve/main/(?P<path>.+)")


@pytest.fixture(scope="module")
def host() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(HOST.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def files() -> Files:
    names = ("README.md", "docs/spaces.md", "requirements.txt", "pyproject.toml")
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names}


def card(files: Files) -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load(files["README.md"].split("---\n")[1])
    return facts


def allowed(files: Files, package: str, python: str) -> SpecifierSet:
    """The versions of a package that pip may choose on Linux with this Python."""
    lines = [line.partition("#")[0].strip() for line in files["requirements.txt"].splitlines()]
    found = [requirement for requirement in map(Requirement, filter(None, lines)) if requirement.name == package]
    minor = ".".join(python.split(".")[:2])
    machine = {"python_version": minor, "python_full_version": f"{minor}.0", "sys_platform": "linux"}
    here = [one.specifier for one in found if one.marker is None or one.marker.evaluate(machine)]
    assert here, f"requirements.txt says nothing of {package} for Python {python}"
    return SpecifierSet(",".join(map(str, here)))


def torchvision_of(torch: str) -> str:
    """The release that belongs to a release of torch: 0.23.0 to 2.8.0, and so on."""
    return f"0.{Version(torch).minor + 15}.0"


def what_breaks_the_space(files: Files, host: dict[str, Any]) -> list[str]:
    """Sentences, each of which says why such a Space would not be built or not run."""
    facts, zero = card(files), host["zero_gpu"]
    python = facts["python_version"]
    lowest = re.search(r'requires-python = "(.*)"', files["pyproject.toml"])
    assert lowest
    torches, visions = allowed(files, "torch", python), allowed(files, "torchvision", python)
    supported = {Version(version).minor for version in zero["torch"]}
    unknown = [version for version in torches.filter(MINORS) if Version(version).minor not in supported]
    wrong = []
    if python not in zero["python"]:
        wrong.append(f"ZeroGPU has no Python {python}")
    if python not in SpecifierSet(lowest[1]):
        wrong.append(f"this code needs Python {lowest[1]}")
    if facts["sdk_version"] not in SpecifierSet(zero["gradio"]):
        wrong.append(f"ZeroGPU needs Gradio {zero['gradio']}")
    if not any(torches.filter(zero["torch"])):
        wrong.append("ZeroGPU has none of the torch releases that are asked for")
    if unknown:
        wrong.append(f"pip may choose torch {max(unknown, key=Version)}, which ZeroGPU does not know")
    wrong += [
        f"torch {torch} may be chosen, but not its torchvision {torchvision_of(torch)}"
        for torch in torches.filter(zero["torch"])
        if torchvision_of(torch) not in visions
    ]
    if facts.get("suggested_hardware", "cpu-basic") not in host["suggested_hardware"]["values"]:
        wrong.append(f"{facts['suggested_hardware']} is no hardware that may be suggested")
    if not URL.fullmatch(facts["thumbnail"]):
        wrong.append("the thumbnail is no URL of a file of the Space")
    return wrong


def test_the_space_starts_on_zero_gpu(files: Files, host: dict[str, Any]) -> None:
    assert what_breaks_the_space(files, host) == []


@pytest.mark.parametrize(
    ("name", "pattern", "instead", "said"),
    [
        ("README.md", r'python_version: ".*"', 'python_version: "3.11"', "no Python 3.11"),
        ("README.md", r'python_version: ".*"', 'python_version: "3.10.13"', "this code needs Python"),
        ("requirements.txt", r"torch>=2\.8,", "torch>=2.13,", "none of the torch releases"),
        ("requirements.txt", r"torch<2\.12;.*", "", "pip may choose torch 2.13.0"),
        ("requirements.txt", r"torch<2\.12;", "torch<2.13;", "pip may choose torch 2.12.0"),
        ("requirements.txt", r"torchvision>=0\.23", "torchvision>=0.24", "not its torchvision 0.23.0"),
        ("requirements.txt", r"torchvision>=0\.23,<0\.29", "torchvision>=0.23,<0.26", "not its torchvision 0.26.0"),
        ("README.md", "sdk: gradio", "sdk: gradio\nsuggested_hardware: zero-a10g", "zero-a10g is no hardware"),
        ("README.md", "thumbnail: .*", "thumbnail: assets/thumbnail.png", "thumbnail is no URL"),
    ],
)
def test_a_change_that_breaks_the_space_is_noticed(
    files: Files, host: dict[str, Any], name: str, pattern: str, instead: str, said: str
) -> None:
    changed, times = re.subn(pattern, instead, files[name], count=1)
    assert times == 1 and changed != files[name]
    found = what_breaks_the_space(files | {name: changed}, host)
    assert len(found) >= 1 and said in " ".join(found)


def test_no_python_gets_a_torch_that_brings_cuda_to_every_machine(files: Files) -> None:
    for python in ("3.11", "3.12", "3.13"):
        assert "2.14.0" not in allowed(files, "torch", python)
    assert "2.13.0" in allowed(files, "torch", "3.11") and "0.28.0" in allowed(files, "torchvision", "3.11")


def test_the_lowest_the_hosts_newest_and_our_newest_are_tested(files: Files, host: dict[str, Any]) -> None:
    tested = {(case.python, case.torch) for case in CASES}
    ours = list(allowed(files, "torch", "3.11").filter(MINORS))
    newest = max(host["zero_gpu"]["torch"], key=Version)
    assert {(SPACE_PYTHON, ours[0]), (SPACE_PYTHON, newest), ("3.11", ours[-1])} <= tested
    assert all(case.torchvision == torchvision_of(case.torch) for case in CASES)
    assert card(files)["python_version"].startswith(f"{SPACE_PYTHON}.")


def test_the_results_are_of_versions_that_are_allowed(files: Files, host: dict[str, Any]) -> None:
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(report)
    cases = {case.name: case for case in CASES}
    for row in report["suites"]:
        case = cases[row["name"]]
        assert row["python"].startswith(case.python) and Version(row["torch"]).public == case.torch
        assert row["passed"] > 0 and row["failed"] == 0 and row["finished"]
        assert case.torch in allowed(files, "torch", case.python)
    constraints = {None, *(f"torch=={version}" for version in host["zero_gpu"]["torch"])}
    assert {one["constraint"] for one in report["resolutions"]} == constraints
    for one in report["resolutions"]:
        assert one["torch"] in host["zero_gpu"]["torch"]
        assert Version(one["torchvision"]).minor == Version(torchvision_of(one["torch"])).minor


def test_the_checkers_look_at_the_oldest_python_that_is_promised(files: Files) -> None:
    project = files["pyproject.toml"]
    lowest = re.search(r'requires-python = ">=3\.(\d+)"', project)
    assert lowest and f'target-version = "py3{lowest[1]}"' in project
    assert f'python_version = "3.{lowest[1]}"' in project
    assert f"With Python 3.{lowest[1]} or newer" in files["README.md"]


def test_prices_and_hardware_are_the_hosts(host: dict[str, Any]) -> None:
    assert host["hourly_dollars"]["prices"] == HOURLY_PRICES
    assert sorted(HOURLY_PRICES) == sorted(host["suggested_hardware"]["values"])
    assert CPU_HARDWARE[str(host["cpu_basic"]["cores"])] == "cpu-basic"


def test_the_documentation_speaks_of_one_space(files: Files) -> None:
    thumbnail = URL.fullmatch(card(files)["thumbnail"])
    assert thumbnail
    commands = re.findall(r"^hf (?:repos create|upload) (\S+)", files["docs/spaces.md"], re.MULTILINE)
    assert commands and set(commands) == {thumbnail["space"]}


def test_the_documentation_tells_zero_gpus_sizes(files: Files, host: dict[str, Any]) -> None:
    for name, size in host["zero_gpu"]["sizes"].items():
        assert re.search(rf"`{name}`[^.]*\b{size['memory_gb']} GB", files["docs/spaces.md"], re.DOTALL)
