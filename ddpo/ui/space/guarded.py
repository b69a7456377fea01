"""The page as Gradio serves it, with the front door before it and the fair queue behind it, however it is launched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware

from ddpo.ui.space import front_door
from ddpo.ui.space.listeners import Listeners
from ddpo.ui.space.turns import FairQueue

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from gradio.state_holder import SessionState


class GuardedBlocks(gr.Blocks):
    """Blocks that are served to strangers."""

    def queue(self, *args: Any, **kwargs: Any) -> GuardedBlocks:
        """As Gradio's, with a queue that is bounded and fair. Nothing that waits in it can be called past it."""
        kwargs["api_open"] = False
        super().queue(*args, **kwargs)
        made = self._queue
        self.listeners = Listeners()
        self._queue = FairQueue(
            self.listeners,
            live_updates=made.live_updates,
            concurrency_count=made.max_thread_count,
            update_intervals=made.update_intervals,
            max_size=None,  # of all kinds of work together; each has its own
            blocks=self,
            default_concurrency_limit=made.default_concurrency_limit,
        )
        return self

    def launch(self, *args: Any, **kwargs: Any) -> Any:
        """As Gradio's, with the front door outside of everything else that is given."""
        app_kwargs = dict(kwargs.get("app_kwargs") or {})
        answers_to = front_door.names(self, kwargs.get("server_name"))
        door = Middleware(front_door.FrontDoor, answers_to=answers_to, listeners=self.listeners)
        app_kwargs["middleware"] = [door, *app_kwargs.get("middleware", ())]
        return super().launch(*args, **{**kwargs, "app_kwargs": app_kwargs})

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Any] | dict[Any, Any], state: SessionState | None
    ) -> list[Any]:
        """As Gradio's, without what it leaves behind.

        A component that `gr.update` has changed is replaced by one of another id. The next plain value of it is kept
        under that id, which nobody asks for: 60 kB an epoch of a page that watches a run. The configuration of each
        component of a visit is kept as well, with all that it shows, for links of Gradio's own. This page has none.
        """
        answers = await super().postprocess_data(block_fn, predictions, state)
        if state is not None:
            state.config_values.clear()
            for stray in state.blocks_config.blocks.keys() - self.blocks.keys():
                del state.blocks_config.blocks[stray]
        return answers
