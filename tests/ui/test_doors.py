"""Who may do what, at every door of the real app, through real requests: see docs/security.md."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import itsdangerous
import pytest

from tests.helpers.hub_server import HubServer, serving
from tests.helpers.knocking import Knocker, network_address
from tests.helpers.run_folders import CHURCH, make_run
from tests.helpers.serving import RunningApp, running_app

OPERATORS_TOKEN = "hf_of_the_operator"
SIGN_IN_SECRET = "of-the-sign-in"
REFUSED = re.compile(
    "works? only at the machine|handed out only at the machine|another site|does not answer as|Only the owner|Sign in "
    'first|"local_folders": false'
)

# Who asks: the address it is asked at and the headers. All but the first three come from elsewhere.
ASKERS: dict[str, tuple[str, dict[str, str]]] = {
    "at the machine": ("127.0.0.1", {}),
    "at the machine, by name": ("127.0.0.1", {"Host": "LocalHost.:{port}"}),
    "the page": ("127.0.0.1", {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}),
    "the network": ("network", {}),
    "the network, claiming to be here": ("network", {"Host": "localhost:{port}", "Origin": "http://localhost:{port}"}),
    "a share link": ("127.0.0.1", {"Host": "abc.gradio.live", "X-Forwarded-For": "203.0.113.9"}),
    "a proxy": ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}),
    "a proxy, claiming to be here": ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
    "a tunnel": ("127.0.0.1", {"X-Real-IP": "203.0.113.9", "Host": "localhost"}),
    "a name that was rebound": ("127.0.0.1", {"Host": "evil.example", "Origin": "http://evil.example"}),
    "another site": ("127.0.0.1", {"Origin": "https://evil.example"}),
    "another site, by its fetch": ("127.0.0.1", {"Sec-Fetch-Site": "cross-site"}),
    "a sandboxed frame": ("127.0.0.1", {"Origin": "null"}),
}
OPERATORS = list(ASKERS)[:3]
FOLDER = str(CHURCH)
QUICK: dict[str, Any] = {"steps": 1, "samples": 1}
EVALUATED: dict[str, Any] = {"grid": ["ddim:1"], "seeds": 2}

# What is asked: a request that does no harm if it is let in, and what its answer then says.
DOORS: dict[str, tuple[Callable[[Knocker], str], str]] = {
    "start a run": (lambda who: who.call("start_run", recipe="no such"), "no such"),
    "stop a run": (lambda who: who.call("stop_run"), "is not training"),
    "resume a run": (lambda who: who.call("resume_run"), "is finished"),
    "press Start": (lambda who: who.press("_on_start", train_minutes=-1), "time budget must be"),
    "press Stop": (lambda who: who.press("_on_stop"), "is not training"),
    "press Resume": (lambda who: who.press("_on_resume"), "is finished"),
    "train from a folder": (lambda who: who.call("start_run", base=FOLDER, minutes=-1), "time budget must be"),
    "estimate from a folder": (lambda who: who.press("told", train_base=FOLDER), "class='estimate|estimate|min|hour"),
    "compare folders": (lambda who: who.call("compare", base=FOLDER, tuned=FOLDER, **QUICK), "sentence"),
    "press Compare": (
        lambda who: who.press("_on_compare", pair="own", own_base=FOLDER, own_tuned=FOLDER, **QUICK),
        "Download|download|before|win",
    ),
    "evaluate folders": (lambda who: who.call("evaluate", models={"a": FOLDER, "b": FOLDER}, **EVALUATED), "verdict"),
    "press Evaluate": (
        lambda who: who.press(
            "_on_evaluate",
            evaluate_pair="own",
            evaluate_base=FOLDER,
            evaluate_tuned=FOLDER,
            evaluate_seeds=2,
            evaluate_steps="1",
            evaluate_schedulers=["ddim"],
        ),
        "No difference is shown",
    ),
    "ask what an evaluation of folders takes": (
        lambda who: who.press("_told", evaluate_pair="own", evaluate_base=FOLDER, evaluate_tuned=FOLDER),
        "cells of 64 seeds",
    ),
    "open an address": (
        lambda who: who.press("read", f"?pair=own&base={FOLDER}&tuned={FOLDER}"),
        '"visible": true',
    ),
    "ask what there is": (lambda who: who.call("models"), '"local_folders": true'),
    "download a folder's result": (lambda who: who.press("_on_download"), r"\.zip"),
    "name one of the runs": (lambda who: who.call("rename_run", run="nothing", name="x"), "There is no run"),
    "delete one of the runs": (lambda who: who.call("delete_run", run="nothing"), "There is no run"),
    "press Save name": (lambda who: who.press("_on_label", run_name="x" * 81), "at most 80 characters"),
    "press Delete it": (lambda who: who.press("_on_delete"), "Nothing was asked"),
    "push with the operator's token": (lambda who: who.press("_on_push", push_repository="of/mine"), "/of/mine"),
    "use the tool start_run": (lambda who: who.use_tool("start_run", reward="no such"), "no such"),
    "use the tool compare": (lambda who: who.use_tool("compare", base=FOLDER, tuned=FOLDER, **QUICK), "sentence"),
}
MANAGING = ["name one of the runs", "delete one of the runs", "press Save name", "press Delete it"]
TRAINING = [door for door in DOORS if re.search(r" run$|Start|Stop|Resume|start_run", door)]


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with serving() as served:
        served.users[OPERATORS_TOKEN] = "of"
        yield served


def settings(hub: HubServer, folder: Path, **more: str) -> dict[str, str]:
    return {
        "HF_TOKEN": OPERATORS_TOKEN, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_CACHE": str(folder / "cache"), **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningApp]:
    """An app that every machine can reach, with a finished run whose base is a folder."""
    folder = tmp_path_factory.mktemp("public")
    own = folder / "own-model"
    own.symlink_to(CHURCH)
    make_run(folder / "runs", "finished", 4, base=own, result=CHURCH)
    with running_app(folder / "log.txt", **settings(hub, folder, GRADIO_SERVER_NAME="0.0.0.0")) as app:
        yield app


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningApp]:
    """The same, where everybody may train, within bounds, and nothing costly may be compared."""
    folder = tmp_path_factory.mktemp("open")
    make_run(folder / "runs", "finished", 4, result=CHURCH)
    more = {"GRADIO_SERVER_NAME": "0.0.0.0", "DDPO_TRAINING": "on", "DDPO_MAX_COST": "0.5"}
    with running_app(folder / "log.txt", **settings(hub, folder, **more)) as app:
        yield app


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningApp]:
    """A Space whose owner may train."""
    folder = tmp_path_factory.mktemp("space")
    make_run(folder / "runs", "finished", 4, result=CHURCH)
    more = {
        "SYSTEM": "spaces", "SPACE_ID": "owner/studio", "SPACE_AUTHOR_NAME": "owner", "DDPO_TRAINING": "owner",
        "SPACE_HOST": "owner-studio.hf.space,studio.example", "OAUTH_CLIENT_ID": "studio",
        "OAUTH_CLIENT_SECRET": SIGN_IN_SECRET, "OAUTH_SCOPES": "openid profile manage-repos",
        "OPENID_PROVIDER_URL": hub.url,
    }  # fmt: skip
    with running_app(folder / "log.txt", **settings(hub, folder, **more)) as app:
        yield app


def knocker(app: RunningApp, asker: str) -> Knocker:
    address, headers = ASKERS[asker]
    if address == "network":
        found = network_address()
        if found is None:
            pytest.skip("this machine has no address but its loopback one")
        address = found
    return Knocker(app, address, headers)


@pytest.mark.parametrize("asker", ASKERS)
def test_at_every_door_only_the_machine_itself_is_let_in(public: RunningApp, hub: HubServer, asker: str) -> None:
    who = knocker(public, asker)
    hub.requests.clear()
    for door, (knock, answer) in DOORS.items():
        said = knock(who)
        if asker in OPERATORS:
            assert re.search(answer, said) and not REFUSED.search(said), (door, said[:400])
        else:
            assert REFUSED.search(said), (door, said[:400])
    writes = [request for request in hub.requests if request.method in ("POST", "PUT", "DELETE")]
    assert bool(writes) == (asker in OPERATORS)


@pytest.mark.parametrize("asker", ["the network", "a share link", "a name that was rebound", "another site"])
def test_where_everybody_may_train_folders_stay_shut_and_other_sites_out(open_to_all: RunningApp, asker: str) -> None:
    who = knocker(open_to_all, asker)
    site = asker == "another site"
    for door, (knock, answer) in DOORS.items():
        said = knock(who)
        if door in TRAINING and not site:
            assert re.search(answer, said) and not REFUSED.search(said), (door, said[:400])
        elif door != "download a folder's result" or site:  # here the run's base is the bundled model
            assert REFUSED.search(said), (door, said[:400])


def test_a_visitor_may_compare_score_and_look_within_the_cost(open_to_all: RunningApp) -> None:
    who = knocker(open_to_all, "a share link")
    assert "sentence" in who.call("compare", pair="church-64", **QUICK)
    assert "million pixel steps, and at most 0.5 are allowed here" in who.call("compare", pair="church-64", samples=8)
    assert "verdict" in who.call("evaluate", pair="church-64", **EVALUATED)
    assert "and at most 0.5 are allowed here" in who.call("evaluate", pair="church-64", grid=["ddim:50"], seeds=4)
    assert "finished" in who.call("run_status")
    assert "sentence" in knocker(open_to_all, "at the machine").call("compare", pair="church-64", samples=4, steps=40)


def cookies(user: str) -> dict[str, str]:
    """What somebody's browser keeps once they have signed in, signed as Gradio does it."""
    import hashlib

    person = {"sub": user, "name": user, "preferred_username": user, "profile": "", "picture": ""}
    held = {"access_token": f"hf_{user}", "scope": "manage-repos", "expires_at": time.time() + 3600, "userinfo": person}
    secret = hashlib.sha256(f"{SIGN_IN_SECRET}-v4".encode()).hexdigest()
    session = base64.b64encode(json.dumps({"oauth_info": held}).encode())
    return {"session": itsdangerous.TimestampSigner(secret).sign(session).decode()}


