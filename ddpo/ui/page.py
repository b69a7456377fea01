"""The whole page: header, tabs and endpoints; and how it is served."""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from ddpo.comparison import warm_up
from ddpo.comparison.settings import ComparisonSettings, resolve
from ddpo.diffusion.catalogue import ASSETS
from ddpo.ui import address, score
from ddpo.ui.api import bad_calls, comparing, evaluating, training
from ddpo.ui.compare import tab as compare_page
from ddpo.ui.compare import tour
from ddpo.ui.evaluate import tab as evaluate_page
from ddpo.ui.shared import framed, uploads
from ddpo.ui.shared.events import QUICK
from ddpo.ui.shared.linked import Linked
from ddpo.ui.shared.theme import theme
from ddpo.ui.space import duplicate, permission, reach, sign_in, zero_gpu
from ddpo.ui.space.preview import Preview
from ddpo.ui.train import tab as train_page

TITLE = "DDPO Studio"
SENTENCE = "One diffusion model before and after reinforcement learning: same seeds, same noise, every picture scored."
_HERE = Path(__file__).parent
STYLES = [_HERE / name for name in ("style.css", "access.css", "explore.css", "train/train.css")]
SCRIPTS = [_HERE / name for name in ("page.js", "access.js", "explore.js", "train/fields.js", "train/runs.js")]
ICON = ASSETS / "favicon.png"
MAX_UPLOAD = f"{uploads.MAX_BYTES // 10**6}mb"
# Gradio remembers every page and every program that ever came, up to this many, with 15 kB each (see GuardedBlocks).
# Who comes back later has lost what the page remembers (which run was chosen, the pictures behind the slider).
MOST_VISITS = 128
CACHE_LIFE = (3600, 24 * 3600)  # seconds between two sweeps, and the age at which a file is swept away

HEADER = f"""
<header class="masthead">
  <button type="button" class="skip">To the main button</button>
  <h1>{TITLE}</h1>
  <button type="button" class="copy-link">Copy link</button>
  <p class="lead">{SENTENCE}</p>
  <p class="what">DDPO (<a href="https://arxiv.org/abs/2305.13301" target="_blank" rel="noopener">Black et al. 2023</a>)
  treats denoising as a chain of decisions and rewards the finished picture, so the model learns to draw what scores
  higher.</p>
  {tour.html()}
  <p id="said" class="said" role="status"></p>
</header>
"""


def build_demo() -> gr.Blocks:
    """The page, not yet served. Neither torch nor diffusers is imported by this, but on ZeroGPU."""
    uploads.own_folder()
    demo: gr.Blocks
    with bad_calls.Page(title=TITLE, analytics_enabled=False, delete_cache=CACHE_LIFE, fill_width=True) as demo:
        gr.HTML(HEADER, js_on_load="studio.copying(element); access.skipping(element)")
        duplicate.build(demo)
        note = gr.HTML(visible=False, elem_id="address-note")
        with gr.Tabs() as tabs:
            with gr.Tab("Compare", id="compare") as compare_tab:
                comparison, outcome = compare_page.build()
            with gr.Tab("Evaluate", id="evaluate") as evaluate_tab:
                linked = [evaluate_page.build(evaluate_tab)]
            train_tab = gr.Tab("Train", id="train") if permission.mode() != "off" else None
            with gr.Tab("Score a picture", id="score") as score_tab:
                score.build()
        comparing.build()
        evaluating.build()
        if train_tab is not None:
            with train_tab:
                others = [compare_tab, evaluate_tab, score_tab]
                linked.append(Linked(*train_page.build(tabs, train_tab, others, comparison)))
            training.build()
        demo.load(compare_page.pair_choices, None, comparison["pair"], **QUICK)
        demo.load(_on_look, None, None, **QUICK)
        address.connect(demo, tabs, comparison, outcome, note, *linked)
    demo.queue(default_concurrency_limit=4)
    first = resolve(ComparisonSettings())
    zero_gpu.preload(first.base, first.tuned, scorer=first.scorer.name)
    return demo


def _on_look() -> None:
    """Somebody looks at the page, and may compare soon."""
    warm_up.begin()


def serve(demo: gr.Blocks) -> None:
    """Serve the page until it is stopped."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("ddpo").setLevel(logging.INFO)
    print(reach.sentence(), flush=True)
    scripts = "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in SCRIPTS)
    demo.launch(
        theme=theme(),
        css_paths=STYLES,
        head=framed.HEAD + scripts,
        favicon_path=str(ICON) if ICON.exists() else None,
        show_error=True,
        max_file_size=MAX_UPLOAD,
        state_session_capacity=MOST_VISITS,
        footer_links=["api", "settings"],
        run_history=False,
        mcp_server=_offers_tools(),
        app_kwargs={
            "exception_handlers": {**bad_calls.exception_handlers(), **sign_in.exception_handlers()},
            "middleware": [Middleware(Preview, blocks=demo, sentence=SENTENCE)],
        },
    )


def main() -> None:
    """The console script: make the page and serve it."""
    serve(build_demo())


def _offers_tools() -> bool:
    """Whether the endpoints are tools for language models too: where `mcp` is installed, unless told otherwise."""
    wanted = os.environ.get("GRADIO_MCP_SERVER", "true").lower() == "true"
    return wanted and importlib.util.find_spec("mcp") is not None
