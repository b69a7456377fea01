"""How much a picture looks like a clear, natural, well exposed photograph: a score from 1 to 10.

It is the product of bounded terms, one for each way in which a picture can be poor, so that all of them must be decent
and none can make up for another. Every term rests on a published measure:

    colour       colourfulness M(3): Hasler and Suesstrunk 2003, equation 6
    hues         how far the hues lie apart (1 minus the mean resultant length of circular statistics: Mardia 1972;
                 that several hues please more than one: hue count of Ke, Tang and Jing 2006)
    contrast     RMS contrast: Peli 1990
    tone         entropy of the luminance histogram (Shannon 1948), average light (Datta et al. 2006, feature 1) and the
                 shares of burnt and of black pixels (tonal range: Ke, Tang and Jing 2006)
    sharpness    variance of the Laplacian (Pech-Pacheco et al. 2000), less what the noise adds to it, over the variance
                 of the picture, so that it says how fine the details are and not how strong the contrast
    noise        standard deviation of the noise: Immerkaer 1996, without the pixels on edges (Tai and Yang 2008);
                 in itself, and against the contrast, with stripes that run over several periods: `stripes`
    composition  how closely the edges gather around a subject: Ke, Tang and Jing 2006; simplicity in Datta et al. 2006

A term rises towards 1 over the range of natural pictures and falls beyond it: a reward that only rises is hacked by a
finetuned model at once (garish, burnt, black shapes before a single-coloured sky).

The score has a gradient, which `slopes` keeps finite: roots and counts of pixels are smoothed where it is asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpo.diffusion.pictures import check_images
from ddpo.rewards.colour import opponent_colourfulness
from ddpo.rewards.slopes import FAINT, is_asked_for, root, size

if TYPE_CHECKING:
    from ddpo.diffusion.precision import Compute
    from ddpo.rewards import Reward

SMALLEST = 16  # pixels a side, below which the measures say nothing
WORKING_SIDE = 128  # larger pictures are reduced to this shorter side first, so that a pixel means about the same
LARGEST_SIDE = 1024  # the same for noise, which reducing would hide

# The exponent of each term in the product: how much a poor term costs.
WEIGHTS = {
    "colour": 0.27,
    "hues": 0.20,
    "contrast": 0.20,
    "tone": 0.24,
    "sharpness": 0.45,
    "noise": 0.75,
    "composition": 0.15,
}

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as the measures' authors have it
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
_TONES = 16  # bins of the luminance histogram


def photographic(images: Tensor) -> Tensor:
    """Score pictures from 1 to 10.

    Args:
        images: (B, 3, H, W) floating, in [-1, 1], at least 16 pixels a side.

    Returns:
        (B,) float32 in [1, 10].

    Raises:
        UserError: not a batch of such pictures.
    """
    terms = photographic_terms(images)
    logarithm = sum(weight * terms[name].log() for name, weight in WEIGHTS.items())
    assert isinstance(logarithm, Tensor)
    return 1 + 9 * logarithm.exp()


def photographic_terms(images: Tensor) -> dict[str, Tensor]:
    """The terms of the score, each (B,) float32 in (0, 1]; arguments and errors as in `photographic`."""
    check_images(images, SMALLEST)
    pixels = (images.float().clamp(-1, 1) + 1) / 2
    rgb = _at_most(pixels, WORKING_SIDE)  # (B, 3, h, w)
    coarse = F.avg_pool2d(rgb, 2)  # what is no detail is measured on 2 x 2 means, where noise counts half
    luma, coarse_luma = _luma(rgb), _luma(coarse)
    terms = {
        "colour": _colour(coarse),
        "hues": _hues(coarse),
        "contrast": _contrast(coarse_luma),
        "tone": _tone(coarse_luma),
        "sharpness": _sharpness(luma),
        "noise": _speckles(rgb, luma) * _noise(_at_most(pixels, LARGEST_SIDE)),
        "composition": _composition(luma),
    }
    return {name: term.clamp(1e-3, 1) for name, term in terms.items()}


def load(compute: Compute) -> Reward:
    """The scorer; it works wherever the pictures are."""
    return photographic


# Terms ---------------------------------------------------------------------------------------------------------------


def _colour(rgb: Tensor) -> Tensor:
    """Colourfulness, in the light of the picture: a night cannot be as colourful as a day. Garish, burnt areas cost."""
    light = _luma(rgb).mean((1, 2, 3))
    measure = opponent_colourfulness(rgb) * (0.4 / light.clamp_min(0.01)).sqrt().clamp(1, 1.4)
    brightest = rgb.amax(1)  # (B, h, w)
    chroma = brightest - rgb.amin(1)
    garish = _ramp(chroma, 0.65, 0.95).mean((1, 2))
    burnt = (_ramp(brightest, 0.98, 1.0) * _ramp(chroma, 0.05, 0.15)).mean((1, 2))  # one channel clipped: colours shift
    natural = _fall(measure, 155, 14) * _fall(garish, 0.3, 2.5) * _fall(burnt, 0.15, 3)
    return (0.3 + 0.7 * _rise(measure, 30, 1.2)) * natural


def _hues(rgb: Tensor) -> Tensor:
    """Whether there are several hues; one hue alone keeps a quarter of the term."""
    red, green, blue = rgb.unbind(1)
    opponents = torch.stack((red - green, 0.5 * (red + green) - blue), 1)  # (B, 2, h, w)
    strength = root(opponents.square().sum(1), FAINT).mean((1, 2))  # norm() is ten times slower
    resultant = root(opponents.mean((2, 3)).square().sum(1), FAINT)
    return 0.25 + 0.75 * _rise((strength - resultant) / (strength + 0.02), 0.08, 1)


def _contrast(luma: Tensor) -> Tensor:
    deviation = luma.flatten(1).std(-1, unbiased=False)
    return _rise(deviation, 0.065, 2) * _fall(deviation, 0.46, 10)


def _tone(luma: Tensor) -> Tensor:
    levels = luma.flatten(1)
    light = levels.mean(-1)
    black = _ramp(-levels, -0.06, -0.02).mean(-1)
    burnt = _ramp(levels, 0.95, 0.995).mean(-1)
    exposure = torch.sigmoid((light - 0.08) / 0.03) * torch.sigmoid((0.92 - light) / 0.03)
    return _rise(tone_entropy(levels), 0.38, 2.5) * exposure * _fall(black, 0.4, 4) * _fall(burnt, 0.35, 2)


def _sharpness(luma: Tensor) -> Tensor:
    fineness = relative_sharpness(luma, noise_deviation(luma)[:, 0])
    return _rise(fineness, 0.7, 2) * _fall(fineness, 1.9, 6)


def _speckles(rgb: Tensor, luma: Tensor) -> Tensor:
    """Faint noise and stripes cost a little, by how they stand out from the picture's contrast."""
    contrast = luma.flatten(1).std(-1, unbiased=False)
    faint = noise_deviation(rgb).mean(1) + 0.6 * stripes(luma)
    return _fall(faint / (contrast + 0.01), 0.2, 1) ** 0.8