@pytest.mark.parametrize(
    ("user", "origin", "trains", "pushes"),
    [
        ("owner", "https://owner-studio.hf.space", True, True),
        ("owner", "https://studio.example", True, True),
        ("owner", None, True, True),
        ("owner", "https://evil.example", False, False),  # the cookie goes along with what another site sends
        ("owner", "null", False, False),
        ("visitor", "https://owner-studio.hf.space", False, True),
        (None, "https://owner-studio.hf.space", False, False),
    ],
)
def test_on_a_space_the_sign_in_counts_and_not_in_another_sites_hands(
    space: RunningApp, hub: HubServer, user: str | None, origin: str | None, trains: bool, pushes: bool
) -> None:
    hub.users.update({f"hf_{name}": name for name in ("owner", "visitor")})
    headers = {
        "Host": "owner-studio.hf.space",
        "X-Forwarded-For": "203.0.113.9",
        **({"Origin": origin} if origin else {}),
    }
    who = Knocker(space, headers=headers, cookies=cookies(user) if user else {}, prefix="studio_")
    hub.requests.clear()
    for door in (*TRAINING, *MANAGING):
        knock, answer = DOORS[door]
        said = knock(who)
        assert bool(re.search(answer, said)) == trains and bool(REFUSED.search(said)) != trains, (door, said[:400])
    said = who.press("_on_push", push_repository=f"{user}/mine")
    assert (f"/{user}/mine" in said) == pushes and bool(REFUSED.search(said)) != pushes, said[:400]
    writes = [request for request in hub.requests if request.method != "GET"]
    assert bool(writes) == pushes and all(OPERATORS_TOKEN not in str(request.headers) for request in writes)
    assert "Folders work only" in who.call("compare", base=FOLDER, tuned=FOLDER, **QUICK)


