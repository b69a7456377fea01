"""Runs that train in a job, followed from a machine on which their bucket is not mounted, and from one where it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ddpo.common.files import write_json
from ddpo.errors import UserError
from ddpo.runs import followed, mirror
from ddpo.runs.mirror import Mirror
from ddpo.runs.store import Run
from ddpo.ui.train import actions, views
from tests.helpers.hub_server import HubServer, serving, use
from tests.helpers.jobs import BUCKET, TOKEN
from tests.helpers.run_folders import draw_grid, epoch_line, make_run


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HubServer, Path]]:
    """A Hub with a bucket that is followed, and the folder of runs in it."""
    store = tmp_path / "store"
    (store / "runs").mkdir(parents=True)
    server = HubServer(users={TOKEN: "me"}, buckets={BUCKET: True}, bucket_folders={BUCKET: store})
    with serving(server):
        use(server, tmp_path / "cache", monkeypatch)
        monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("DDPO_RUNS", str(tmp_path / "runs"))
        monkeypatch.setenv("DDPO_FOLLOW", BUCKET)
        monkeypatch.setattr(mirror, "INTERVAL", 60.0)  # looks come when a test asks for them
        monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between two attempts
        yield server, store / "runs"


def followed_now() -> dict[str, Run]:
    """The runs that the page lists once the bucket has been looked at anew."""
    copies = followed._mirror_of(Path("unused"))
    assert copies is not None
    copies._ended = float("-inf")
    copies.refresh(20)
    return {run.id: run for run in followed.all_runs(Path(os.environ["DDPO_RUNS"]))}


def as_job(run: Run) -> Run:
    """A run under the id that a job's has."""
    folder = run.root / f"{followed.JOB}{run.spec.reward}-1"
    run.folder.rename(folder)
    return Run(folder, folder.name, run.spec, run.created, base_weights=run.base_weights)


