"""Gradio's button to sign in with, which works in a frame of another site too.

Gradio writes a .pyi next to any file that defines components, from what stands above the first of them; so this file
holds nothing else.
"""

from __future__ import annotations

import json

import gradio as gr

SIGN_IN = "Sign in with Hugging Face"
# Whoever signs in or out comes back to this tab. A frame cannot keep a sign-in, so there a window of its own opens.
GO = """
(label) => {
  const target = new URLSearchParams(window.location.search);
  target.set('tab', 'train');
  const way = (label === SIGN_IN ? '/login/huggingface' : '/logout')
    + '?' + new URLSearchParams({_target_url: `/?${target}`});
  if (window.self === window.top || !window.open(way, '_blank')) window.location.assign(way);
}
""".replace("SIGN_IN", json.dumps(SIGN_IN))


class SignInButton(gr.LoginButton):
    """As Gradio has it, but for where it leads.

    Gradio goes on within the frame, where browsers that block third-party cookies forget that somebody is about to
    sign in, and drops all parameters of the address but the first.
    """

    def get_block_name(self) -> str:
        """What shows it on the page."""
        return "button"

    def activate(self) -> None:
        """Connect it."""
        self.click(None, [self], None, js=GO)
        self.attach_load_event(self._check_login_status, None)
