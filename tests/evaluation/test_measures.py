"""What the score does not say: the figures against cases of which the answer is known."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpo.church64.scenes import draw_scenes
from ddpo.church64.spoiled import warped
from ddpo.common.files import json_bytes
from ddpo.diffusion.pictures import from_uint8, to_uint8
from ddpo.errors import UserError
from ddpo.evaluation.kernel_distance import kernel
from ddpo.evaluation.measured import SHARES, Measures, from_dict
from ddpo.evaluation.measures import measure
from ddpo.evaluation.paired_distance import from_features
from ddpo.evaluation.sliders import explained_by_sliders

COUNT = 48


@pytest.fixture(scope="module")
def drawn() -> Tensor:
    return from_uint8(draw_scenes(742_000, 2 * COUNT))


def measured(before: Tensor, after: Tensor) -> Measures:
    found = measure(to_uint8(before), to_uint8(after))
    assert found is not None
    return found


def test_the_same_pictures_keep_everything_at_no_distance(drawn: Tensor) -> None:
    found = measured(drawn[:COUNT], drawn[:COUNT])
    assert all(getattr(found, name).value == 1 and getattr(found, name).noise == 0 for name in SHARES)
    assert found.distance.value == pytest.approx(0, abs=1e-9) and found.distance.p_value == 1
    assert math.isnan(found.sliders)


def test_other_pictures_of_one_kind_keep_everything_up_to_noise(drawn: Tensor) -> None:
    found = measured(drawn[:COUNT], drawn[COUNT:])
    for name in SHARES:
        share = getattr(found, name)
        assert abs(share.value - 1) < 3 * share.noise < 0.9, name
    assert found.distance.p_value > 0.01
    assert abs(found.distance.value) < 3 * found.distance.standard_error


def test_they_are_kept_by_json_what_is_no_number_included(drawn: Tensor) -> None:
    for after in (drawn[COUNT:], drawn[:COUNT]):
        found = measured(drawn[:COUNT], after)
        again = from_dict(json.loads(json_bytes(asdict(found))))
        np.testing.assert_equal(asdict(again), asdict(found))


def test_pictures_that_cannot_be_measured_together_are_refused() -> None:
    with pytest.raises(UserError, match="against each other"):
        measure(np.zeros((20, 16, 16, 3), np.uint8), np.zeros((20, 32, 32, 3), np.uint8))


def test_sliders_explain_contrast_and_saturation_and_no_other_shapes(drawn: Tensor) -> None:
    pictures = drawn[:COUNT]
    grey = pictures.mean(1, keepdim=True)
    turned = 0.7 * (grey + 1.4 * (pictures - grey)) + 0.1
    assert explained_by_sliders(pictures, turned) > 0.95
    assert explained_by_sliders(pictures, (1.5 * pictures).clamp(-1, 1)) > 0.75
    assert explained_by_sliders(pictures, warped(pictures, 2.0)) < 0.3
    assert explained_by_sliders(pictures, drawn[COUNT:]) < 0.5


def test_the_distance_is_the_mean_of_h_and_leaves_pairs_of_a_seed_out() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, 3, generator=rng), torch.randn(6, 3, generator=rng)
    h = [
        float(kernel(x[i : i + 1], x[j : j + 1]) + kernel(y[i : i + 1], y[j : j + 1]))
        - float(kernel(x[i : i + 1], y[j : j + 1]) + kernel(x[j : j + 1], y[i : i + 1]))
        for i in range(6)
        for j in range(6)
        if i != j
    ]
    assert from_features(x, y).value == pytest.approx(np.mean(h))


def test_the_test_of_the_distance_keeps_its_level_for_pictures_that_are_alike_by_seed() -> None:
    rng, cases = torch.Generator().manual_seed(1), 200
    declared, found, values, errors = 0, 0, [], []
    for _ in range(cases):
        common = torch.randn(24, 8, generator=rng)
        x, y = (common + 0.3 * torch.randn(24, 8, generator=rng) for _ in range(2))
        same = from_features(x, y)
        declared += same.p_value <= 0.05
        moved = from_features(x, y + 0.5)
        found += moved.p_value <= 0.05
        values.append(moved.value)
        errors.append(moved.standard_error)
    assert abs(declared / cases - 0.05) <= 0.035 and found > 0.9 * cases
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.35)
