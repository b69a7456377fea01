"""torchvision can be imported beside any build of torch, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.here import ROOT

USE = "import torch\nfrom torchvision.transforms.v2 import functional as F\nF.resize(torch.zeros(1, 3, 8, 8), [4, 4])\n"


def run_python(code: str, *path: Path) -> None:
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=300, env=variables)


@pytest.fixture
def unloadable(tmp_path: Path) -> Path:
    """A folder with the installed torchvision, whose compiled part no torch can load, as beside a build for the CPU."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip("torchvision is not installed")
    package = tmp_path / "torchvision"
    package.mkdir()
    for entry in Path(spec.origin).parent.iterdir():
        if entry.suffix == ".so":
            (package / entry.name).write_bytes(b"no library")
        elif entry.name != "__pycache__":
            (package / entry.name).symlink_to(entry)
    return tmp_path


def test_torchvision_and_diffusers_can_be_imported_after_ddpo() -> None:
    pytest.importorskip("torchvision")
    run_python(f"import ddpo\n{USE}\nimport diffusers; diffusers.UNet2DModel")


def test_torchvision_can_be_imported_where_its_compiled_part_does_not_load(unloadable: Path) -> None:
    run_python(f"import ddpo\n{USE}", unloadable)
    with pytest.raises(subprocess.CalledProcessError):
        run_python(USE, unloadable)


def test_importing_ddpo_does_not_import_torch() -> None:
    run_python("import sys, ddpo; assert 'torch' not in sys.modules and 'torchvision' not in sys.modules")
