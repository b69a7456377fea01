"""Lets torchvision's Python transforms be imported beside a CPU-only torch.

torchvision's wheels link CUDA libraries; next to a CPU build of torch their compiled part does not load, and the import
fails with "operator torchvision::nms does not exist". open_clip imports torchvision, and so does diffusers where it is
installed. Only the Python transforms are needed here, so declaring the two missing operators is enough.

torch takes seconds to import, so nothing happens until somebody asks for torchvision.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_declared: list[object] = []  # a Library of torch takes its operators with it when it is collected


def _compiled_part_loads(package: Path) -> bool:
    import torch

    for library in package.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            return False
    return True


def _declare_missing_operators() -> None:
    from torch import library

    fragment = library.Library("torchvision", "FRAGMENT")
    fragment.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    fragment.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(fragment)


class _TorchvisionGuard(MetaPathFinder):
    """Runs once, before the first import of torchvision, and then steps out of the way."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin and not _compiled_part_loads(Path(spec.origin).parent):
            _declare_missing_operators()
        return spec


if "torchvision" not in sys.modules and not any(type(f).__name__ == "_TorchvisionGuard" for f in sys.meta_path):
    sys.meta_path.insert(0, _TorchvisionGuard())
