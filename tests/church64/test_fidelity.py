"""The figures for fidelity agree with the eye on drawings that were spoiled on purpose."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpo.church64 import fidelity_command
from ddpo.church64.build import BUNDLE, main
from ddpo.church64.canvas import PARTS
from ddpo.church64.edges import edge_sharpness, roughness
from ddpo.church64.fidelity import FidelityMeter
from ddpo.church64.parts import PartsClassifier, PartsConfig, PartsTraining, labelled_drawings, parts_found
from ddpo.church64.scenes import draw_parts, draw_scene, draw_scenes
from ddpo.church64.spoiled import blurred, shifted, speckled, warped, without
from ddpo.diffusion.models import load_model
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import sample_pictures
from ddpo.evaluation.features import describe, wavelets
from ddpo.evaluation.kernel_distance import kernel, kernel_distance

COUNT, FIRST = 60, 6_000_000


@pytest.fixture(scope="module")
def meter() -> FidelityMeter:
    return FidelityMeter(None, scenes=200)


def with_parts(meter: FidelityMeter, classifier: PartsClassifier | None) -> FidelityMeter:
    """The same meter, which took seconds to make, with a classifier."""
    other = copy.copy(meter)
    other.__dict__.pop("of_drawings", None)
    other.classifier = classifier
    return other


@pytest.fixture(scope="module")
def drawings() -> torch.Tensor:
    return from_uint8(draw_scenes(FIRST, COUNT))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> PartsClassifier:
    """Trained for seconds, which is enough for towers."""
    config = PartsConfig(drawings=400, steps=100)
    training = PartsTraining(config, tmp_path_factory.mktemp("parts") / "parts.pt")
    list(training.run())
    return training.model.eval()


# Parts that are left out ----------------------------------------------------------------------------------------------


def test_a_scene_without_a_part_is_otherwise_the_same() -> None:
    whole, parts = draw_parts(FIRST)
    np.testing.assert_array_equal(whole, draw_scene(FIRST))
    assert parts <= set(PARTS) and "tower" in parts
    for part in parts:
        picture, left = draw_parts(FIRST, (part,))
        assert part not in left
        changed = (picture != whole).any(axis=-1)
        assert 0 < changed.mean() < 0.25, part
    assert draw_parts(FIRST, ("tower",))[1] == parts - {"tower", "spire", "door"}


# The distance ---------------------------------------------------------------------------------------------------------


def test_the_distance_is_the_unbiased_estimate_of_the_paper() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(5, 3, generator=rng), torch.randn(4, 3, generator=rng)
    pairs_x = np.mean([float(kernel(x[i : i + 1], x[j : j + 1])) for i in range(5) for j in range(5) if i != j])
    pairs_y = np.mean([float(kernel(y[i : i + 1], y[j : j + 1])) for i in range(4) for j in range(4) if i != j])
    assert kernel_distance(x, y).value == pytest.approx(pairs_x + pairs_y - 2 * float(kernel(x, y).mean()))


def test_the_standard_error_is_how_far_the_distance_scatters() -> None:
    rng = torch.Generator().manual_seed(1)
    found = [
        kernel_distance(torch.randn(60, 8, generator=rng) + 0.4, torch.randn(80, 8, generator=rng)) for _ in range(60)
    ]
    scatter = float(np.std([distance.value for distance in found]))
    assert np.mean([distance.standard_error for distance in found]) == pytest.approx(scatter, rel=0.3)


def test_wavelets_see_no_brightness_and_all_alike() -> None:
    bank = wavelets()
    assert torch.allclose(bank.sum(dim=(1, 2)), torch.zeros(len(bank)), atol=1e-5)
    assert torch.allclose(bank.flatten(1).norm(dim=1), torch.ones(len(bank)))


def test_features_do_not_depend_on_the_batch(drawings: torch.Tensor) -> None:
    torch.testing.assert_close(describe(drawings[:5], batch_size=2), describe(drawings[:5]), atol=1e-5, rtol=1e-4)


def test_other_drawings_are_at_no_distance(meter: FidelityMeter, drawings: torch.Tensor) -> None:
    found = meter(to_uint8(drawings))
    assert abs(found.distance) < 3 * found.standard_error
    assert abs(meter.of_drawings.distance) < 3 * meter.of_drawings.standard_error


def test_spoiled_drawings_are_ranked_as_the_eye_ranks_them(
    meter: FidelityMeter, drawings: torch.Tensor, compute: Compute
) -> None:
    def distance(pictures: torch.Tensor) -> float:
        return meter(to_uint8(pictures)).distance

    intact = distance(drawings)
    for spoil, little, much in ((blurred, 0.6, 1.0), (speckled, 0.02, 0.08), (warped, 1.0, 2.0), (shifted, 0.08, 0.25)):
        assert intact < distance(spoil(drawings, little)) < distance(spoil(drawings, much)), spoil.__name__
    towerless = distance(without("tower", FIRST, COUNT))
    assert towerless > distance(shifted(drawings, 0.06))
    model = load_model(str(BUNDLE / "base"), compute)
    sampled = meter(to_uint8(sample_pictures(model, list(range(16)), "ddim", 10, compute)))
    assert sampled.distance > intact + 2 * sampled.standard_error


# Edges, flat areas and parts ------------------------------------------------------------------------------------------


def test_edges_are_sharp_or_not_whatever_the_contrast(drawings: torch.Tensor) -> None:
    crisp = edge_sharpness(drawings)
    assert edge_sharpness(drawings * 0.5) == pytest.approx(crisp, abs=0.06)
    assert crisp > edge_sharpness(blurred(drawings, 0.6)) + 0.1 > edge_sharpness(blurred(drawings, 1.0)) + 0.15
    step = torch.full((1, 3, 16, 16), -1.0)
    step[..., 8:] = 1
    assert edge_sharpness(step) == pytest.approx(1)
    assert edge_sharpness(torch.zeros(1, 3, 16, 16)) == 0


def test_roughness_sees_noise_in_flat_areas(drawings: torch.Tensor) -> None:
    noise = torch.randn(drawings.shape, generator=torch.Generator().manual_seed(0))
    assert roughness(drawings + 0.01 * noise) > 2 * roughness(drawings)
    assert roughness(torch.zeros(1, 3, 16, 16)) == 0


def test_the_classifier_finds_towers_where_there_are_some(classifier: PartsClassifier, drawings: torch.Tensor) -> None:
    found = [parts_found(classifier, to_uint8(x))["tower"] for x in (drawings, without("tower", FIRST, COUNT))]
    assert found[0] > 0.8 and found[0] - found[1] > 0.4
    assert parts_found(classifier, to_uint8(blurred(warped(drawings, 3.0), 1.2)))["tower"] < found[0] - 0.4


def test_the_classifier_goes_on_after_a_kill_and_is_trained_once(tmp_path: Path) -> None:
    config = PartsConfig(drawings=8, steps=4, batch_size=4, checkpoint_every=2)
    whole = PartsTraining(config, tmp_path / "whole.pt")
    list(whole.run())
    killed = PartsTraining(config, tmp_path / "killed.pt")
    killed._save()
    for _ in range(2):
        killed.train_step(*labelled_drawings(config))
        killed.step += 1
    killed._save()
    resumed = PartsTraining(config, tmp_path / "killed.pt")
    assert resumed.step == 2 and [step for step, _ in resumed.run()] == [4]
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert list(PartsTraining(config, tmp_path / "killed.pt").run()) == []


# The command line -----------------------------------------------------------------------------------------------------


def test_the_command_prints_and_writes_the_figures_of_a_model(
    meter: FidelityMeter,
    classifier: PartsClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fidelity_command, "load_parts_classifier", lambda file: classifier)
    monkeypatch.setattr(fidelity_command, "FidelityMeter", lambda parts: with_parts(meter, parts))
    file = tmp_path / "figures.json"
    base = str(BUNDLE / "base")
    options = ["--scheduler", "ddim", "pndm", "--steps", "4", "--count", "4", "--json", str(file)]
    assert main(["fidelity", base, *options]) == 0
    printed = capsys.readouterr().out
    assert "| drawings | 200 |" in printed and f"| {base}, PNDM 4 | 4 |" in printed and "tower" in printed
    assert f"{base}, DDIM 4" in file.read_text(encoding="utf-8")


def test_the_command_says_what_is_wrong(
    meter: FidelityMeter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fidelity_command, "load_parts_classifier", lambda file: None)
    monkeypatch.setattr(fidelity_command, "FidelityMeter", lambda parts: with_parts(meter, parts))
    assert main(["fidelity", "no/such/folder/here", "--count", "4"]) == 1
    assert "no/such/folder/here" in capsys.readouterr().err
