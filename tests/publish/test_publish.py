"""Publishing: a card in the Hub's format, only what belongs there, and a token that is never told to anybody else."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from diffusers import DDPMPipeline
from PIL import Image

from ddpo.diffusion.catalogue import PAIRS
from ddpo.diffusion.models import load_model
from ddpo.diffusion.precision import Compute
from ddpo.errors import UserError
from ddpo.publish.push import plan_push, push
from ddpo.runs.store import Run
from tests.helpers.finished_run import BASE, make_run
from tests.helpers.hub_server import HubServer, front_matter, serving, use
from tests.helpers.models import make_unet, same_weights

TOKEN = "hf_aVerySecretToken"
FILES = {
    "README.md", "grids/after.png", "grids/before.png", "model_index.json", "reward.png",
    "scheduler/scheduler_config.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> Iterator[HubServer]:
    """A Hub with the base and a user `me`, whose token nobody in this process is logged in with."""
    base = Path(shutil.copytree(tiny_folder, tmp_path / "base"))
    (base / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Tiny\n")
    with serving(HubServer(users={TOKEN: "me"}, readers={TOKEN + "ReadOnly": "me"})) as server:
        server.add(BASE, base)
        use(server, tmp_path / "cache", monkeypatch)
        yield server


def test_a_result_on_the_hub_loads_as_it_was_trained(
    hub: HubServer, run: Run, compute: Compute, tmp_path: Path
) -> None:
    address = push(run, "me/church-ddpo", token=TOKEN)
    assert address == f"{hub.url}/me/church-ddpo"
    files = hub.repositories["me/church-ddpo"].files()
    assert files.keys() - {".gitattributes"} == FILES
    assert files["unet/diffusion_pytorch_model.safetensors"].large and not files["README.md"].large
    assert files["grids/before.png"].read() == (run.folder / "samples" / "00000.png").read_bytes()
    assert files["grids/after.png"].read() == (run.folder / "samples" / "00030.png").read_bytes()
    model = load_model("me/church-ddpo", compute)
    assert same_weights(model.unet, make_unet(seed=3))
    pipeline = DDPMPipeline.from_pretrained("me/church-ddpo")
    assert same_weights(pipeline.unet, make_unet(seed=3))


def test_the_card_has_what_the_hub_reads(hub: HubServer, run: Run) -> None:
    push(run, "me/church-ddpo", token=TOKEN)
    card = hub.repositories["me/church-ddpo"].files()["README.md"].read().decode()
    facts = front_matter(card)
    assert facts is not None and "ddpo" in facts.pop("tags")
    assert facts == {
        "license": "cc-by-4.0", "base_model": BASE, "library_name": "diffusers",
        "pipeline_tag": "unconditional-image-generation",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("base", "pair", "expected"),
    [
        (PAIRS["church-64"].base, "church-64", "the base of church-64, which comes with DDPO Studio"),
        ("/home/me/secret/my-churches", None, "`my-churches`"),
        ("/home/me/secret/20261124-photographic/result", None, "`20261124-photographic`"),
    ],
)
def test_a_local_base_is_named_without_its_path(
    hub: HubServer, tmp_path: Path, base: str, pair: str | None, expected: str
) -> None:
    run = make_run(tmp_path / "runs", base, pair)
    plan = plan_push(run, "me/x")
    assert expected in plan.card and "base_model" not in (front_matter(plan.card) or {})
    for content in plan.files.values():
        text = content if isinstance(content, bytes) else content.read_bytes()
        assert b"secret" not in text and str(tmp_path).encode() not in text
    assert (front_matter(plan.card) or {}).get("license") == ("apache-2.0" if pair else None)
    assert hub.requests == []


def test_a_dry_run_lists_every_file_and_sends_nothing(hub: HubServer, run: Run) -> None:
    plan = plan_push(run, "me/church-ddpo")
    assert plan.sizes.keys() == FILES and all(plan.sizes.values())
    assert plan.sizes["grids/after.png"] == (run.folder / "samples" / "00030.png").stat().st_size
    text = str(plan)
    assert "me/church-ddpo" in text and all(name in text for name in FILES) and "in all" in text
    assert {request.method for request in hub.requests} == {"GET"} and "me/church-ddpo" not in hub.repositories
    push(run, "me/church-ddpo", token=TOKEN)
    pushed = hub.repositories["me/church-ddpo"].files()
    assert {name: pushed[name].size for name in FILES} == plan.sizes


def test_a_name_alone_goes_to_whom_the_token_belongs_to(hub: HubServer, run: Run) -> None:
    assert push(run, "church-ddpo", token=TOKEN).endswith("/me/church-ddpo")
    assert b'from_pretrained("me/church-ddpo")' in hub.repositories["me/church-ddpo"].files()["README.md"].read()


def test_pushing_again_sends_only_what_has_changed(hub: HubServer, run: Run) -> None:
    push(run, "me/church-ddpo", token=TOKEN)
    hub.requests.clear()
    Image.new("RGB", (142, 16), "yellow").save(run.folder / "samples" / "00030.png")
    push(run, "me/church-ddpo", token=TOKEN)
    assert len(hub.asked_for("/lfs/", "PUT")) == 1
    repository = hub.repositories["me/church-ddpo"]
    assert repository.files()["grids/after.png"].read() == (run.folder / "samples" / "00030.png").read_bytes()
    assert len(repository.commits) == 3 and repository.messages[-1] == "Finetuned on photographic"


def test_a_private_repository_is_private_and_a_public_one_is_not_taken_for_it(hub: HubServer, run: Run) -> None:
    push(run, "me/mine", token=TOKEN, private=True)
    assert hub.repositories["me/mine"].private
    push(run, "me/shown", token=TOKEN)
    commits = len(hub.repositories["me/shown"].commits)
    with pytest.raises(UserError, match="'me/shown' exists and is public"):
        push(run, "me/shown", token=TOKEN, private=True)
    assert len(hub.repositories["me/shown"].commits) == commits


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.bin", "optimizer.pt", "notes.txt", "unet/code.py"])
def test_only_safetensors_and_configurations_are_published(hub: HubServer, run: Run, name: str) -> None:
    (run.result / name).write_bytes(b"pickled")
    for attempt in (lambda: plan_push(run, "me/x"), lambda: push(run, "me/x", token=TOKEN)):
        with pytest.raises(UserError, match=f"{name}.*only safetensors"):
            attempt()
    assert not hub.asked_for("", "POST")


def no_weights(run: Run) -> None:
    next(run.result.rglob("*.safetensors")).unlink()


@pytest.mark.parametrize(
    ("damage", "repo_id", "words"),
    [
        (lambda run: shutil.rmtree(run.result), "me/x", "has no result yet"),
        (no_weights, "me/x", "no weights as safetensors"),
        (lambda run: None, BASE, "is the base of this run"),
        *((lambda run: None, name, "cannot be the name of a repository") for name in (
            "", "me/", "me/a b", "a/b/c", "me/x@main", "me/x--y", "../x", "me/x\n", "https://huggingface.co/me/x",
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_pushed_is_refused_before_anything_is_sent(
    hub: HubServer, run: Run, damage: Callable[[Run], None], repo_id: str, words: str
) -> None:
    damage(run)
    for attempt in (lambda: plan_push(run, repo_id), lambda: push(run, repo_id, token=TOKEN)):
        with pytest.raises(UserError, match=words) as caught:
            attempt()
        assert str(caught.value).endswith(".")
    assert not hub.asked_for("", "POST")


def out_of_reach(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use("http://127.0.0.1:9", tmp_path / "cache", patch)


def offline(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(hub, tmp_path / "cache", patch, offline=True)


def silent(at: str) -> Callable[..., None]:
    def go_silent(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        patch.setattr("ddpo.hub.client.SECONDS_TO_ANSWER", 0.5)
        patch.setattr("ddpo.hub.client.SECONDS_TO_WRITE", 0.5)
        patch.setattr(time, "sleep", lambda seconds: None)  # between two attempts
        hub.silent_at = at

    return go_silent


def with_status(status: int) -> Callable[..., None]:
    return lambda hub, patch, tmp_path: setattr(hub, "status", status)


def nothing(hub: HubServer, patch: pytest.MonkeyPatch, tmp_path: Path) -> None: ...


TROUBLES: dict[str, tuple[Callable[..., None], str, str | None, str]] = {
    "no token": (nothing, "me/x", None, "no token to push with; log in"),
    "blank token": (nothing, "me/x", " \n", "no token to push with"),
    "no token at all": (nothing, "me/x", TOKEN + "\nX-Header: 1", "cannot be one"),
    "unknown token": (nothing, "me/x", TOKEN + "Unknown", "refuses the token, and nothing was pushed"),
    "token that may only read": (nothing, "me/x", TOKEN + "ReadOnly", "may not write to 'me/x'"),
    "namespace of others": (nothing, "them/x", TOKEN, "may not write to 'them/x'"),
    "out of reach": (out_of_reach, "me/x", TOKEN, "cannot be reached, and nothing was pushed"),
    "silent": (silent("/"), "me/x", TOKEN, "does not answer, and nothing was pushed; try again later"),
    "silent when files are announced": (silent("/preupload/"), "me/x", TOKEN, "'me/x' broke off; push again"),
    "silent when files are sent": (silent("/lfs/"), "me/x", TOKEN, "'me/x' broke off; push again"),
    "silent when files are committed": (silent("/commit/"), "me/x", TOKEN, "'me/x' broke off; push again"),
    "offline": (offline, "me/x", TOKEN, "HF_HUB_OFFLINE keeps this .*, and nothing was pushed; unset it"),
    "rate limit": (with_status(429), "me/x", TOKEN, "no more requests for now, and nothing was pushed"),
    "out of order": (with_status(503), "me/x", TOKEN, r"out of order \(HTTP 503\), and nothing was pushed"),
    "broken off": (lambda hub, *_: setattr(hub, "fail_uploads", True), "me/x", TOKEN, "'me/x' broke off; push again"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_with_the_hub_is_told_in_a_sentence_without_the_token(
    hub: HubServer,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    cause, repo_id, token, words = TROUBLES[trouble]
    cause(hub, monkeypatch, tmp_path)
    started = time.monotonic()
    with pytest.raises(UserError, match=words) as caught:
        push(run, repo_id, token=token)
    assert time.monotonic() - started < 15  # the silent Hub would let a client wait for 30 seconds
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    assert TOKEN not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_the_token_is_in_no_file_no_log_and_no_output(
    hub: HubServer,
    run: Run,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("HF_TOKEN", TOKEN)  # where it comes from when none is given
    push(run, "me/church-ddpo")
    texts = [path.read_bytes() for path in run.folder.rglob("*") if path.is_file()]
    texts += [file.read() for file in hub.repositories["me/church-ddpo"].files().values()]
    texts += [caplog.text.encode(), *(text.encode() for text in capfd.readouterr())]
    assert len(texts) > 12 and not any(TOKEN.encode() in text for text in texts)
    to_hub = [request for request in hub.requests if "authorization" in request.headers]
    assert to_hub and all(request.origin == "hub" for request in to_hub)