def test_an_app_for_this_machine_answers_to_no_other_name(tmp_path: Path) -> None:
    """Which is what keeps a page of another site, whose name points here, from reading runs and using tools."""
    with running_app(tmp_path / "log.txt", DDPO_HOSTS="studio.example,.tunnel.example") as app:
        assert "Only this machine is answered" in app.log or "Other machines can reach" in app.log
        rebound = Knocker(app, headers={"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"})
        for path in ("/", "/config", "/gradio_api/info", "/gradio_api/mcp/", "/gradio_api/file=/etc/passwd"):
            answer = rebound.client.get(path)
            assert answer.status_code == 403 and "does not answer as evil.example" in answer.text
        assert "does not answer as" in rebound.use_tool("models") and "does not answer as" in rebound.call("list_runs")
        for host in (
            "studio.example",
            "a.tunnel.example",
            "Studio.Example.:80",
            "localhost:1",
            "192.0.2.7",
            "[2001:db8::1]:7860",
        ):
            assert Knocker(app, headers={"Host": host}).client.get("/config").status_code == 200, host
        site = Knocker(app, headers={"Origin": "https://evil.example"})
        upload = site.client.post("/gradio_api/upload", files={"files": b"."})
        assert upload.status_code == 403 and "another site" in upload.text
        assert httpx.post(f"{app.url}/gradio_api/upload", files={"files": b"."}).status_code == 200


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, "Other machines can reach this app.*Training works only here"),
        ({"GRADIO_SERVER_NAME": "::", "DDPO_TRAINING": "on"}, "Other machines can reach this app.*Everybody may train"),
        ({"GRADIO_SHARE": "true", "DDPO_TRAINING": "off"}, "Other machines can reach this app.*switched off"),
        ({"GRADIO_SERVER_NAME": "localhost"}, "Only this machine is answered"),
        ({"SPACE_ID": "me/studio"}, "A Space: .*Nobody may train"),
    ],
)
def test_the_start_says_what_the_address_means(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    from ddpo.ui.space import reach

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert re.search(said, reach.sentence())


def test_the_public_app_says_so_when_it_starts(public: RunningApp) -> None:
    assert "Other machines can reach this app" in public.log
