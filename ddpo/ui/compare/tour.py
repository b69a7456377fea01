"""A tour for whoever has never heard of any of this: three sentences, one seed on its way, and the loop of DDPO."""

from __future__ import annotations

from html import escape

from PIL import Image

from ddpo.comparison import saved
from ddpo.comparison.events import ComparisonResult
from ddpo.ui.compare.views import best_index
from ddpo.ui.shared.html import amount, data_uri

SENTENCES = (
    "<b>Noise and denoising:</b> the model begins with noise and takes a little of it away, step by step, each time "
    "guessing the picture behind it.",
    "<b>Reward:</b> a number says how good the finished picture is; here clear photographs get most, up to 10.",
    "<b>DDPO:</b> the model draws many pictures, and the steps that led to high rewards are made more likely, so that "
    "the same noise becomes a better picture.",
)

LOOP = """
<svg class="loop" viewBox="0 0 720 120" role="img" aria-label="A loop: noise becomes a picture by denoising, the picture
gets a reward, and DDPO changes the model by it, which then denoises anew.">
  <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
    <path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>
  <g fill="none" stroke="currentColor" stroke-width="1.5">
    <rect x="1" y="14" width="110" height="44" rx="12"/><rect x="171" y="14" width="190" height="44" rx="12"/>
    <rect x="421" y="14" width="110" height="44" rx="12"/><rect x="591" y="14" width="128" height="44" rx="12"/>
    <g marker-end="url(#tip)"><path d="M113 36h54"/><path d="M363 36h54"/><path d="M533 36h54"/>
      <path d="M655 60v34q0 12-12 12H278q-12 0-12-12V62"/></g>
  </g>
  <g fill="currentColor" text-anchor="middle" font-size="14">
    <text x="56" y="41">noise</text><text x="266" y="41">denoising</text><text x="476" y="41">picture</text>
    <text x="655" y="41">reward</text><text x="460" y="98" font-size="13">DDPO: more of what scored high</text>
  </g>
</svg>
"""


def html() -> str:
    """The tour, folded up."""
    listed = "".join(f"<li>{sentence}</li>" for sentence in SENTENCES)
    return (
        '<details class="tour"><summary>New here? Noise, denoising, reward and DDPO in three sentences</summary>'
        f'<div class="card"><ol>{listed}</ol>{_ways()}{LOOP}</div></details>'
    )


def _ways() -> str:
    """The seed that gained most in the saved comparison, from noise to both pictures; "" where a file is missing."""
    result, cells = saved.bundled(), _cells()
    if result is None or len(cells) % 2 == 0:
        return ""
    index, each = best_index(result), len(cells) // 2
    roles = ("Base", cells[1 : 1 + each]), ("Finetuned", cells[1 + each :])
    rows = "".join(_way(title, [cells[0], *estimates], result, index) for title, estimates in roles)
    return f'<div class="ways">{rows}</div>'


def _way(title: str, cells: list[Image.Image], result: ComparisonResult, index: int) -> str:
    """One model's row: noise, estimates, picture, reward."""
    images, scores = (
        (result.base_images, result.base_scores) if title == "Base" else (result.tuned_images, result.tuned_scores)
    )
    names = ["the noise", *("a guess on the way" for _ in cells[1:]), "the finished picture"]
    pictures = [
        f'<img alt="{title}: {name}" title="{name}" src="{data_uri(cell)}">'
        for name, cell in zip(names, [*cells, images[index]], strict=True)
    ]
    spec = result.comparison.scorer
    reward = f'<span class="score">{escape(amount(scores[index], spec))}<small>reward</small></span>'
    arrow = '<i aria-hidden="true">→</i>'
    return f'<p class="way"><b>{title}</b>{arrow.join([*pictures, reward])}</p>'


def _cells() -> list[Image.Image]:
    """The pictures of the strip, from left to right; none where it cannot be read."""
    try:
        with Image.open(saved.TOUR) as picture:
            strip = picture.convert("RGB")
    except OSError:
        return []
    side = strip.height
    return [strip.crop((left, 0, left + side, side)) for left in range(0, strip.width - side + 1, side)]
