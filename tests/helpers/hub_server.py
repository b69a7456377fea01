"""A small stand-in for the Hugging Face Hub, which speaks to huggingface_hub's own client.

It keeps repositories of models in memory, with branches and commits, and serves them under the Hub's paths and headers:
info, tree, files (large ones through a redirect to another origin, as the Hub does), creation, and commits with regular
and large files. Spaces are kept under "spaces/<id>". It also takes Jobs, which it does not run. It can be told to
misbehave: see the fields of `HubServer`. Xet, which has a protocol of its own, is neither advertised nor spoken, so
clients need HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.answering import answering
from tests.helpers.hub_buckets import BucketAnswers
from tests.helpers.hub_models import ModelAnswers
from tests.helpers.hub_state import HubServer as HubServer
from tests.helpers.hub_state import front_matter as front_matter


@contextmanager
def serving(hub: HubServer | None = None) -> Iterator[HubServer]:
    """Serve on a free port for the time of a with block."""
    hub = hub or HubServer()
    with answering(type("Handler", (_Handler,), {"hub": hub})) as hub.port:
        try:
            yield hub
        finally:
            hub.let_go.set()


def use(hub: HubServer | str, cache: Path, patch: pytest.MonkeyPatch, offline: bool = False) -> None:
    """Have huggingface_hub in this process talk to a hub, with a cache of its own and nobody logged in.

    It reads its environment when it is imported, which in the test suite was long ago and offline, so what it read is
    replaced. That is quicker than a process of its own, with torch in it, for every test; that the variables
    themselves have this effect, a test in a process of its own shows.
    """
    from huggingface_hub import _tree_cache, constants
    from huggingface_hub.utils._http import close_session

    url = hub if isinstance(hub, str) else hub.url
    values = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_DISABLE_XET": True,
        "HF_TOKEN_PATH": str(cache / "no-token"),
    }
    for name, value in values.items():
        patch.setattr(constants, name, value)
    patch.setattr(_tree_cache, "_IN_MEMORY_TREE_CACHE", {})
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    close_session()


class _Handler(BucketAnswers, ModelAnswers):
    ROUTES = (*BucketAnswers.ROUTES, *ModelAnswers.ROUTES)
