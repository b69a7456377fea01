"""The page in a frame of another site, as the Hub shows a Space.

The outer page gives the frame the height of what is in it, through iframe-resizer, whose other half Gradio brings. So
the window of the app is as high as its content, and the outer page is the one that scrolls.
"""

from __future__ import annotations

import json

# The style is not in style.css, as Gradio has the rules there apply below its own container only. On a phone a
# run keeps a part of the window's height free; a frame that is as high as its content would grow with it.
HEAD = """
<script>
  document.documentElement.classList.toggle('framed', window.self !== window.top);
</script>
<style>
  html.linked #results { visibility: hidden; }
  html:not(.framed) .only-framed { display: none; }
  html.framed #run, html.framed #evaluation { min-height: 0 !important; }
</style>
"""


def scroll_to(selector: str) -> str:
    """JavaScript that brings an element to the upper edge of what the visitor sees, whichever page has to scroll."""
    return f"""
((element) => window.parentIFrame
  ? window.parentIFrame.scrollToOffset(0, Math.max(0, element.getBoundingClientRect().top + window.scrollY - 12))
  : element.scrollIntoView({{behavior: 'smooth', block: 'start'}}))(document.querySelector({json.dumps(selector)}))
""".strip()
