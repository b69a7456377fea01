"""Rewards of samples, checked: what a reward does wrong on one process stops all of them with one sentence."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpo.errors import UserError
from ddpo.rewards import Reward
from ddpo.training.processes import Processes


def score_pictures(reward: Reward, pictures: Tensor, device: torch.device, processes: Processes) -> Tensor:
    """Scores (N,) float32 on the CPU of pictures (N, 3, H, W) in [-1, 1], of this process alone.

    Raises:
        UserError: on any process, the reward failed, or returned scores of the wrong number or not finite.
    """
    problem, scores = "", torch.zeros(len(pictures))
    try:
        answer = torch.as_tensor(reward(pictures.to(device))).detach().float().cpu()
    except UserError as error:
        problem = str(error)
    except Exception as error:  # whatever a user's own function raises
        problem = f"The reward failed on {len(pictures)} pictures: {type(error).__name__}: {error}"
    else:
        if answer.shape != scores.shape or not bool(torch.isfinite(answer).all()):
            problem = (
                f"The reward must return {len(pictures)} finite scores for {len(pictures)} pictures; it returned "
                f"{tuple(answer.shape)} with {int((~torch.isfinite(answer)).sum())} that are not finite."
            )
        else:
            scores = answer
    for other in processes.gather_objects(problem):
        if other:
            raise UserError(other)
    return scores
