"""Publishing the result of a run on the Hugging Face Hub: the model, its card and its pictures, and nothing else.

The token goes to huggingface_hub and nowhere else: it is in no message, no card and no file.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpo.common.statistics import PairedStatistics
from ddpo.common.words import shown
from ddpo.errors import UserError
from ddpo.hub import client, ids, troubles
from ddpo.publish.card import AFTER, BEFORE, CURVE, base_licence, hub_base, write_card
from ddpo.publish.curve import draw_curve
from ddpo.runs.store import Run

__all__ = ["PushPlan", "check_name", "contents", "make_repository", "plan_push", "push", "write_card"]

ALLOWED = (".json", ".safetensors")  # what a result may consist of


@dataclass(frozen=True)
class PushPlan:
    """What would be pushed. As text, a list to read."""

    repo_id: str  # "owner/name", or "name" for a repository of whoever the token belongs to
    files: dict[str, bytes | Path]  # path in the repository -> its content, or where that is

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file, by its path in the repository."""
        return {
            path: len(content) if isinstance(content, bytes) else content.stat().st_size
            for path, content in self.files.items()
        }

    @property
    def card(self) -> str:
        """The model card."""
        content = self.files["README.md"]
        assert isinstance(content, bytes)
        return content.decode()

    def __str__(self) -> str:
        sizes = self.sizes
        width = max(map(len, sizes))
        lines = [f"  {path:<{width}}  {_readable(size):>9}" for path, size in sizes.items()]
        total = f"  {'in all':<{width}}  {_readable(sum(sizes.values())):>9}"
        return "\n".join([f"To {self.repo_id} on the Hugging Face Hub:", *lines, total])


def plan_push(run: Run, repo_id: str, statistics: PairedStatistics | None = None) -> PushPlan:
    """What `push` would upload. Nothing is sent; the Hub is asked for the base's licence where the base is there.

    Args:
        run: a run with a result.
        repo_id: "owner/name", or "name" for a repository of the token's owner.
        statistics: of the result against the base, for the card; None: those that the run has.

    Raises:
        UserError: the name cannot be one, or is the base's; there is no result, or something in it is not published.
    """
    check_name(repo_id)
    base = hub_base(run)
    if base and base.id.lower() == repo_id.lower():
        raise UserError(f"{repo_id!r} is the base of this run; choose another name, so that it is not overwritten.")
    return PushPlan(repo_id, contents(run, repo_id, statistics))


def contents(run: Run, repo_id: str, statistics: PairedStatistics | None = None) -> dict[str, bytes | Path]:
    """Card, model and pictures of a run by their paths, each as its content or where that is.

    Args:
        run: a run with a result.
        repo_id: what the card says to load.
        statistics: as `plan_push` takes them.

    Raises:
        UserError: there is no result, or something in it is not published.
    """
    card = write_card(run, statistics, repo_id, base_licence(run))
    return {"README.md": card.encode(), **_result(run), **_pictures(run)}


def check_name(repo_id: str) -> None:
    """Raises UserError for what can be neither "owner/name" nor "name"."""
    if ids.parse(repo_id if "/" in repo_id else f"owner/{repo_id}") is None or "@" in repo_id:
        raise UserError(
            f"{shown(repo_id)} cannot be the name of a repository; give owner/name, of letters, digits, '-', '_' "
            "and '.'."
        )


def push(
    run: Run,
    repo_id: str,
    token: str | None = None,
    private: bool = False,
    statistics: PairedStatistics | None = None,
) -> str:
    """Publish the result of a run, in a repository that is made where it is missing.

    Args:
        run: a run with a result.
        repo_id: "owner/name", or "name" for a repository of the token's owner.
        token: with permission to write; by default that of the environment or of `hf auth login`.
        private: whether only the owner may see it.
        statistics: of the result against the base, for the card; None: those that the run has.

    Returns:
        The address of the repository.

    Raises:
        UserError: as `plan_push`; there is no token, or it may not write there; the Hub is out of reach or refuses; the
            repository exists and is public though a private one was asked for.
    """
    from huggingface_hub import HfApi

    plan_push(run, repo_id, statistics)  # before anything is sent
    api = HfApi(token=client.need_token(token, "push"))
    full_id = make_repository(api, repo_id, private)
    plan = plan_push(run, full_id, statistics)
    try:
        _upload(api, plan, f"Finetuned on {run.spec.reward}")
    except Exception as error:  # whatever the network or the Hub comes up with
        raise _upload_error(error, full_id) from error
    return f"{api.endpoint}/{full_id}"


def make_repository(api: Any, repo_id: str, private: bool, trouble: str = "nothing was pushed") -> str:
    """Make a model repository where it is missing.

    Args:
        api: an HfApi with a token.
        repo_id: "owner/name", or "name" for one of the token's owner.
        private: whether only the owner may see it.
        trouble: what is the matter where that fails, as a clause.

    Returns:
        "owner/name".

    Raises:
        UserError: the token may not write there; the Hub is out of reach or refuses; the repository is there and public
            though a private one was asked for.
    """
    try:
        full_id: str = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        public = private and not api.model_info(full_id).private
    except Exception as error:  # whatever the network or the Hub comes up with
        raise _refused_write(error, repo_id) or troubles.request_error(error, trouble) from error
    if public:
        raise UserError(f"{full_id!r} exists and is public; choose another name, or make it private on the Hub first.")
    return full_id


def _result(run: Run) -> dict[str, Path]:
    """The files of the finetuned model, by their paths in the repository."""
    run.need_result()
    files = {path.relative_to(run.result).as_posix(): path for path in sorted(run.result.rglob("*")) if path.is_file()}
    for name in files:
        if not name.endswith(ALLOWED):
            raise UserError(f"The result holds {name!r}, and only safetensors and JSON are published; remove it first.")
    if not any(name.endswith(".safetensors") for name in files):
        raise UserError(f"The result of the run {run.id} has no weights as safetensors; export or train it anew.")
    return files


def _pictures(run: Run) -> dict[str, bytes | Path]:
    """The reward's curve, and the first and the last grid, as far as they are there."""
    files: dict[str, bytes | Path] = {}
    curve = draw_curve(run.result_epochs(), run.spec.reward)
    if curve is not None:
        files[CURVE] = curve
    samples = run.result_samples()
    if len(samples) > 1:
        files[BEFORE], files[AFTER] = samples[0][1], samples[-1][1]
    return files


def _upload(api: Any, plan: PushPlan, message: str) -> None:
    with tempfile.TemporaryDirectory(prefix="push-") as name:
        for path, content in plan.files.items():
            target = Path(name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                target.symlink_to(content.resolve())  # the weights need not be copied to be sent
        api.upload_folder(repo_id=plan.repo_id, folder_path=name, commit_message=message)


def _upload_error(error: Exception, repo_id: str) -> UserError:
    if troubles.http_status(error) == 401:
        return troubles.request_error(error, "nothing was pushed")
    broken = UserError(f"The upload to {repo_id!r} broke off; push again, what has arrived is not sent twice.")
    return _refused_write(error, repo_id) or broken


def _refused_write(error: Exception, repo_id: str) -> UserError | None:
    if troubles.http_status(error) != 403:
        return None
    return UserError(
        f"The token may not write to {repo_id!r}; name a repository of your own, or use a token with permission."
    )


def _readable(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
