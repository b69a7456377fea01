"""The rooms of the package and of its tests: what each may import, written once."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.helpers.here import ROOT

PACKAGE = ROOT / "ddpo"

# Each may import itself and what stands above it here. `ddpo/__init__.py` is the public face, and imports lazily.
LAYERS = (
    "errors", "_torchvision_guard", "common", "hub", "diffusion", "rewards", "training", "runs", "comparison",
    "evaluation", "public", "publish", "cli", "church64", "ui",
)  # fmt: skip
UI_LAYERS = ("shared", "space", "compare", "evaluate", "train", "explorer", "score", "api", "address", "page")
# What huggingface_hub and spaces keep to themselves, and tests cannot reach by another way.
PRIVATE_OF_OTHERS = {"_IN_MEMORY_TREE_CACHE", "_read_gpu_information"}
TORCH_ALONE = ("diffusion/step.py", "training/objective.py")


def imports(path: Path) -> set[str]:
    """Dotted names of ours that a file imports anywhere in it, those of functions and annotations included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def modules() -> list[tuple[Path, list[str]]]:
    return [(path, list(path.relative_to(PACKAGE).with_suffix("").parts)) for path in sorted(PACKAGE.rglob("*.py"))]


def test_every_room_has_its_place() -> None:
    rooms = {parts[0] for _, parts in modules()} - {"__init__"}
    assert rooms == set(LAYERS)
    inner = {parts[1] for _, parts in modules() if parts[0] == "ui" and len(parts) > 1} - {"__init__"}
    assert inner == set(UI_LAYERS)


def test_imports_go_one_way_only() -> None:
    wrong = []
    for path, parts in modules():
        for name in imports(path):
            room = name.split(".")[1] if name.startswith("ddpo.") else None
            if room in LAYERS and parts[0] in LAYERS and LAYERS.index(room) > LAYERS.index(parts[0]):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
            if parts[0] == "ui" and len(parts) > 1 and name.startswith("ddpo.ui."):
                inner = name.split(".")[2]
                if parts[1] in UI_LAYERS and UI_LAYERS.index(inner) > UI_LAYERS.index(parts[1]):
                    wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_how_church_64_was_made() -> None:
    outside = [path for path, parts in modules() if parts[0] != "church64"]
    assert not [path for path in outside if any(name.startswith("ddpo.church64") for name in imports(path))]


def test_the_mathematics_needs_torch_alone() -> None:
    for name in TORCH_ALONE:
        ours = {found for found in imports(PACKAGE / name) if found.startswith("ddpo.")}
        others = {found.partition(".")[0] for found in imports(PACKAGE / name)} - {"ddpo", "torch"}
        assert not ours and others <= {"__future__", "dataclasses", "math", "typing"}, name


def test_tests_share_through_helpers_alone() -> None:
    """Neither a test nor a helper imports a test or a conftest."""
    for path in (ROOT / "tests").rglob("*.py"):
        names = {name for name in imports(path) if name.startswith(("tests.", "test_", "conftest"))}
        strays = {name for name in names if any(p.startswith("test_") or p == "conftest" for p in name.split("."))}
        assert not strays, f"{path.relative_to(ROOT)} imports {', '.join(strays)}"


def test_tests_lie_where_what_they_test_lies() -> None:
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders - {".", "browser", "hostile"} <= {*LAYERS, "public"}
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len({*names})  # without packages, pytest tells files apart by their names alone


def test_no_test_replaces_a_private_name_in_a_string() -> None:
    """What renames a name does not look into strings."""
    wrong = []
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
                names = [str(part.value) for part in node.args[:2] if isinstance(part, ast.Constant)]
                private = {name for name in names if "._" in f".{name}"} - PRIVATE_OF_OTHERS
                wrong += [f"{path.relative_to(ROOT)}:{node.lineno} replaces {name}" for name in private]
    assert not wrong, "\n".join(wrong)


def test_no_tensors_on_the_page() -> None:
    for path, parts in modules():
        if parts[0] == "ui":
            assert not any(found.partition(".")[0] == "torch" for found in imports(path)), path


def test_every_room_says_what_lives_there_and_what_it_may_import() -> None:
    for init in PACKAGE.rglob("*/__init__.py"):
        text = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
        assert text and "import" in text, init
