"""What other sites show of a link to the page."""

from __future__ import annotations

import io

import httpx
from PIL import Image

from ddpo.ui.page import SENTENCE, TITLE
from tests.helpers.serving import RunningApp


def test_a_link_has_a_title_a_sentence_and_a_picture_of_its_own(app: RunningApp) -> None:
    page = httpx.get(f"{app.url}/?tab=train&seed=3").text
    assert page.count('property="og:title"') == 1 and f'property="og:title" content="{TITLE}"' in page
    assert f'property="og:description" content="{SENTENCE}"' in page and f'content="{app.url}/"' in page
    assert "Gradio" not in page.partition("<script")[0]
    address = f"{app.url}/preview.png"
    assert f'property="og:image" content="{address}"' in page
    picture = Image.open(io.BytesIO(httpx.get(address).content))
    assert picture.size == (1200, 630) and httpx.head(app.url).status_code == 200


def test_the_page_is_compressed_for_who_can_take_it(app: RunningApp) -> None:
    plain = httpx.get(app.url, headers={"Accept-Encoding": "identity"})
    packed = httpx.get(app.url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text and int(packed.headers["content-length"]) < len(plain.content) / 3


def test_the_tags_name_the_address_that_a_proxy_serves(app: RunningApp) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": 'studio.example"><script>'}
    page = httpx.get(app.url, headers=forwarded).text
    assert 'content="https://studio.example' in page and '"><script>"' not in page.partition("<script>window")[0]


def test_the_icon_is_the_apps_own(app: RunningApp) -> None:
    icon = Image.open(io.BytesIO(httpx.get(f"{app.url}/favicon.ico").content))
    assert icon.size == (192, 192)
    assert 'rel="icon"' in httpx.get(app.url).text
