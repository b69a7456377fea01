"""The GPU that ZeroGPU lends: what a visitor may have of it a day, what is charged, and how quick it is taken to be.

Quotas, sizes and charges are from docs/hub/spaces-zerogpu.md of huggingface/hub-docs, as of 22 August 2026, and from
the package `spaces` 0.51.3:

- Charged is the time that a call used, not the time that it asked for: "a 45s effective task duration consumes 90s of
  quota" of the size `xlarge`. `spaces` tells the service when a call is over.
- The time that a call asks for has to fit what is left of the quota: "60s requested vs. 21s left" is a refusal.
- A call that runs over the time that it asked for may be cut off.
- For the size `large` on this GPU, `spaces` asks for 1.5 times the duration that it is given (`duration_factor` in
  zero/configs.json). `ddpo.ui.space.zero_gpu` takes that into account, so every number of seconds here is one of quota.
- A quota is for all ZeroGPU Spaces together, and starts anew 24 hours after the first use.

How quick the GPU is has not been measured, as none was at hand; the figures below say what they are derived from.
`python -m benchmarks.gpu_church256` measures them where there is a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

GPU = "half an RTX Pro 6000 Blackwell"  # the size `large`; `xlarge` is a whole one, and costs QUOTA_COST as much
QUOTA_COST = {"large": 1, "xlarge": 2}


@dataclass(frozen=True)
class Account:
    """A kind of visitor, and the seconds of GPU that are included every day."""

    name: str  # behind "a day"
    seconds: int


NOBODY = Account("without an account", 2 * 60)
FREE = Account("with a free account", 5 * 60)
PRO = Account("with PRO or Team", 40 * 60)  # an Enterprise organization's members have 60 minutes
ACCOUNTS = (NOBODY, FREE, PRO)

# Assumed: forking the app 1 s, CUDA's context 3 s, the weights that were set aside 1 s, the first use of kernels 3 s.
SECONDS_TO_BEGIN = 8.0
# Assumed, on the safe side: weights that are read from the disk, checked, and moved to the GPU.
MEGABYTES_READ = 150.0  # a second
# Assumed: 2,000 operations of an evaluation of DDPM_256, 10 microseconds each to launch from Python.
LAUNCH_SECONDS = 0.02  # of one evaluation, however small its batch
# NVIDIA gives the whole GPU 4,000 AI TOPS, which are of FP4 and sparse: 500 TFLOPS of dense bfloat16, 250 of them here.
# A fifth is taken for what PyTorch reaches without compiling, as normalisation and activations wait for the memory.
FLOPS = 0.2 * 250e12
# Counted by torch.utils.flop_counter, see tests/ui/test_quotas.py: 9.9 ms an evaluation and picture.
FLOP_OF_DDPM_256 = 4.97e11
# Backward takes twice the multiplications of forward, and as many where the large weights need no gradients (biases):
# 3 times and twice in all. One more leaves room for what is kept for it.
TRAINING_PASS = {"all": 4.0, "biases": 3.0, "lora": 4.0}  # evaluations that one with its gradients takes as long as
# Low-rank updates are added to the weights for every evaluation: 3 GB of a memory of 900 GB a second, by 8 pictures.
EVALUATION = {"all": 1.0, "biases": 1.0, "lora": 1.05}  # how much longer one with these weights takes
MEGABYTES_OF_DDPM_256 = 455.0  # 113.7 million weights of 4 bytes
# On one core of the processor, where some scorers stay: the slowest of those without weights does 6 million of pictures
# of 64 x 64, see `scored` in benchmarks/results/zerogpu.json. CLIP ViT-L/14 takes 1.6e11 operations a picture of any
# size, which at FLOPS is a quarter of what this allows it for one of 256 x 256.
PIXELS_SCORED = 5e6  # a second
