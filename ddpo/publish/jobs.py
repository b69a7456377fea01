"""A start command carried to rented hardware: the Jobs of the Hugging Face Hub.

A job is a bare container, billed by the minute, of which nothing is left at its end but what lies in the storage bucket
that is mounted into it. So it fetches this program from a Space or a git repository, installs what that requires,
trains within a time budget in a run folder in the bucket, and pushes the result to a model repository
(https://huggingface.co/docs/huggingface_hub/guides/jobs). The id of the run is made from what is trained, so the same
command goes on with it. The token is a secret of the job, which the Hub keeps encrypted; it is in no command, no
environment that others can see, no file and no output.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from ddpo import rewards
from ddpo.diffusion.catalogue import PAIRS
from ddpo.errors import UserError
from ddpo.hub import client, ids, troubles
from ddpo.runs.followed import JOB
from ddpo.runs.store import RunSpec, slug

IMAGE = "python:3.12"  # with pip and git; the wheels of torch bring CUDA's libraries with them
TRAINING_SECONDS = 3600.0  # of a job that was given no time budget
OTHER_SECONDS = 900.0  # for the image, 5 GB of packages (90 s here), the models, and for pushing the result
TOKEN = "HF_TOKEN"  # the secret; what huggingface_hub looks for in the job
BUCKET = "ddpo-runs"  # of whoever starts the job, where no other is named
MOUNT = "/data"  # where the bucket is in the job
RUNS = f"{MOUNT}/runs"  # where a Space looks in a bucket, too
NOT_STARTED = "no job was started"
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


@dataclass(frozen=True)
class JobPlan:
    """What would be asked of the Hub. As text, something to read; no secret is in it, only their names."""

    flavor: str  # of the hardware
    code: str  # "owner/space", "owner/space@revision", or the https address of a git repository
    repo_id: str  # model repository that the job pushes to
    private: bool  # where it has to be made
    command: tuple[str, ...]
    timeout: float  # seconds from start to end, after which the Hub ends it
    bucket: str = BUCKET  # "owner/name", or "name" for one of whoever the token belongs to
    image: str = IMAGE
    environment: tuple[tuple[str, str], ...] = (
        ("DDPO_RUNS", RUNS),
        ("PYTHONUNBUFFERED", "1"),
        ("PIP_ROOT_USER_ACTION", "ignore"),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    )
    secrets: tuple[str, ...] = (TOKEN,)

    def __str__(self) -> str:
        lines = {
            "hardware": self.flavor,
            "image": self.image,
            "code": self.code,
            "environment": " ".join(f"{name}={value}" for name, value in self.environment),
            "secrets": f"{', '.join(self.secrets)} (the value is not shown)",
            "bucket": f"{self.bucket}, mounted at {MOUNT}",
            "timeout": f"{self.timeout:.0f} s",
            "result": self.repo_id + (" (private)" if self.private else ""),
            "command": shlex.join(self.command),
        }
        return "\n".join(f"{name + ':':<13}{value}" for name, value in lines.items())


@dataclass(frozen=True)
class StartedJob:
    """A job that the Hub has accepted."""

    id: str
    url: str  # its page
    model_url: str  # page of the repository that it pushes to
    bucket: str  # "owner/name"
    dollars: float | None  # the most that it can cost; None where the Hub names no price


def plan_job(
    spec: RunSpec,
    given: Mapping[str, str],
    flavor: str,
    code: str,
    repo_id: str,
    training_seconds: float = TRAINING_SECONDS,
    private: bool = False,
    bucket: str = BUCKET,
) -> JobPlan:
    """What `submit` would send. The Hub is not asked.

    Args:
        spec: what is trained on what.
        given: the settings that differ from the recipe's, as they are written.
        flavor: of the hardware, such as "l4x1".
        code: where the job gets this program from: see JobPlan.
        repo_id: model repository that the job pushes its result to.
        training_seconds: time budget of the training.
        private: whether that repository, where it has to be made, is private.
        bucket: storage bucket that holds the run, "owner/name" or "name"; made, and private, where it is missing.

    Raises:
        UserError: no such hardware, a bucket of an impossible name, the code cannot be fetched from there, or the base
            is only on this machine.
    """
    from huggingface_hub import JobHardware

    flavors = [hardware.value for hardware in JobHardware]
    if flavor not in flavors:
        near = get_close_matches(flavor, flavors, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(flavors)}."
        raise UserError(f"There is no hardware named {flavor!r} for jobs; {hint}")
    check_bucket(bucket)
    install = ["pip", "install", "--quiet", "-r", "requirements.txt", *_packages(spec)]
    script = ["set -e", _fetch(code), "cd code", shlex.join(install), f'{_launcher(flavor)} train_space.py "$@"']
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    arguments = [
        "start", _source(spec), f"--reward={spec.reward}", f"--recipe={spec.recipe}", *settings,
        f"--time-budget={training_seconds:g}", f"--push-to={repo_id}", *(["--private"] if private else []),
        "--in-job", f"--run-id={run_id(spec)}",
    ]  # fmt: skip
    command = ("bash", "-c", "\n".join(script), "train_space.py", *arguments)
    return JobPlan(flavor, code, repo_id, private, command, training_seconds + OTHER_SECONDS, bucket)


def run_id(spec: RunSpec) -> str:
    """The id of a job's run: the same for the same base, reward, recipe and settings, whatever time they are given."""
    told = json.dumps(asdict(spec), sort_keys=True).encode()
    return f"{JOB}{slug(spec.reward)}-{hashlib.sha256(told).hexdigest()[:10]}"