def _noise(rgb: Tensor) -> Tensor:
    """Noise that covers the picture costs all."""
    return _fall(noise_deviation(rgb).mean(1), 0.055, 6)


def _composition(luma: Tensor) -> Tensor:
    """The spread of the edges around their centre, over that of edges strewn evenly (1): a subject has about 0.7."""
    slopes = luma[:, 0, 1:-1, 2:] - luma[:, 0, 1:-1, :-2], luma[:, 0, 2:, 1:-1] - luma[:, 0, :-2, 1:-1]
    weight = root(slopes[0] ** 2 + slopes[1] ** 2 + 1e-12, FAINT)  # (B, h-2, w-2)
    weight = weight / weight.sum((1, 2), keepdim=True)
    spread = weight.new_zeros(len(weight))
    for other_axis in (2, 1):
        shares = weight.sum(other_axis)
        place = torch.linspace(0, 1, shares.shape[1], device=shares.device)
        centre = (shares * place).sum(1, keepdim=True)
        spread = spread + (shares * (place - centre) ** 2).sum(1)
    return _fall(root(spread / (2 / 12), 0.01), 1.4, 6)


# Measures ------------------------------------------------------------------------------------------------------------


def noise_deviation(planes: Tensor) -> Tensor:
    """Standard deviation of the noise (Immerkaer 1996), blind to edges.

    Immerkaer's mask does not see planes and straight slopes, but it sees edges and corners, which Tai and Yang (2008)
    leave out of his mean. Here the mean of square roots takes its place: the few strong answers of edges count little,
    the many of noise fully, and no sorting is needed.

    Args:
        planes: (B, C, h, w) float32.

    Returns:
        (B, C) float32, in the units of the planes.
    """
    answer = planes[..., :-2] - 2 * planes[..., 1:-1] + planes[..., 2:]
    answer = answer[..., :-2, :] - 2 * answer[..., 1:-1, :] + answer[..., 2:, :]  # the mask is this product
    # For Gaussian noise the answer has 6 times its deviation; E|z|^(1/2) of a standard normal z is 0.8222.
    return (size(answer, FAINT).sqrt().mean((2, 3)) / 0.8222) ** 2 / 6


