"""What `benchmarks.algorithms` compares by: evaluations, the divergence of chains, the plots."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest
import torch

from benchmarks.algorithms import AXES, CONFIGS, KL_STEPS, MEASURES, RESULTS, Counter, chain_kl, plot
from ddpo.church64.figures import read_figures
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.step import trailing_timesteps
from ddpo.training.config import TrainConfig
from ddpo.training.trainer import Trainer
from tests.helpers.gaussian import SCHEDULE, SHAPE, GaussianDenoiser, brightness
from tests.helpers.models import make_unet


def test_a_gradient_of_the_weights_counts_as_two_evaluations_and_one_of_the_input_as_one() -> None:
    trained, base, counter = make_unet(), make_unet().requires_grad_(False), Counter()
    counter.watch(trained, is_trained=True)
    counter.watch(base, is_trained=False)
    x_t, t = torch.zeros(2, 3, 16, 16), torch.tensor(500)
    counts = []
    for network, x in ((trained, x_t), (base, x_t), (base, x_t.clone().requires_grad_())):
        before = counter.count
        network(x, t)
        counts.append(counter.count - before)
    with torch.no_grad():
        trained(x_t, t)
    assert counts == [6, 2, 4] and counter.count == sum(counts) + 2


def test_the_divergence_of_the_chains_is_that_of_the_closed_form(compute: Compute) -> None:
    """An offset d of the noise moves the mean of a step by a known multiple of d."""
    model = GaussianDenoiser(0.5)
    trainer = Trainer(model, SCHEDULE, SHAPE, brightness, TrainConfig(), compute)
    assert chain_kl(trainer) == 0
    d = 0.01
    with torch.no_grad():
        model.offset.fill_(d)
    times = trailing_timesteps(KL_STEPS, SCHEDULE.num_timesteps)
    expected = 0.0
    for t, t_prev in pairwise(times):
        a, b = (float(SCHEDULE.alphas_cumprod[time]) for time in (t, t_prev))
        variance = (1 - b) / (1 - a) * (1 - a / b)
        shift = d * ((1 - b - variance) ** 0.5 - (b * (1 - a) / a) ** 0.5)
        expected += 3 * 16 * 16 * shift**2 / (2 * variance)
    assert chain_kl(trainer) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("axis", AXES)
def test_the_plots_show_every_algorithm_and_measure(axis: str) -> None:
    drawn = ElementTree.fromstring(plot(read_figures(RESULTS), axis))
    words = [text.text for text in drawn.iter() if text.text]
    assert all(words.count(name) == len(MEASURES) for name in CONFIGS)
    assert not any("e+" in word for word in words)  # as in 2e+04
