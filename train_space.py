"""Finetune a diffusion model with DDPO from the command line.

    python train_space.py start --pair church-64 --reward photographic --recipe quick
    accelerate launch --num_processes 2 train_space.py start --base my/model --reward my_rewards:sharpness
    python train_space.py start --on jobs:l4x1 --code me/ddpo-studio --push-to me/church-ddpo

Exit codes: 0 finished, stopped on request, or a job has been started; 1 failed; 2 wrong usage; 3 another run is
training; 4 out of time (0 in a job, once the result is pushed).
"""

from ddpo.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