def check_bucket(bucket: str) -> None:
    """Raises UserError for what can be neither "owner/name" nor "name"."""
    if ids.parse(bucket if "/" in bucket else f"owner/{bucket}") is None or "@" in bucket:
        raise UserError(f"{bucket!r} cannot be the name of a storage bucket; give owner/name, or a name alone.")


def submit(plan: JobPlan, token: str | None = None) -> StartedJob:
    """Start a job. The repository for its result is made first, so that a token that may not write costs nothing.

    Args:
        plan: from `plan_job`.
        token: that may write and start jobs; by default that of the environment or of `hf auth login`.

    Raises:
        UserError: there is no token, or it may not do that; the code or the hardware is not there; the account has no
            credit; the Hub is out of reach, silent or refuses.
    """
    from huggingface_hub import HfApi, Volume

    from ddpo.publish.push import make_repository

    token = client.need_token(token, "start a job")
    api = HfApi(token=token)
    try:
        _check_code(api, plan.code)
        dollars = _price(api, plan)
    except UserError:
        raise
    except Exception as error:  # whatever the network or the Hub comes up with
        raise troubles.request_error(error, NOT_STARTED) from error
    full_id = make_repository(api, plan.repo_id, plan.private, NOT_STARTED)
    bucket = _make_bucket(api, plan.bucket)
    volume = Volume(type="bucket", source=bucket, mount_path=MOUNT)
    try:
        job = api.run_job(
            image=plan.image, command=list(plan.command), env=dict(plan.environment), secrets={TOKEN: token},
            flavor=plan.flavor, timeout=int(plan.timeout), name="ddpo", volumes=[volume],
        )  # fmt: skip
    except Exception as error:
        raise _refusal(error, api.endpoint, token) from error
    return StartedJob(job.id, job.url, f"{api.endpoint}/{full_id}", bucket, dollars)


