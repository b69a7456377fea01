"""A page of another site around the app, as the Hub's page of a Space is: a sandboxed frame, and the half of
iframe-resizer that belongs outside, of which Gradio brings the other.

The outer page is at `localhost` and the app at 127.0.0.1, which are two sites to a browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.helpers.answering import answering

SANDBOX = "allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-same-origin"
PAGE = """<!doctype html><title>Outer page</title>
<body style="margin: 0">
<header style="height: 56px; background: #ddd">The outer page</header>
<script>
const app = 'APP', resized = !new URLSearchParams(location.search).has('fixed');
for (let n = 0; n < FRAMES; n++) {
  const frame = document.createElement('iframe');
  frame.id = `space${n}`;
  frame.sandbox = 'SANDBOX allow-scripts';
  frame.style = `display: block; width: 100%; border: 0; height: ${resized ? '300px' : '100vh'}`;
  frame.src = app + '/' + location.search;
  document.body.append(frame);
  window.sizes = [];
  const info = () => frame.contentWindow.postMessage('[iFrameSizer]pageInfo:' + JSON.stringify({
    iframeHeight: frame.offsetHeight, iframeWidth: frame.offsetWidth, clientHeight: innerHeight,
    clientWidth: innerWidth, offsetTop: frame.offsetTop, offsetLeft: 0, scrollTop: scrollY, scrollLeft: 0,
  }), app);
  // Sent as iframe-resizer does: when the half inside is ready, and once more on load, as a half that is asked
  // while its document is loading never answers.
  const begin = () => resized && frame.contentWindow.postMessage(
    `[iFrameSizer]${frame.id}:0:false:false:32:true:true:0:bodyOffset:::0:false:child`, app);
  frame.addEventListener('load', begin);
  addEventListener('message', ({source, data}) => {
    if (source === frame.contentWindow && data?.queryString !== undefined)  // as the Hub's page takes a new address
      history.replaceState(null, '', `?${data.queryString}`);
    if (source !== frame.contentWindow || !resized) return;
    if (data === '[iFrameResizerChild]Ready') begin();
    if (!String(data).startsWith(`[iFrameSizer]${frame.id}:`)) return;
    const [, first, , kind] = data.split(':');
    if (kind === 'scrollToOffset') scrollTo(0, frame.offsetTop + Number(first));
    else if (kind === 'pageInfo') for (const change of ['scroll', 'resize']) addEventListener(change, info), info();
    else if (Number(first) > 0) sizes.push(Number(first)), frame.style.height = `${first}px`;
  });
}
</script>
"""


@contextmanager
def framed(app: str, frames: int = 1, port: int = 0) -> Iterator[str]:
    """Serve the outer page for the time of a with block; hands its own parameters on, and `fixed` keeps its height.

    Args:
        app: address of the app.
        frames: how many times it is shown.
        port: of the outer page; 0: any that is free.
    """
    page = PAGE.replace("APP", app).replace("FRAMES", str(frames)).replace("SANDBOX", SANDBOX).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with answering(Handler, port) as port:
        yield f"http://localhost:{port}/"
