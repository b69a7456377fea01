"""Models from the Hub: both layouts, only what is needed, from the cache where the Hub fails, and sentences."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from ddpo.diffusion.models import load_model, save_model
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.hub import client, downloads, ids
from tests.helpers.hub_server import HubServer, use
from tests.helpers.loading import TINY, assert_refused, cache
from tests.helpers.models import (
    BIN,
    SAFETENSORS,
    UNSUITED,
    drop_tensors,
    edit_config,
    flatten,
    make_unet,
    same_weights,
    to_bin,
    truncate,
)

TOKEN = "hf_aVerySecretToken"


@pytest.mark.parametrize("root", [False, True], ids=["sub-folders", "root"])
@pytest.mark.parametrize("weights", ["safetensors", "bin", "old bin"])
def test_both_layouts_and_both_formats_load_the_same_model(
    hub: HubServer, folder: Path, tiny_folder: Path, compute: Compute, root: bool, weights: str
) -> None:
    if weights != "safetensors":
        to_bin(folder, old_names=weights == "old bin")
    if root:
        flatten(folder)
    hub.add("me/copy", folder)
    model, local = load_model("me/copy", compute), load_model(str(tiny_folder), compute)
    assert same_weights(model.unet, local.unet) and model.source == "me/copy"
    assert model.scheduler_config == local.scheduler_config


def test_only_what_is_needed_is_downloaded_and_safetensors_are_preferred(
    hub: HubServer, folder: Path, compute: Compute
) -> None:
    for name in (BIN, "diffusion_pytorch_model.fp16.safetensors", "ema.ckpt", "optimizer.bin"):
        (folder / "unet" / name).write_bytes(b"not to be opened")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    hub.add("me/copy", folder)
    load_model("me/copy", compute)
    files = {request.path.split("/", 5)[-1] for request in hub.requests if "/resolve/" in request.path}
    assert files == {
        "model_index.json", "scheduler/scheduler_config.json", "unet/config.json", f"unet/{SAFETENSORS}",
    }  # fmt: skip


class Bomb:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def test_code_in_a_bin_is_not_run(hub: HubServer, folder: Path, tmp_path: Path, compute: Compute) -> None:
    to_bin(folder)
    torch.save({"conv_in.weight": Bomb(tmp_path / "run")}, folder / "unet" / BIN)
    torch.load(folder / "unet" / BIN, weights_only=False)
    assert (tmp_path / "run").exists()  # so it does run where it is let
    (tmp_path / "run").unlink()
    hub.add("me/bomb", folder)
    for source in ("me/bomb", str(folder)):
        with pytest.raises(UserError, match="code, which is never run"):
            load_model(source, compute)
    assert not (tmp_path / "run").exists()


def test_the_scheduler_of_the_repository_is_taken_as_it_is(hub: HubServer, folder: Path, compute: Compute) -> None:
    config = {
        "_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample",
        "variance_type": "fixed_large", "clip_sample": False, "num_train_timesteps": 500, "tensor_format": "pt",
    }  # fmt: skip
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    hub.add("me/copy", folder)
    model = load_model("me/copy", compute)
    assert model.scheduler_config == config
    schedule = model.noise_schedule
    assert (schedule.prediction_type, schedule.clip_range) == ("sample", None)
    assert torch.equal(schedule.alphas_cumprod, DDPMScheduler(500, beta_schedule="squaredcos_cap_v2").alphas_cumprod)


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub: HubServer, tmp_path: Path, compute: Compute) -> None:
    other = tmp_path / "other"
    save_model(make_unet(seed=5), {}, other, torch.float32)
    repository = hub.add(TINY, other, branch="refs/pr/1")
    main = load_model(TINY, compute)
    assert same_weights(load_model(f"{TINY}@main", compute).unet, main.unet)
    for revision in ("refs/pr/1", repository.refs["refs/pr/1"]):
        assert same_weights(load_model(f"{TINY}@{revision}", compute).unet, make_unet(seed=5))
    assert not same_weights(main.unet, make_unet(seed=5))


def test_the_cache_is_used_again_and_a_new_commit_is_seen(hub: HubServer, tmp_path: Path, compute: Compute) -> None:
    load_model(TINY, compute)
    hub.requests.clear()
    load_model(TINY, compute)
    assert not [request for request in hub.requests if "/resolve/" in request.path or request.origin == "cdn"]
    save_model(make_unet(seed=5), {}, tmp_path / "new", torch.float32)
    hub.add(TINY, tmp_path / "new")
    assert same_weights(load_model(TINY, compute).unet, make_unet(seed=5))


def go_silent(hub: HubServer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(client, "SECONDS_TO_ANSWER", 0.3)
    hub.silent = True


def go_silent_after_the_first_answer(hub: HubServer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(client, "SECONDS_TO_ANSWER", 0.3)
    patch.setattr(time, "sleep", lambda seconds: None)  # between two attempts
    hub.silent_at = "/tree/"


OUTAGES: dict[str, Callable[[HubServer, pytest.MonkeyPatch], None]] = {
    "rate limit": lambda hub, patch: setattr(hub, "status", 429),
    "server error": lambda hub, patch: setattr(hub, "status", 500),
    "down for repair": lambda hub, patch: setattr(hub, "status", 503),
    "taken down": lambda hub, patch: hub.repositories.clear(),
    "made private": lambda hub, patch: setattr(hub.repositories[TINY], "private", True),
    "silent": go_silent,
    "silent after the first answer": go_silent_after_the_first_answer,
    "out of reach": lambda hub, patch: use("http://127.0.0.1:9", cache(), patch),
    "offline": lambda hub, patch: use(hub, cache(), patch, offline=True),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_what_is_in_the_cache_loads_whatever_the_hub_does(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, compute: Compute, outage: str
) -> None:
    model = load_model(TINY, compute)
    OUTAGES[outage](hub, monkeypatch)
    started = time.monotonic()
    assert same_weights(load_model(TINY, compute).unet, model.unet)
    assert time.monotonic() - started < 15  # a silent Hub lets a client wait for 30 seconds


def test_a_cache_that_another_program_has_filled_is_used_offline(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, compute: Compute
) -> None:
    model = load_model(TINY, compute)
    shutil.rmtree(next(cache().rglob("trees")))  # older versions of huggingface_hub do not write it
    use(hub, cache(), monkeypatch, offline=True)
    assert same_weights(load_model(TINY, compute).unet, model.unet)


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        ("rate limit", "takes no more requests for now.*wait a few minutes"),
        ("server error", r"out of order \(HTTP 500\).*not in the cache.*later"),
        ("silent", "cannot be reached.*not in the cache.*network"),
        ("silent after the first answer", "cannot be reached.*not in the cache.*network"),
        ("out of reach", "cannot be reached.*not in the cache.*network"),
        ("offline", "not in the cache.*HF_HUB_OFFLINE"),
    ],
)
def test_without_a_cache_an_outage_is_told_in_a_sentence(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, compute: Compute, outage: str, words: str
) -> None:
    OUTAGES[outage](hub, monkeypatch)
    started = time.monotonic()
    assert_refused(TINY, words, compute)
    assert time.monotonic() - started < 15


def test_half_a_model_in_the_cache_is_told_offline(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, compute: Compute
) -> None:
    load_model(TINY, compute)
    next(cache().rglob(SAFETENSORS)).unlink()
    use(hub, cache(), monkeypatch, offline=True)
    assert_refused(TINY, "not all of it.*HF_HUB_OFFLINE", compute)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nobody/nothing", "no folder 'nobody/nothing', and no model of that name on the Hub.*spelling"),
        ("them/private", "no folder 'them/private', and no model of that name on the Hub.*if it is private"),
        ("them/gated", "'them/gated' is gated: accept its conditions"),
        (f"{TINY}@v9", f"'{TINY}' has no revision 'v9'"),
        (f"{TINY}@{'0' * 40}", f"'{TINY}' has no revision '{'0' * 40}'"),
        *((source, "no folder .* owner/name or owner/name@revision") for source in (
            "", "ddpm-church-256", "google/", "/google", "a/b/c", "goo gle/ddpm", "google/-ddpm", "google/dd..pm",
            "google/dd--pm", "google/ddpm.git", "google/ddpm@", "google/ddpm@../../main", "google/ddpm@/etc/passwd",
            "google/ddpm@a..b", "google/ddpm\n", "./google/ddpm", "~nobody/ddpm", "https://huggingface.co/google/ddpm",
            "gööglé/ddpm", "a/" + "b" * 97,
        )),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_had_is_refused_in_a_sentence(
    hub: HubServer, tiny_folder: Path, compute: Compute, source: str, words: str
) -> None:
    hub.add("them/private", tiny_folder, private=True)
    hub.add("them/gated", tiny_folder, gated=True)
    hub.requests.clear()
    assert_refused(source, words, compute)
    assert not hub.asked_for("/cdn/")
    if "owner/name" in words:
        assert hub.requests == []  # what cannot be an id is not asked for


def test_a_token_opens_what_is_ones_own_and_goes_to_the_hub_only(
    hub: HubServer,
    tiny_folder: Path,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.users[TOKEN] = "them"
    hub.granted.add("them")
    hub.add("them/private", tiny_folder, private=True)
    hub.add("them/gated", tiny_folder, gated=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for source in ("them/private", "them/gated"):
        load_model(source, compute)
    downloads = [request for request in hub.requests if request.origin == "cdn"]
    assert len(downloads) == 2
    assert not any("authorization" in request.headers for request in downloads)
    monkeypatch.setenv("HF_TOKEN", TOKEN + "Wrong")
    with pytest.raises(UserError, match="refuses the token") as caught:
        load_model("them/other", compute)
    assert TOKEN not in str(caught.value) + caplog.text


def test_a_renamed_model_is_followed(hub: HubServer, tiny_folder: Path, compute: Compute) -> None:
    hub.renamed["google/old-name"] = TINY
    model = load_model("google/old-name", compute)
    assert same_weights(model.unet, load_model(str(tiny_folder), compute).unet)


@pytest.mark.parametrize("kind", UNSUITED)
def test_what_is_no_unconditional_pixel_model_is_refused_before_its_weights_are_downloaded(
    hub: HubServer, folder: Path, compute: Compute, kind: str
) -> None:
    change, words = UNSUITED[kind]
    change(folder)
    hub.add("me/other", folder)
    assert_refused("me/other", words, compute)
    assert not hub.asked_for("/cdn/")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "cannot be read; .*hf cache rm model/me/damaged"),
        (drop_tensors, r"lack \d+ tensors of the network; .*hf cache rm model/me/damaged"),
        (lambda f: (f / "unet" / SAFETENSORS).write_bytes(b"version https://git-lfs"), "cannot be read; "),
        (lambda f: edit_config(f, block_out_channels=[8, 8]), "cannot be read; "),
        (lambda f: (f / "unet" / SAFETENSORS).unlink(), f"no weights that can be loaded: .*{BIN} is missing"),
    ],
)
def test_damaged_weights_are_told_in_a_sentence(
    hub: HubServer, folder: Path, compute: Compute, damage: Callable[[Path], None], words: str
) -> None:
    damage(folder)
    hub.add("me/damaged", folder)
    assert_refused("me/damaged", words, compute)


def test_a_folder_of_that_name_comes_before_the_hub(
    hub: HubServer, compute: Compute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_model(make_unet(seed=5), {}, tmp_path / TINY, torch.float32)
    monkeypatch.chdir(tmp_path)
    assert same_weights(load_model(TINY, compute).unet, make_unet(seed=5)) and hub.requests == []


def test_the_licence_of_a_model_is_read_from_its_card(hub: HubServer, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Mine\n")
    hub.add("me/mine", folder)
    names = ("me/mine", TINY, "nobody/nothing")
    models = [ids.HubModel(name, None) for name in names]
    assert [downloads.licence(model) for model in models] == ["cc-by-4.0", None, None]
