"""Trajectories: what is recorded of them, and what the members of a group share."""

from __future__ import annotations

import torch

from ddpo.diffusion.models import DiffusionModel
from ddpo.diffusion.precision import Compute
from ddpo.diffusion.sampling import bind, evaluate_unet, generators, policy_of
from ddpo.diffusion.step import denoising_step, trailing_timesteps
from ddpo.training.rollout import RolloutPlan, Trajectory, roll_out


def trajectory_of(
    model: DiffusionModel,
    compute: Compute,
    seeds: list[int],
    steps: int,
    recorded: tuple[int, ...] | None = None,
    window: range | None = None,
    group_size: int = 1,
) -> Trajectory:
    schedule = model.noise_schedule
    times = tuple(trailing_timesteps(steps, schedule.num_timesteps))
    plan = RolloutPlan(times, recorded=recorded, window=window, group_size=group_size)
    policy = policy_of(bind(model.unet, compute), schedule)
    return roll_out(policy, generators(seeds), model.picture_shape, plan, compute.device)


def test_a_trajectory_scores_its_own_actions(tiny_model: DiffusionModel, compute: Compute) -> None:
    trajectory = trajectory_of(tiny_model, compute, [1, 2], 5)
    assert trajectory.states.shape == (6, 2, 3, 16, 16)  # each once
    assert torch.equal(trajectory.log_probs[-1], torch.zeros(2))
    assert torch.equal(trajectory.after(4).clamp(-1, 1), trajectory.pictures)
    t, t_prev = trajectory.timesteps[1].expand(2), trajectory.previous_timesteps[1].expand(2)
    output = evaluate_unet(tiny_model.unet, trajectory.before(1), t, compute)
    step = denoising_step(output, trajectory.before(1), t, t_prev, tiny_model.noise_schedule)
    assert torch.equal(step.log_prob(trajectory.after(1)), trajectory.log_probs[1])
    assert torch.equal(trajectory.after(1), trajectory.before(2))


def test_only_the_recorded_steps_are_kept(tiny_model: DiffusionModel, compute: Compute) -> None:
    whole = trajectory_of(tiny_model, compute, [1, 2], 5)
    for recorded, states in ((3, 1), 4), ((2, 1), 3), ((), 0):
        part = trajectory_of(tiny_model, compute, [1, 2], 5, recorded=recorded)
        assert torch.equal(part.pictures, whole.pictures) and len(part.states) == states
        for name in ("timesteps", "previous_timesteps", "log_probs"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[list(recorded)])
        for index, step in enumerate(recorded):
            assert torch.equal(part.before(index), whole.before(step))
            assert torch.equal(part.after(index), whole.after(step))


def test_states_that_an_earlier_version_kept_twice_are_read(tiny_model: DiffusionModel, compute: Compute) -> None:
    part = trajectory_of(tiny_model, compute, [1, 2], 5, recorded=(3, 2))
    before, after = (torch.stack([state(0), state(1)]) for state in (part.before, part.after))
    earlier = {**vars(part), "states": before, "actions": after}
    del earlier["places"]
    read = Trajectory.from_dict(earlier, compute.device)
    for index in range(2):
        assert torch.equal(read.before(index), before[index]) and torch.equal(read.after(index), after[index])


def test_a_group_shares_its_way_up_to_the_window(tiny_model: DiffusionModel, compute: Compute) -> None:
    window = range(2, 4)
    grouped = trajectory_of(tiny_model, compute, [1, 2, 3, 4], 6, recorded=(2, 3), window=window, group_size=2)
    first, second = grouped.before(0), grouped.after(0)
    assert torch.equal(first[0], first[1]) and torch.equal(first[2], first[3]) and not torch.equal(first[0], first[2])
    assert not torch.equal(second[0], second[1])
    single = trajectory_of(tiny_model, compute, [1], 6, window=window)
    torch.testing.assert_close(single.pictures[0], grouped.pictures[0])  # the first of a group is what it is alone
    assert (single.log_probs != 0).flatten().tolist() == [False, False, True, True, False, False]
