"""The judge ranks clear weather before dull, and every planted fault behind what it was planted in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ddpo.church64 import judge as judging
from ddpo.church64.build import main
from ddpo.church64.judge import FIRST_PLANTED, ClearWeatherJudge, draw_weather, is_clear, planted_cases, table
from ddpo.church64.moods import MOODS
from ddpo.church64.scenes import draw_scene
from ddpo.church64.spoiled import PLANTED
from ddpo.evaluation.kernel_distance import KernelDistance
from tests.helpers.here import ROOT

COUNT = 48


@pytest.fixture(scope="module")
def judge() -> ClearWeatherJudge:
    return ClearWeatherJudge(scenes=150)


@pytest.fixture(scope="module")
def rows(judge: ClearWeatherJudge) -> dict[str, KernelDistance]:
    return planted_cases(judge, COUNT)


def test_clear_weather_is_what_nothing_dulls() -> None:
    assert {name for name, mood in MOODS.items() if not is_clear(mood)} == {"overcast", "fog"}
    clear, dull = draw_weather(FIRST_PLANTED, 6), draw_weather(FIRST_PLANTED, 6, clear=False)
    drawn = {draw_scene(seed).tobytes() for seed in range(FIRST_PLANTED, FIRST_PLANTED + 60)}
    assert {picture.tobytes() for picture in np.concatenate([clear, dull])} <= drawn
    assert clear.std(axis=(1, 2, 3)).mean() > dull.std(axis=(1, 2, 3)).mean()


def test_clear_drawings_are_at_no_distance_and_dull_ones_are(rows: dict[str, KernelDistance]) -> None:
    clear, dull = rows["other clear drawings"], rows["dull drawings"]
    assert abs(clear.value) < 3 * clear.standard_error
    assert dull.value > clear.value + 4 * (clear.standard_error + dull.standard_error)


@pytest.mark.parametrize("fault", PLANTED)
def test_every_planted_fault_moves_away(rows: dict[str, KernelDistance], fault: str) -> None:
    assert rows[f"clear, {fault}"].value > rows["other clear drawings"].value


def test_a_stronger_fault_moves_further(rows: dict[str, KernelDistance]) -> None:
    for weak, strong in (
        ("woven texture of 6 levels", "woven texture of 12 levels"),
        ("contrast of 1.5 times", "contrast of 2.5 times"),
        ("8 pictures repeated", "one picture repeated"),
    ):
        assert rows[f"clear, {weak}"].value < rows[f"clear, {strong}"].value


def test_models_stand_beside_the_first() -> None:
    rows = {"dull": KernelDistance(9.0, 1.0), "base": KernelDistance(5.0, 0.3), "tuned": KernelDistance(4.0, 0.4)}
    lines = table(rows, "base").splitlines()[2:]
    assert lines == ["| dull | 9.0 ± 1.0 |  |", "| base | 5.0 ± 0.3 |  |", "| tuned | 4.0 ± 0.4 | -1.0 ± 0.5 |"]


def test_the_command_prints_and_writes_and_says_what_is_wrong(
    judge: ClearWeatherJudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judging, "ClearWeatherJudge", lambda: judge)
    file, base = tmp_path / "figures.json", str(ROOT / "assets" / "church-64" / "base")
    assert main(["judge", base, "--steps", "2", "--count", "3", "--json", str(file)]) == 0
    assert f"| {base} | " in capsys.readouterr().out
    assert set(json.loads(file.read_text(encoding="utf-8"))[base]) == {"distance", "standard_error"}
    assert main(["judge", "no/such/folder/here", "--count", "3"]) == 1
    assert "no/such/folder/here" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["judge"])
    assert "name a model" in capsys.readouterr().err
