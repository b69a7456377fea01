"""Uploaded files, which may be anything, as pictures; and the folder that they lie in while the app runs."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

from PIL import Image, ImageOps, UnidentifiedImageError

from ddpo.common import allocator, locks, memory
from ddpo.errors import UserError

LARGEST_SIDE = 2048  # pixels; larger pictures are reduced to this before they are scored
MAX_PIXELS = 50_000_000  # which take 200 MB while a PNG is read; JPEGs are reduced on the way
LARGE = 4_000_000  # pixels of a picture after which memory is handed back
MAX_BYTES = 10_000_000  # of an upload, or of what an address leads to
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # whatever else Pillow reads is not worth its risks here
FETCH_SECONDS = 30.0
MOST_HOPS = 5
FOLDER, LOCK, SETTLE = "ddpo-uploads-", ".lock", 60.0  # a folder of this process, and seconds until it must be locked
CHOOSE = "choose a PNG, JPEG or WebP file"
_OTHER_FORMATS = (  # how files begin that people take for pictures, as they are, and that are not read here
    (0, b"qoif", "QOI"), (0, b"DDS ", "DDS"), (0, b"BLP1", "BLP"), (0, b"BLP2", "BLP"), (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"), (4, b"ftypmif1", "HEIF"), (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"),
    (0, b"8BPS", "Photoshop"), (0, b"\0\0\1\0", "icon"), (0, b"%PDF", "PDF"), (0, b"<svg", "SVG"),
)  # fmt: skip


def open_upload(path: str | None) -> Image.Image:
    """The uploaded picture in RGB, turned upright, at most LARGEST_SIDE a side.

    Raises:
        UserError: nothing was uploaded, or it is gone, no picture, damaged, or too large to open.
    """
    if not path:
        raise UserError(f"No picture was uploaded; {CHOOSE}.")
    try:
        with Path(path).open("rb") as file:
            return read_picture(file)
    except FileNotFoundError as error:
        raise UserError("The uploaded picture is gone, as uploads are kept for a day; upload it again.") from error
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"The uploaded file cannot be read; {CHOOSE}.") from error


def read_picture(file: IO[bytes]) -> Image.Image:
    """The picture in a file that can be read again from its beginning; as `open_upload` gives it.

    Raises:
        UserError: it is empty, no picture, damaged, or too large to open.
    """
    if not file.read(1):
        raise UserError(f"The uploaded file is empty; {CHOOSE}.")
    file.seek(0)
    with _sentences(file), Image.open(file, formats=FORMATS) as picture:
        return _reduced(picture)


@contextmanager
def _sentences(file: IO[bytes]) -> Iterator[None]:
    """What Pillow trips over in a file."""
    try:
        yield
    except (UserError, FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f"The picture has too many pixels to be scored; {_REDUCE}.") from error
    except UnidentifiedImageError as error:
        raise UserError(_not_read(file)) from error
    except Exception as error:  # each of its readers has errors of its own
        if memory.is_short(error):
            raise
        raise UserError("The uploaded picture is damaged and cannot be opened; choose another file.") from error


_REDUCE = f"{MAX_PIXELS // 1_000_000} million are the most, so reduce it first"


def _reduced(picture: Image.Image) -> Image.Image:
    """The pixels, of which no more are made than are needed: a JPEG is reduced while it is read."""
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise UserError(f"A picture of {picture.width} x {picture.height} pixels is too large to be scored; {_REDUCE}.")
    picture.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
    try:
        # Pillow reduces palettes without mixing their colours.
        known = picture.mode in ("RGB", "RGBA", "L", "LA", "CMYK", "YCbCr")
        smooth = picture if known else _expanded(picture)
        smooth.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        return _on_white(ImageOps.exif_transpose(smooth))
    finally:
        if pixels > LARGE:
            picture.close()
            allocator.give_back()


def _expanded(picture: Image.Image) -> Image.Image:
    """In a mode of which levels can be mixed: palettes as colours, and 16 bits as the upper 8 of them."""
    if picture.mode.startswith("I"):
        return picture.point(lambda level: level / 256).convert("L")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    """In RGB, with what is transparent as pages show it."""
    if picture.mode not in ("RGBA", "LA"):
        return picture.convert("RGB")
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture.convert("RGB"), mask=picture.getchannel("A"))
    return flat


def _not_read(file: IO[bytes]) -> str:
    file.seek(0)
    begin = file.read(32)
    for offset, mark, name in _OTHER_FORMATS:
        if begin[offset:].startswith(mark):
            return f"The uploaded file is in the format {name}, which is not read here; {CHOOSE}."
    return f"The uploaded file is not a picture; {CHOOSE}."


async def fetch(address: str, folder: str) -> str:
    """Fetch what a public http(s) address leads to, up to MAX_BYTES, piece by piece. Returns the path of the file.

    Args:
        address: of the file; addresses of this machine and of private networks are refused, after redirects too.
        folder: where a folder for it is made.

    Raises:
        UserError: it cannot be had, or is larger.
    """
    path = Path(folder) / secrets.token_hex(16) / "picture"
    path.parent.mkdir(parents=True)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            await _fetch(address, path)
    except UserError:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise
    except Exception as error:  # a name that nobody knows, a refusal, a private address, silence
        shutil.rmtree(path.parent, ignore_errors=True)
        raise UserError("The address of the picture leads nowhere; give a public http(s) address.") from error
    return str(path)


async def _fetch(address: str, path: Path) -> None:
    import httpx
    import safehttpx

    for _ in range(MOST_HOPS):
        # Connecting to the very number that was checked, so that a name cannot mean another one a moment later.
        number = await safehttpx.async_validate_url(httpx.URL(address).host)
        transport = safehttpx.AsyncSecureTransport(number)
        async with httpx.AsyncClient(transport=transport) as client:
            asked = client.stream("GET", address, headers={"Accept-Encoding": "identity"}, follow_redirects=False)
            async with asked as response:
                if response.has_redirect_location:
                    address = urljoin(address, response.headers["Location"])
                    continue
                if response.status_code != 200:
                    raise UserError(f"The address of the picture answers with HTTP {response.status_code}.")
                return await _keep(response, path)
    raise UserError(f"The address of the picture leads on more than {MOST_HOPS} times; give the last one.")


async def _keep(response: object, path: Path) -> None:
    """Write an answer down as it comes; unpacking it could make any size of it."""
    size = 0
    with path.open("wb") as file:
        async for piece in response.aiter_raw():  # type: ignore[attr-defined]
            size += len(piece)
            if size > MAX_BYTES:
                raise UserError(f"The picture at that address is larger than {MAX_BYTES // 10**6} MB; give another.")
            file.write(piece)


@functools.cache
def own_folder() -> Path:
    """Have Gradio keep uploads in a folder of this process, which goes with it; what a killed one left goes now."""
    base = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    for other in base.glob(f"{FOLDER}*"):
        if locks.holder(other / LOCK) is None and (_was_held(other / LOCK) or _age(other) > SETTLE):
            shutil.rmtree(other, ignore_errors=True)
    folder = base / f"{FOLDER}{secrets.token_hex(8)}"
    locks.acquire(folder / LOCK, {"pid": os.getpid()})
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    if "gradio.mcp" in sys.modules:  # it has read the variable already, and keeps pictures of language models there
        vars(sys.modules["gradio.mcp"])["DEFAULT_TEMP_DIR"] = str(folder)
    begun_by = os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == begun_by else None)
    return folder


def _was_held(lock: Path) -> bool:
    """Whether somebody has had a lock: its facts are written once it is held, so one without may be just taken."""
    try:
        return lock.stat().st_size > 0
    except OSError:
        return False


def _age(folder: Path) -> float:
    try:
        return abs(time.time() - folder.stat().st_mtime)
    except OSError:
        return 0.0