def _make_bucket(api: Any, bucket: str) -> str:
    """Make a private storage bucket where it is missing; returns its full id, "owner/name"."""
    try:
        return str(api.create_bucket(bucket, private=True, exist_ok=True).bucket_id)
    except Exception as error:  # whatever the network or the Hub comes up with
        if troubles.http_status(error) == 403:
            raise UserError(
                f"The token may not make or use the storage bucket {bucket!r}, and {NOT_STARTED}; name one of yours "
                "with --bucket, or use a token that may write."
            ) from error
        raise troubles.request_error(error, NOT_STARTED) from error


def _source(spec: RunSpec) -> str:
    """The option that says what is finetuned."""
    if spec.pair in PAIRS:
        return f"--pair={spec.pair}"
    if spec.pair is not None or ids.as_path(spec.base).exists() or ids.parse(spec.base) is None:
        what = spec.pair or repr(spec.base)
        raise UserError(f"{what} lies on this machine, where no job reaches it; push it and give its id as --base.")
    return f"--base={spec.base}"


def _packages(spec: RunSpec) -> list[str]:
    """What the run needs besides requirements.txt, as pip names it."""
    known = rewards.find(spec.reward)
    return [{"open_clip": "open_clip_torch"}.get(name, name) for name in (known.packages if known else ())]


def _fetch(code: str) -> str:
    """The shell command that puts this program into the folder `code`."""
    space = ids.parse(code)
    if space is not None:
        revision = ["--revision", space.revision] if space.revision else []
        download = ["hf", "download", space.id, "--repo-type", "space", *revision, "--local-dir", "code", "--quiet"]
        return f"pip install --quiet huggingface_hub\n{shlex.join(download)}"
    address = urlsplit(code)
    if address.scheme != "https" or not address.hostname:
        raise UserError(
            f"A job cannot fetch this program from {code!r}; give the id of its Space, owner/name, or the https "
            "address of a git repository."
        )
    if address.username or address.password:
        raise UserError(
            "The address of the code holds a name or password, which a job's page would show; leave it out."
        )
    return shlex.join(["git", "clone", "--quiet", "--depth", "1", "--", code, "code"])


def _launcher(flavor: str) -> str:
    """What runs train_space.py: one process for each GPU, whose number ends the names of such flavors ("l4x4")."""
    match = re.search(r"x(\d+)$", flavor)
    gpus = int(match[1]) if match else 1
    return "python" if gpus == 1 else f"torchrun --standalone --nproc-per-node {gpus}"


def _check_code(api: Any, code: str) -> None:
    space = ids.parse(code)
    if space and not api.file_exists(space.id, "train_space.py", repo_type="space", revision=space.revision):
        raise UserError(f"There is no Space {code!r} that you may see and that holds train_space.py; check --code.")


def _price(api: Any, plan: JobPlan) -> float | None:
    """The most that a job can cost, in dollars."""
    offered = {hardware.name: hardware for hardware in api.list_jobs_hardware()}
    if plan.flavor not in offered:
        raise UserError(f"The Hub does not offer {plan.flavor} for jobs; it offers {', '.join(offered)}.")
    hardware = offered[plan.flavor]
    unit = _UNITS.get(hardware.unit_label)
    return None if unit is None else hardware.unit_cost_usd * plan.timeout / unit


def _refusal(error: Exception, endpoint: str, token: str) -> UserError:
    """What an error of run_job means."""
    status = troubles.http_status(error)
    if status == 402:
        return UserError(f"Your account has no credit for jobs, and {NOT_STARTED}; see {endpoint}/settings/billing.")
    if status == 403:
        return UserError(f"The token may not start jobs, and {NOT_STARTED}; use one with that permission.")
    if status is None or status < 400:
        return UserError(
            f"The Hugging Face Hub gave no proper answer; whether the job was started, {endpoint}/settings/jobs tells."
        )
    said = " ".join((getattr(error, "server_message", None) or "").split())
    if status < 500 and status not in (401, 429) and said and token not in said:
        return UserError(f"The Hugging Face Hub refuses the job (HTTP {status}): {said.rstrip('.')}.")
    return troubles.request_error(error, NOT_STARTED)
