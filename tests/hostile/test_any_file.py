"""Whatever lies in the folder of a run, everything that shows runs shows the others, and says what it can of it."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpo.cli.main import main
from ddpo.common.files import json_bytes
from ddpo.diffusion import bounds, checks
from ddpo.diffusion.network import read_network
from ddpo.errors import UserError
from ddpo.publish.card import write_card
from ddpo.runs.checkpoints import CheckpointStore
from ddpo.runs.store import list_runs, open_run
from ddpo.ui.train import actions, live, views
from tests.helpers.run_folders import make_run
from tests.hostile.values import anything, plain, texts

FILES = ("run.json", "status.json", "metrics.jsonl", "result.json", ".lease")
JSON_OF_DEATH = (
    b"", b"\0", b"null", b"[]", b"{", b"[" * 100_000, b'{"step": 1e999}\n', b"\xff\xfe", b'{"a":' * 50_000, b"NaN",
)  # fmt: skip


def as_json(value: Any) -> bytes:
    """JSON as a careless program writes it: with NaN, Infinity and halves of characters."""
    return json.dumps(value).encode()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runs"
    monkeypatch.setenv("DDPO_RUNS", str(folder))
    make_run(folder, "stopped", 3)
    make_run(folder, "stopped", 3)
    return folder


def look(root: Path) -> None:
    """Everything that shows runs, for people and for programs."""
    runs = list_runs(root)
    for run in runs:
        json.dumps(actions.facts(run, history=True), allow_nan=False).encode()
        json_bytes(actions.facts(run))
        views.status_card(actions.look_at(run))
        run.result_samples()
        if run.result_epochs():
            write_card(run).encode()
    live.look(None, None, live.Shown())[1:].__repr__().encode()
    for run in runs:
        live.look(run.id, 1, live.Shown())
    for command in (["list"], ["status"], ["status", "--json"]):
        assert main(["--root", str(root), *command]) in (0, 2)


def damaged(root: Path, name: str, content: bytes) -> None:
    """Have one of the two runs hold that, and look: the other is there."""
    good, bad = sorted(path for path in root.iterdir() if path.is_dir())
    kept = (bad / name).read_bytes() if (bad / name).exists() else None
    try:
        (bad / name).write_bytes(content)
        assert good.name in {run.id for run in list_runs(root)}
        look(root)
    finally:
        (bad / name).unlink()
        if kept is not None:
            (bad / name).write_bytes(kept)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", JSON_OF_DEATH, ids=range(len(JSON_OF_DEATH)))
def test_a_damaged_file_of_one_run_breaks_no_list(root: Path, name: str, content: bytes) -> None:
    begun = time.monotonic()
    damaged(root, name, content)
    assert time.monotonic() - begun < 5


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lasting")
    make_run(folder, "stopped", 3)
    make_run(folder, "stopped", 3)
    return folder


@given(st.sampled_from(FILES), st.data())
def test_no_value_in_a_file_of_one_run_breaks_any_list(lasting: Path, name: str, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDPO_RUNS", str(lasting))
        bad = max(path for path in lasting.iterdir() if path.is_dir())
        lines = (bad / name).read_bytes().splitlines() if name == "metrics.jsonl" else []
        there = (
            json.loads(lines[-1] if lines else (bad / name).read_bytes()) if (bad / name).exists() else {"renewed": 1.0}
        )
        entry = data.draw(st.sampled_from(sorted(there)))
        changed = {**there, entry: data.draw(anything), **data.draw(st.dictionaries(texts, plain, max_size=2))}
        content = as_json(changed) + b"\n"
        damaged(lasting, name, b"\n".join([*lines, content]) if lines else content)


@given(st.sampled_from(FILES), st.binary(max_size=300))
def test_no_bytes_in_a_file_of_one_run_break_any_list(lasting: Path, name: str, content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDPO_RUNS", str(lasting))
        damaged(lasting, name, content)


@given(
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(["format", "step", "epoch", "sha256", "size", "replaces"]), anything),
)
def test_no_checkpoint_is_gone_on_from_that_is_not_whole(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, facts: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    store = CheckpointStore(folder)
    (folder / "0000000002.pt").write_bytes(content)
    right = {"format": 1, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "replaces": []}
    (folder / "0000000002.json").write_bytes(as_json({**right, **facts}))
    with pytest.raises(UserError, match=r"damaged|newer version"):
        store.load_newest()
    store.save({"a": torch.zeros(2)}, 1, 1)
    store.save({"a": torch.zeros(2)}, 3, 1)
    loaded = store.load_newest()
    assert loaded is not None and loaded.step == 3


NETWORK = (
    *bounds.WHOLE, *bounds.NUMBERS, *bounds.WORDS, "sample_size", "block_out_channels", "down_block_types",
    "up_block_types", "in_channels", "out_channels", "_class_name", "architectures", "center_input_sample",
    "add_attention", "flip_sin_to_cos",
)  # fmt: skip
SCHEDULE = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "variance_type", "clip_sample",
    "prediction_type", "thresholding", "clip_sample_range", "timestep_spacing", "steps_offset", "solver_order",
    "rescale_betas_zero_snr", "solver_type", "algorithm_type", "_class_name", "use_karras_sigmas",
)  # fmt: skip
SIZES = st.one_of(anything, st.integers(-2, 64), st.lists(st.integers(0, 64), max_size=12))


@settings(max_examples=settings().max_examples // 4)  # each of them may be built, twice
@given(st.dictionaries(st.one_of(st.sampled_from(NETWORK), texts), SIZES, max_size=4))
def test_any_configuration_of_a_network_is_tried_or_refused(tiny_folder: Path, changes: dict[str, Any]) -> None:
    check(tiny_folder, changes, {})


@given(st.dictionaries(st.one_of(st.sampled_from(SCHEDULE), texts), SIZES, max_size=4))
def test_any_configuration_of_a_schedule_is_tried_or_refused(tiny_folder: Path, changes: dict[str, Any]) -> None:
    check(tiny_folder, {}, changes)


def check(model: Path, network: dict[str, Any], schedule: dict[str, Any]) -> None:
    """Look at a model with other configurations, as the page and as the loader do."""
    with tempfile.TemporaryDirectory() as folder:
        for part, file, changes in (("unet", "config.json", network), ("scheduler", "scheduler_config.json", schedule)):
            (Path(folder) / part).mkdir()
            content = {**json.loads((model / part / file).read_text()), **changes}
            (Path(folder) / part / file).write_bytes(as_json(content))
        for look_at in (lambda: read_network(folder), lambda: checks.check_model(Path(folder), folder)):
            begun = time.monotonic()
            try:
                look_at()
            except UserError as error:
                assert str(error).endswith(".") and len(str(error)) < 1500
            assert time.monotonic() - begun < 10


@given(texts, texts)
def test_no_name_leads_out_of_the_folder_of_runs(tmp_path_factory: pytest.TempPathFactory, one: str, two: str) -> None:
    root = tmp_path_factory.getbasetemp() / "empty"
    for name in (one, f"{one}/{two}", f"../{one}"):
        with pytest.raises(UserError):
            open_run(root, name)