def test_only_what_has_changed_is_fetched_and_no_weights_are(bucket: tuple[HubServer, Path]) -> None:
    hub, root = bucket
    run = as_job(make_run(root, "stopped", 2))
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "1.safetensors").write_bytes(b"x" * 1000)
    (run.folder / "result").mkdir()
    (run.folder / "result" / "model_index.json").write_text("{}")
    (root / "notes").mkdir()
    (root / "notes" / "run.txt").write_text("mine")
    (seen,) = followed_now().values()
    assert seen.id == run.id and seen.status() == run.status() and seen.epochs() == run.epochs()
    assert [epoch for epoch, _ in seen.samples()] == [0, 1, 2] and not seen.has_result()
    fetched = [request.path for request in hub.asked_for("/resolve/")]
    assert len(fetched) == len({*fetched}) == 6 and not any("checkpoints" in path for path in fetched)
    copies = {path.name for path in Path(seen.folder.parent).rglob("*") if path.is_file()}
    assert "1.safetensors" not in copies and "run.txt" not in copies and "model_index.json" not in copies

    hub.requests.clear()
    followed_now()
    assert hub.asked_for("/resolve/") == [] and hub.asked_for("/tree")
    draw_grid(run.folder / "samples" / "00003.png", 7)
    (run.folder / "samples" / "00001.png").unlink()
    run.append_metrics(epoch_line(3, 4))
    followed_now()
    assert len(hub.asked_for("/resolve/")) == 2
    assert [epoch for epoch, _ in seen.samples()] == [0, 2, 3] and len(seen.epochs()) == 3

    hub.requests.clear()
    Mirror(BUCKET, seen.root).refresh(20)  # as when the app is started again
    assert hub.asked_for("/resolve/") == [] and hub.asked_for("/tree")
    for path in sorted(run.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert followed_now() == {} and views.follow_line().count(f"Runs in the bucket {BUCKET} are followed.") == 1


def test_a_run_in_a_job_is_shown_without_what_makes_no_sense_here(bucket: tuple[HubServer, Path]) -> None:
    from ddpo.ui.train import live

    run = as_job(make_run(bucket[1], "stopped", 2, result=None))
    (seen,) = followed_now().values()
    shown = live.parts(actions.look_at(seen), 2, True)
    assert not any(shown[name]["visible"] for name in ("stop", "resume", "compare", "download", "pushing"))
    assert f"trains in a job and is followed in the bucket {BUCKET}" in shown["status"]
    assert "same command" in shown["status"] and "Resume" not in shown["status"]
    assert shown["pictures"].count("<img") == 16 and run.id in shown["runs"] and "are followed" in shown["runs"]
    assert "followed in the bucket" in actions.facts(seen)["notice"] and actions.facts(seen)["result"] is None
    with pytest.raises(UserError, match=r"does not train on this machine\. The same command"):
        actions.resume(seen, None)
    with pytest.raises(UserError, match="not on this machine"):
        seen.need_result()


def test_a_run_in_a_mounted_bucket_that_a_job_trains_is_not_resumed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddpo.ui.train import live

    monkeypatch.setenv("DDPO_RUNS", str(tmp_path))
    run = as_job(make_run(tmp_path, "interrupted", 2))
    shown = live.parts(actions.look_at(run), 2, True)
    assert not shown["resume"]["visible"] and "same command" in shown["status"] and "Resume" not in shown["status"]
    with pytest.raises(UserError, match="The same command that started the job"):
        actions.resume(run, None)
    lease = {"id": run.id, "token": "x", "machine": "another", "process": 1, "begun": "1", "renewed": time.time()}
    write_json(run.folder / ".lease", lease)
    run.write_status(state="running")
    other = make_run(tmp_path, "stopped", 1)  # newer, and of this machine
    assert live.parts(actions.look_at(run), 2, True)["stop"]["visible"] and actions.find(None) == run
    assert actions.stop(run) == run and run.stop_requested()
    assert live.parts(actions.look_at(other), 1, True)["resume"]["visible"]


def lease_at(run: Run, renewed: float) -> None:
    facts = {"id": run.id, "token": "x", "machine": "another", "process": 1, "begun": "1", "renewed": renewed}
    write_json(run.folder / ".lease", facts)


def test_it_is_asked_to_stop_through_the_bucket(bucket: tuple[HubServer, Path]) -> None:
    hub, root = bucket
    run = as_job(make_run(root, "running", 2))
    lease_at(run, time.time())
    (seen,) = followed_now().values()
    assert seen.status().state == "running" and actions.find(None) == seen
    actions.stop(seen)
    assert run.stop_requested() and actions.look_at(seen).stopping
    followed_now()
    assert actions.look_at(seen).stopping
    (seen.folder / "stop").unlink()
    hub.users, hub.readers = {}, {TOKEN: "me"}
    with pytest.raises(UserError, match=r"The token may not write to the bucket me/ddpo-runs, and the run was not"):
        actions.stop(seen)
    assert not seen.stop_requested()


def out_of_order(hub: HubServer, patch: pytest.MonkeyPatch) -> None:
    hub.status = 503


def gone(hub: HubServer, patch: pytest.MonkeyPatch) -> None:
    hub.buckets.clear()


def signed_out(hub: HubServer, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("HF_TOKEN")


def silent(hub: HubServer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("ddpo.hub.client.SECONDS_TO_ANSWER", 0.3)
    hub.silent = True


def breaks(hub: HubServer, patch: pytest.MonkeyPatch) -> None:
    hub.silent_at = "/resolve/"
    patch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    (run,) = hub.bucket_folders[BUCKET].glob("runs/*")
    (run / "samples" / "00002.png").write_bytes(b"other")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (out_of_order, "is out of order (HTTP 503), and the bucket me/ddpo-runs cannot be followed"),
        (gone, "There is no bucket me/ddpo-runs that you may see; check its name, or log in"),
        (signed_out, "There is no bucket me/ddpo-runs that you may see"),
        (silent, "does not answer, and the bucket me/ddpo-runs cannot be followed"),
        (breaks, "the bucket me/ddpo-runs cannot be followed"),
    ],
)
def test_what_the_hub_refuses_is_said_and_what_is_there_stays(
    bucket: tuple[HubServer, Path],
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[HubServer, pytest.MonkeyPatch], None],
    words: str,
) -> None:
    hub, root = bucket
    run = as_job(make_run(root, "running", 2))
    lease_at(run, time.time())
    (seen,) = followed_now().values()
    with monkeypatch.context() as patch:
        trouble(hub, patch)
        assert [run.id for run in followed_now().values()] == [seen.id]
        line = views.follow_line()
        assert words in line and "What is shown is from" in line and "Traceback" not in line
        assert followed.whereabouts(seen) == f"It trains in a job. {followed.follow_line(root)}"  # on its card as well
        later = time.time() + 300
        patch.setattr(time, "time", lambda: later)
        assert seen.status().state == "running"  # as it was when it was seen last; nothing is known of it since
    hub.status, hub.silent, hub.silent_at, hub.buckets = None, False, None, {BUCKET: True}
    followed_now()
    assert "are followed" in views.follow_line()


def test_what_cannot_be_a_bucket_is_said(bucket: tuple[HubServer, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPO_FOLLOW", "a b")
    assert followed.all_runs(Path("none")) == [] and actions.find(None) is None
    assert "cannot be the name of a storage bucket to follow; write DDPO_FOLLOW=owner/name" in views.follow_line()
    monkeypatch.setenv("DDPO_FOLLOW", "")
    assert views.follow_line() == "" and bucket[0].requests == []


def test_a_space_follows_only_the_bucket_that_its_owner_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPO_FOLLOW", raising=False)
    followed.note_bucket(tmp_path, BUCKET)
    assert followed.followed_bucket(tmp_path) == BUCKET
    monkeypatch.setenv("SPACE_ID", "me/studio")
    assert followed.followed_bucket(tmp_path) is None
    monkeypatch.setenv("DDPO_FOLLOW", "me/other")
    assert followed.followed_bucket(tmp_path) == "me/other"
