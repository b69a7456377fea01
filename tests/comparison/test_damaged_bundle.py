"""A bundled pair that is damaged: a sentence that says how to mend it, no run is begun, and the page still opens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ddpo.comparison.compare import compare
from ddpo.comparison.settings import ComparisonSettings
from ddpo.diffusion import catalogue, models
from ddpo.errors import UserError
from ddpo.ui.api import comparing
from ddpo.ui.compare import views
from ddpo.ui.space.asker import Asker
from ddpo.ui.train import actions

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7000000\n"  # what Git leaves without its LFS

DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "half of the weights": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:100_000]), "git lfs pull"),
    "a pointer in place of the weights": (lambda f: (f / WEIGHTS).write_text(POINTER), "git lfs pull"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "weights"),
    "no folder": (shutil.rmtree, "no folder|holds no diffusion model"),
    "a configuration that is none": (lambda f: (f / "unet" / "config.json").write_text("{"), "not valid JSON"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_bundle_is_told_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    change, words = DAMAGE[what]
    pair = catalogue.PAIRS["church-64"]
    shutil.copytree(pair.base, tmp_path / "base")
    change(tmp_path / "base")
    monkeypatch.setitem(catalogue.PAIRS, "church-64", replace(pair, base=str(tmp_path / "base")))
    monkeypatch.setattr(models, "ASSETS", tmp_path)
    monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
    with pytest.raises(UserError, match=words) as caught:
        list(compare(ComparisonSettings(pair="church-64", samples=1, steps=1)))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    if what not in ("half of the weights", "a pointer in place of the weights"):  # known once they are read
        with pytest.raises(UserError, match=words):
            actions.start(actions.make_spec(Asker.OPERATOR, "church-64", None, "photographic", "quick", {}), None)
        assert not list((tmp_path / "runs").glob("2*"))
    assert "church-64" in [entry["name"] for entry in comparing.models()["pairs"]] and views.about_pair("church-64")
