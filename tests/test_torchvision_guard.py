"""torchvision can be imported beside any build of torch, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def test_torchvision_and_diffusers_can_be_imported_after_ddpo() -> None:
    pytest.importorskip("torchvision")
    run_python(
        "import ddpo, torch\n"
        "from torchvision.transforms.v2 import functional as F\n"
        "import diffusers; diffusers.UNet2DModel\n"
        "assert F.resize(torch.zeros(1, 3, 8, 8), [4, 4]).shape == (1, 3, 4, 4)\n"
    )


def test_importing_ddpo_does_not_import_torch() -> None:
    run_python("import sys, ddpo; assert 'torch' not in sys.modules and 'torchvision' not in sys.modules")
