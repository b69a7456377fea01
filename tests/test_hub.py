"""Models from the Hub: both layouts, only what is needed, from the cache where the Hub fails, and sentences."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from ddpo import rewards
from ddpo.comparison.compare import Progress, compare, download
from ddpo.comparison.settings import ComparisonSettings
from ddpo.diffusion.models import ModelCache, load_model, save_model
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.hub import client, downloads, ids
from ddpo.rewards import weights
from tests.conftest import make_unet
from tests.hub_server import HubServer, serving, use
from tests.test_pipelines import edit_config, edit_scheduler, same_weights

ROOT = Path(__file__).resolve().parent.parent
SAFETENSORS, BIN = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
TINY = "google/ddpm-tiny"
TOKEN = "hf_aVerySecretToken"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> Iterator[HubServer]:
    """A Hub with one model, that this process talks to with an empty cache."""
    with serving() as server:
        server.add(TINY, tiny_folder)
        use(server, tmp_path / "cache", monkeypatch)
        yield server


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be changed."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def flatten(folder: Path) -> None:
    """Have everything in the root, as the google/ddpm-* repositories do."""
    for part in ("unet", "scheduler"):
        for file in (folder / part).iterdir():
            file.rename(folder / file.name)
        (folder / part).rmdir()


def to_bin(folder: Path, old_names: bool = False) -> None:
    """Replace the safetensors by a .bin, on wish with the names that attention had in the first diffusers."""
    from safetensors.torch import load_file

    (path,) = folder.rglob(SAFETENSORS)
    weights = load_file(path)
    if old_names:
        names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        for new, old in names.items():
            weights = {name.replace(f".{new}.", f".{old}."): weight for name, weight in weights.items()}
        assert any(".query." in name for name in weights)
    torch.save(weights, path.with_name(BIN))
    path.unlink()


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
    patch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # between two attempts
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


def cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


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


def assert_refused(source: str, words: str, compute: Compute) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load_model(source, compute)
    sentence = str(caught.value)
    assert (
        sentence.endswith(".") and "\n" not in sentence and "http://" not in sentence and str(cache()) not in sentence
    )


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


def no_unet(folder: Path) -> None:
    shutil.rmtree(folder / "unet")
    (folder / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}')


def with_autoencoder(folder: Path) -> None:
    """As in CompVis/ldm-celebahq-256, whose network has three channels too."""
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "vqvae": ["diffusers", "VQModel"]}))


UNSOUND: list[dict[str, Any]] = [  # configurations of a scheduler
    {"beta_schedule": "foo"}, {"prediction_type": "flow_prediction"},
    {"trained_betas": [0.1, 0.2]}, {"variance_type": "learned_range"}, {"timestep_spacing": "foo"},
    {"clip_sample_range": None, "clip_sample": True},
]  # fmt: skip
UNSUITED: dict[str, tuple[Callable[[Path], object], str]] = {
    "conditional": (lambda f: edit_config(f, _class_name="UNet2DConditionModel"), "holds a UNet2DConditionModel"),
    "transformer": (lambda f: edit_config(f, _class_name="DiTTransformer2DModel"), "holds a DiTTransformer2DModel"),
    "classes": (lambda f: edit_config(f, num_class_embeds=10), "conditioned on classes"),
    "latent": (lambda f: edit_config(f, in_channels=4, out_channels=4), "latent"),
    "latent of three channels": (with_autoencoder, "latent"),
    "no size": (lambda f: edit_config(f, sample_size=None), "sample_size is missing"),
    "language model": (no_unet, "holds a GPT2LMHeadModel"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json is missing"),
    "no configuration": (lambda f: (f / "unet" / "config.json").unlink(), "unet/config.json is missing"),
    "no scheduler of betas": (lambda f: edit_scheduler(f, _class_name="ScoreSdeVeScheduler"), "noise of a ScoreSde"),
    "flow matching": (lambda f: edit_scheduler(f, _class_name="FlowMatchEulerDiscreteScheduler"), "noise of a Flow"),
    "unknown scheduler": (lambda f: edit_scheduler(f, _class_name=5), "noise of a 5"),
    **{
        f"noise schedule {number}": (partial(edit_scheduler, **changes), "does not describe a noise schedule")
        for number, changes in enumerate(UNSOUND)
    },
    **{
        f"size {number}": (partial(edit_config, sample_size=size), "as the sample_size of its pictures")
        for number, size in enumerate(([16, 16, 16], 16.0, 17, -16, "16", 100_000))
    },
    "odd classes": (lambda f: edit_config(f, _class_name=None, architectures=5, sample_size="x"), "sample_size of its"),
    "not JSON": (lambda f: (f / "unet" / "config.json").write_text("<html>"), "not valid JSON"),
}


@pytest.mark.parametrize("kind", UNSUITED)
def test_what_is_no_unconditional_pixel_model_is_refused_before_its_weights_are_downloaded(
    hub: HubServer, folder: Path, compute: Compute, kind: str
) -> None:
    change, words = UNSUITED[kind]
    change(folder)
    hub.add("me/other", folder)
    assert_refused("me/other", words, compute)
    assert not hub.asked_for("/cdn/")


def truncate(folder: Path) -> None:
    path = folder / "unet" / SAFETENSORS
    path.write_bytes(path.read_bytes()[:-1000])


def drop_tensors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "unet" / SAFETENSORS
    weights = load_file(path)
    save_file({name: weight for name, weight in weights.items() if "mid_block" not in name}, path)


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


def test_a_transfer_that_breaks_is_resumed_where_it_broke(
    hub: HubServer, tiny_folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.break_after = [50_500, 60_000]
    told: list[tuple[int, int]] = []
    model = load_model(TINY, compute, lambda done, total: told.append((done, total)))
    assert same_weights(model.unet, load_model(str(tiny_folder), compute).unet)
    ranges = [request.headers.get("range") for request in hub.asked_for("/cdn/")]
    assert ranges == [None, "bytes=50000-", "bytes=110000-"]
    size = (tiny_folder / "unet" / SAFETENSORS).stat().st_size
    assert told == sorted(told) and told[-1] == (size, size) and {total for _, total in told} == {size}


def test_a_comparison_tells_of_the_download_and_then_goes_on(
    hub: HubServer, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.hang_after = 50_000
    stages = []
    settings = ComparisonSettings(base=TINY, tuned=str(tiny_folder), steps=2, samples=1)
    for event in compare(settings):
        if isinstance(event, Progress) and event.stage.startswith("Downloading"):
            hub.hang_after = None
            hub.let_go.set()  # the transfer breaks, and is resumed
        stages.append(event.stage if isinstance(event, Progress) else "result")
    assert any(stage.startswith(f"Downloading {TINY}: 0 of 0 MB") for stage in stages) and stages[-1] == "result"


def test_a_comparison_s_files_can_be_had_beforehand_and_the_scorer_s_are_told_of(
    hub: HubServer, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = weights.WeightsFile("someone/scorer", "unet/" + SAFETENSORS, 1.0)
    spec = replace(rewards.REWARDS["laion-v2"], files=(scorer,), packages=())
    monkeypatch.setitem(rewards.REWARDS, "laion-v2", spec)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.add(scorer.repo, tiny_folder)
    hub.hang_after = 50_000
    told = []
    for progress in download(ComparisonSettings(base=str(tiny_folder), tuned=str(tiny_folder), scorer="laion-v2")):
        hub.hang_after = None
        hub.let_go.set()
        told.append(progress.stage)
    assert told and all(stage.startswith(f"Downloading {scorer.filename}: ") for stage in told)
    assert weights.cached(scorer) is not None
    assert list(download(ComparisonSettings(base=TINY, tuned=TINY, scorer="laion-v2"))) == []  # too quick to be told of
    assert (cache() / "models--google--ddpm-tiny").is_dir()


def test_a_download_that_breaks_for_good_leaves_nothing_behind_that_is_taken_for_the_model(
    hub: HubServer, tiny_folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.break_after = [0] * 6
    assert_refused(TINY, "broke off; try again", compute)
    assert not list(cache().rglob("*.incomplete")) and not list(cache().rglob(SAFETENSORS))
    assert same_weights(load_model(TINY, compute).unet, load_model(str(tiny_folder), compute).unet)


def test_a_killed_download_leaves_the_cache_whole(hub: HubServer, tiny_folder: Path, compute: Compute) -> None:
    """In a process of its own, which also shows that the environment of a user has the effect that `use` has here."""
    code = (
        "import sys; from ddpo.hub import downloads, ids; "
        "downloads.download(ids.parse(sys.argv[1]), lambda folder: 1 << 40)"
    )
    variables = {
        "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache()), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    hub.hang_after = 50_000
    process = subprocess.Popen([sys.executable, "-c", code, TINY], cwd=ROOT, env={**os.environ, **variables})
    try:
        assert hub.hanging.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    hub.let_go.set()
    hub.hang_after = None
    assert not list(cache().rglob(SAFETENSORS)) and list(cache().rglob("config.json"))
    assert same_weights(load_model(TINY, compute).unet, load_model(str(tiny_folder), compute).unet)


def test_a_full_disk_is_told_in_a_sentence(
    hub: HubServer, compute: Compute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.small_disk import small_disk

    with small_disk(tmp_path / "disk", "128k") as disk:
        use(hub, disk / "cache", monkeypatch)
        with pytest.raises(UserError, match=r"because the disk that holds .* is full; make room there"):
            load_model(TINY, compute)


def test_a_folder_of_that_name_comes_before_the_hub(
    hub: HubServer, compute: Compute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_model(make_unet(seed=5), {}, tmp_path / TINY, torch.float32)
    monkeypatch.chdir(tmp_path)
    assert same_weights(load_model(TINY, compute).unet, make_unet(seed=5)) and hub.requests == []


def test_a_slow_download_does_not_hold_up_other_models(hub: HubServer, tiny_folder: Path, compute: Compute) -> None:
    models = ModelCache()
    slow, quick = (threading.Thread(target=models.get, args=(source, compute)) for source in (TINY, str(tiny_folder)))
    hub.hang_after = 1000
    slow.start()
    try:
        assert hub.hanging.wait(20)
        quick.start()
        quick.join(20)
        assert not quick.is_alive() and slow.is_alive()
    finally:
        hub.hang_after = None
        hub.let_go.set()
        slow.join(20)
    assert same_weights(models.get(TINY, compute).unet, models.get(str(tiny_folder), compute).unet)


def test_the_licence_of_a_model_is_read_from_its_card(hub: HubServer, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Mine\n")
    hub.add("me/mine", folder)
    names = ("me/mine", TINY, "nobody/nothing")
    models = [ids.HubModel(name, None) for name in names]
    assert [downloads.licence(model) for model in models] == ["cc-by-4.0", None, None]