def stripes(luma: Tensor) -> Tensor:
    """Mean amplitude of fine stripes along the rows and the columns, which Immerkaer's mask does not see.

    The fourth difference answers to stripes as to an edge. An answer counts where it goes on over 11 pixels across the
    stripes, further than that of an edge: the least over them (a morphological closing and erosion: Serra 1982).

    Args:
        luma: (B, 1, h, w) float32.

    Returns:
        (B,) float32, in the units of the luma: the amplitude for stripes of 2 pixels, less for wider ones.
    """
    total = luma.new_zeros(len(luma))
    smooth, fourth = luma.new_tensor((1, 4, 6, 4, 1)) / 16, luma.new_tensor((1, -4, 6, -4, 1)) / 16
    for lying in (luma, luma.transpose(2, 3)):
        answer = F.conv2d(F.conv2d(lying, fourth.view(1, 1, 5, 1)), smooth.view(1, 1, 1, 5))
        everywhere = F.max_pool2d(size(answer, FAINT), (2, 1), 1)
        total = total - F.max_pool2d(-everywhere, (11, 1), 1).mean((1, 2, 3))
    return total


def relative_sharpness(luma: Tensor, noise: Tensor) -> Tensor:
    """Standard deviation of the Laplacian over that of the picture, both without their share of noise.

    Args:
        luma: (B, 1, h, w) float32 in [0, 1].
        noise: (B,) standard deviation of the noise.

    Returns:
        (B,) float32: near 0 for a blurred picture, about 0.5 to 1.3 for a sharp one, sqrt(20) for white noise.
    """
    laplacian = F.conv2d(luma, luma.new_tensor(_LAPLACIAN).view(1, 1, 3, 3)).flatten(1)
    details = (laplacian.var(-1, unbiased=False) - 20 * noise**2).clamp_min(0)  # 20: the mask's squared norm
    whole = luma.flatten(1).var(-1, unbiased=False)
    return root(details / (whole + 1e-4), 0.01)


def tone_entropy(levels: Tensor) -> Tensor:
    """Entropy of the luminance histogram over 16 tones; each of the 256 levels is shared between its two nearest tones.

    Args:
        levels: (B, N) float32 in [0, 1].

    Returns:
        (B,) float32 in [0, 1]: 0 for one tone, 1 for all tones alike.
    """
    if is_asked_for(levels):
        return _smooth_entropy(levels)
    index = (levels * 255).round().long()
    ones = torch.ones_like(index, dtype=torch.int32)  # whole numbers, so that the sum is the same in any order
    counts = torch.zeros(len(index), 256, dtype=torch.int32, device=index.device).scatter_add_(1, index, ones)
    place = torch.linspace(0, _TONES - 1, 256, device=index.device)
    shared = (1 - (place[:, None] - torch.arange(_TONES, device=index.device)).abs()).clamp_min(0)  # (256, 16)
    histogram = counts.float() @ shared / levels.shape[1]  # (B, 16), sums to 1
    return -torch.special.xlogy(histogram, histogram).sum(-1) / math.log(_TONES)


def _smooth_entropy(levels: Tensor) -> Tensor:
    """`tone_entropy` with a gradient: no level is rounded, and a tone of less than a pixel counts as one of a pixel."""
    distance = (levels[..., None] * (_TONES - 1) - torch.arange(_TONES, device=levels.device)).abs()  # (B, N, 16)
    histogram = (1 - distance).clamp_min(0).mean(1)
    return -(histogram * histogram.clamp_min(1 / levels.shape[1]).log()).sum(-1) / math.log(_TONES)


# Shapes --------------------------------------------------------------------------------------------------------------


def _luma(rgb: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 1, h, w)"""
    return (rgb * rgb.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _at_most(rgb: Tensor, side: int) -> Tensor:
    """Reduce to a shorter side of `side` pixels where it is longer."""
    height, width = rgb.shape[2:]
    if min(height, width) <= side:
        return rgb
    scale = side / min(height, width)
    size = (round(height * scale), round(width * scale))
    return F.interpolate(rgb, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def _rise(measure: Tensor, scale: float, power: float) -> Tensor:
    """From 0 at 0 over 0.63 at `scale` towards 1."""
    return 1 - torch.exp(-((measure / scale).clamp_min(0) ** power))


def _fall(measure: Tensor, limit: float, power: float) -> Tensor:
    """From 1 at 0 over 0.5 at `limit` towards 0."""
    return 1 / (1 + (measure / limit) ** power)


def _ramp(measure: Tensor, low: float, high: float) -> Tensor:
    """0 up to `low`, 1 from `high`, straight between."""
    return ((measure - low) / (high - low)).clamp(0, 1)
