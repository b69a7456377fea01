"""libgomp alone, as torch brings it: importing torch takes seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

LOAD = """
import ctypes, glob, importlib.util, os
folder = importlib.util.find_spec("torch").submodule_search_locations[0]
ctypes.CDLL(glob.glob(os.path.join(folder, "lib", "libgomp*"))[0])
"""
_torch = importlib.util.find_spec("torch")
_folders = (_torch.submodule_search_locations or []) if _torch else []
needs_libgomp = pytest.mark.skipif(
    not any(list(Path(folder).glob("lib/libgomp*")) for folder in _folders), reason="this torch brings no libgomp"
)
