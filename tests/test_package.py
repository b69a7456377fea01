"""The package as it is installed: from a built wheel, in an environment and a folder that hold nothing else of ours."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from gradio_client import Client

import ddpo
from tests.helpers.here import ROOT
from tests.helpers.serving import running_app
from tests.helpers.waiting import wait_for


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the built wheel, which borrows the packages that it requires from here."""
    folder = tmp_path_factory.mktemp("package")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    packages = Path(
        subprocess.run(
            [folder / "venv" / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()
    )  # fmt: skip
    theirs = [sysconfig.get_paths()["purelib"], *site.getsitepackages()]
    (packages / "borrowed.pth").write_text("\n".join(theirs), encoding="utf-8")
    install = [sys.executable, "-m", "pip", "--python", str(folder / "venv" / "bin" / "python"), "install"]
    subprocess.run([*install, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, cwd=folder)
    return folder / "venv" / "bin"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DDPO_RUNS")}


def test_in_an_empty_folder_the_installed_app_compares_and_trains(installed: Path, tmp_path: Path) -> None:
    """And the installed trainer knows of the run."""
    with running_app(tmp_path / "log.txt", (str(installed / "ddpo-studio"),), folder=str(tmp_path)) as app:
        client = Client(app.url, verbose=False, download_files=str(tmp_path / "downloads"))
        _, _, result = client.predict(steps=2, samples=1, api_name="/compare")
        assert result["settings"]["pair"] == "church-64"
        small = {"batches_per_epoch": 1, "batch_size": 4, "accumulation": 1}
        run = client.predict(epochs=1, settings=small, api_name="/start_run")
        wait_for(lambda: client.predict(run["id"], api_name="/run_status")["state"] == "finished", 120, pause=1)
    told = subprocess.run(
        [installed / "ddpo-train", "status", run["id"]], check=True, cwd=tmp_path, env=environment(),
        capture_output=True, text=True,
    )  # fmt: skip
    assert "finished" in told.stdout
    folder = tmp_path / "runs" / run["id"]
    facts = json.loads((folder / "run.json").read_bytes())
    assert facts["pair"] == "church-64" and str(ROOT) not in facts["base"] and Path(facts["base"]).is_dir()
    assert (folder / "result" / "model_index.json").is_file()


def test_the_version_and_the_requirements_are_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["project"]["dynamic"]) == {"version", "dependencies"}
    dynamic = project["tool"]["setuptools"]["dynamic"]
    assert dynamic == {"version": {"attr": "ddpo.__version__"}, "dependencies": {"file": ["requirements.txt"]}}
    assert ddpo.__version__.count(".") == 2


def test_every_package_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {".".join(init.parent.relative_to(ROOT).parts) for init in (ROOT / "ddpo").rglob("__init__.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == folders | {"ddpo.assets"}
