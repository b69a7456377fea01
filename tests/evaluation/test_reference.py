"""How far models are from pictures that they should draw like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ddpo.church64.build import SHEET
from ddpo.church64.fidelity import FIRST_SCENE
from ddpo.church64.scenes import draw_scenes
from ddpo.diffusion.catalogue import PAIRS
from ddpo.errors import UserError
from ddpo.evaluation.evaluate import CellDone, evaluate
from ddpo.evaluation.export import as_json, command
from ddpo.evaluation.plan import make_evaluation
from ddpo.evaluation.reference import Reference, load_reference
from ddpo.evaluation.results import Results
from ddpo.evaluation.sections import cells
from ddpo.evaluation.store import CellStore

SHEET_OF_CHURCHES = PAIRS["church-64"].reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    return load_reference(SHEET_OF_CHURCHES, 64)


def test_the_bundled_sheet_holds_held_out_drawings() -> None:
    sheet = np.asarray(Image.open(SHEET_OF_CHURCHES).convert("RGB"))
    assert sheet.shape == (SHEET[0] * 64, SHEET[1] * 64, 3)
    np.testing.assert_array_equal(sheet[:64, 64:128], draw_scenes(FIRST_SCENE + 1, 1)[0])


def test_other_drawings_are_near_and_blurred_ones_are_not(reference: Reference) -> None:
    drawings = draw_scenes(5_100_000, 64)
    alike = reference.distance(drawings)
    assert abs(alike.value) < 3 * alike.standard_error
    blurred = np.stack([np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(1.2))) for one in drawings])
    apart = reference.distance(blurred)
    assert apart.value > 5 * apart.standard_error and apart.value > 10 * abs(alike.value)


def test_a_folder_of_pictures_of_any_size_is_a_reference_too(tmp_path: Path) -> None:
    for number, drawing in enumerate(draw_scenes(FIRST_SCENE, 64)):
        Image.fromarray(drawing).resize((256, 128 if number % 2 else 256)).save(tmp_path / f"{number:03d}.jpg")
    found = load_reference(str(tmp_path), 64).distance(draw_scenes(5_100_000, 16))
    assert np.isfinite(found.value) and found.standard_error > 0


def test_what_cannot_be_a_reference_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_reference(str(tmp_path / "nothing.png"), 64)
    with pytest.raises(UserError, match="holds 0 reference pictures, and 64 are the fewest"):
        load_reference(str(tmp_path), 64)
    (tmp_path / "sheet.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="cannot be read"):
        load_reference(str(tmp_path / "sheet.png"), 64)
    Image.new("RGB", (640, 100)).save(tmp_path / "sheet.png")
    with pytest.raises(UserError, match="not multiples of the 64 pixels"):
        load_reference(str(tmp_path / "sheet.png"), 64)


def test_an_evaluation_of_the_bundled_pair_says_how_far_both_models_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = make_evaluation(pair="church-64", grid=["ddim:3"], seeds=16, precision="float32")
    assert evaluation.reference == SHEET_OF_CHURCHES and "--reference" not in command(evaluation)

    def run() -> Results:
        *_, last = evaluate(evaluation, CellStore(tmp_path))
        assert isinstance(last, CellDone)
        return last.results

    results = run()
    rows = as_json(results)["cells"]
    assert all(row["reference"]["value"] > 3 * row["reference"]["standard_error"] for row in rows)  # so few steps
    assert "distance to the reference" in cells(results)
    monkeypatch.setattr(Reference, "distance", lambda *_: pytest.fail("it was measured again"))
    assert as_json(run())["cells"] == rows
    own = make_evaluation(models={"a": "someone/a", "b": "someone/b"}, reference="/data/churches")
    assert own.reference == "/data/churches" and "--reference churches" in command(own)
    with pytest.raises(UserError, match="needs 16 seeds or more, and 15 are asked for"):
        make_evaluation(models={"a": "someone/a", "b": "someone/b"}, reference="/data/churches", seeds=15)
