"""Both models denoising the same noise, as a moving picture: a picture of each, their scores, and the curves so far."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ddpo.comparison.trajectory import Moment, Trajectory

SIDE = 256  # pixels that a picture is enlarged to, by a whole factor where it is smaller
CHART, GAP, LINE = 220, 16, 30  # width of the curves, the space between, and the height of a line of text
SECONDS, LAST = 0.15, 2.0  # that a moment and the finished pictures are shown
PAPER, INK, SOFT, COLOURS = "#0f172a", "#eef2fb", "#9aa7c2", ("#8ab4f8", "#f6ad6a")  # base, finetuned
NAMES = ("Base", "Finetuned")
FORMATS = {".webp": {"quality": 85, "method": 4}, ".gif": {"optimize": True}}


def write_animation(trajectory: Trajectory, place: int, path: Path) -> Path:
    """Write the animation of one seed.

    Args:
        trajectory: of both models.
        place: of the seed among the trajectory's.
        path: ends in .webp or .gif.
    """
    frames = [_frame(trajectory, place, count) for count in range(1, len(trajectory.moments) + 1)]
    durations = [round(1000 * SECONDS)] * (len(frames) - 1) + [round(1000 * LAST)]
    options = FORMATS[path.suffix]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)  # type: ignore[arg-type]
    return path


def middle_seed(trajectory: Trajectory) -> int:
    """Place of the seed whose gain is in the middle: neither the best nor the worst stands for all."""
    base, tuned = trajectory.moments[-1].scores
    gains = list(tuned - base)
    return sorted(range(len(gains)), key=lambda place: gains[place])[len(gains) // 2]


def _frame(trajectory: Trajectory, place: int, count: int) -> Image.Image:
    """What is known after so many moments."""
    moment, spec = trajectory.moments[count - 1], trajectory.comparison.scorer
    pictures = [_enlarged(pixels[place]) for pixels in moment.pictures]
    width, height = pictures[0].size
    chart_at = GAP + 2 * (width + GAP)
    frame = Image.new("RGB", (chart_at + CHART + GAP, 2 * GAP + height + 3 * LINE), PAPER)
    draw, font, small = ImageDraw.Draw(frame), ImageFont.load_default(20), ImageFont.load_default(14)
    for number, picture in enumerate(pictures):
        x, score = GAP + number * (width + GAP), moment.scores[number][place]
        frame.paste(picture, (x, GAP + LINE))
        draw.text((x, GAP), NAMES[number], INK, font)
        draw.text((x, GAP + LINE + height + 6), f"{score:.{spec.decimals}f} {spec.unit}".strip(), COLOURS[number], font)
    said = f"seed {trajectory.seeds[place]}, step {moment.step} of {trajectory.total}, noise {moment.noise:.0%}"
    draw.text((GAP, GAP + 2 * LINE + height + 4), said, SOFT, small)
    draw.text((chart_at, GAP + 4), f"score: {spec.name.partition(':')[0]}", SOFT, small)
    _curves(draw, trajectory, place, count, (chart_at, GAP + LINE, chart_at + CHART, GAP + LINE + height))
    return frame


def _curves(
    draw: ImageDraw.ImageDraw, trajectory: Trajectory, place: int, count: int, box: tuple[int, int, int, int]
) -> None:
    """Both scores up to a moment, in a box that has room for all of them."""
    left, top, right, bottom = box
    scores = [moment.scores[:, place] for moment in trajectory.moments]
    low, high = min(map(min, scores)), max(map(max, scores))
    draw.line([(left, top), (left, bottom), (right, bottom)], SOFT)

    def at(moment: Moment, score: float) -> tuple[float, float]:
        across = moment.step / trajectory.total
        up = (score - low) / ((high - low) or 1)
        return left + across * (right - left - 8), bottom - 8 - up * (bottom - top - 16)

    for number, colour in enumerate(COLOURS):
        points = [at(moment, moment.scores[number][place]) for moment in trajectory.moments[:count]]
        if len(points) > 1:
            draw.line(points, colour, 3, joint="curve")
        x, y = points[-1]
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)


def _enlarged(pixels: object) -> Image.Image:
    """A picture (H, W, 3) uint8, larger by a whole factor where it is small, and no larger than SIDE."""
    picture = Image.fromarray(pixels)  # type: ignore[arg-type]
    factor = SIDE // max(picture.size)
    if factor >= 1:
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((SIDE, SIDE))
    return picture
