"""Files that are no pictures, or that no program should open: made when they are asked for, each below 1 MB."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class HostilePicture:
    """A file, and words of what is said of it; None where it may be read."""

    words: str | None
    make: Callable[[], bytes]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes | None = None, *others: bytes, colour: int = 2) -> bytes:
    """A PNG of any size whose rows are `data` (8 bits, RGB), with other chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    rows = zlib.compress(bytes((3 * width + 1) * height) if data is None else data)
    body = chunk(b"IHDR", header) + b"".join(others) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def saved(kind: str, size: tuple[int, int] = (64, 64), mode: str = "RGB", **options: object) -> bytes:
    """A good picture in a format."""
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def torn(content: bytes, share: float = 0.6) -> bytes:
    """The beginning of a file."""
    return content[: int(len(content) * share)]


def _text_bomb() -> bytes:
    """30 MB of text, packed into 30 kB."""
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(30_000_000)))


def _dxt() -> bytes:
    """A DDS that says DXT1, whose only block is torn."""
    header = struct.pack("<7I", 124, 0x1007, 64, 64, 0, 0, 0) + bytes(44)
    return b"DDS " + header + struct.pack("<II4s5I", 32, 4, b"DXT1", 0, 0, 0, 0, 0) + bytes(20) + b"\1\2\3"


def _large(size: tuple[int, int]) -> bytes:
    """A real JPEG of one colour and many pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "navy").save(buffer, "JPEG", quality=20)
    return buffer.getvalue()


def _turned() -> bytes:
    buffer = io.BytesIO()
    picture = Image.effect_noise((40, 20), 50).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


PICTURES: dict[str, HostilePicture] = {
    "nothing": HostilePicture("empty", lambda: b""),
    "a text": HostilePicture("not a picture", lambda: b"no picture at all\n" * 10),
    "a web page": HostilePicture("not a picture", lambda: b"<html><script>alert(1)</script></html>"),
    "a program": HostilePicture("not a picture", lambda: b"\x7fELF" + bytes(400)),
    "a pickle": HostilePicture("not a picture", lambda: b"cos\nsystem\n(S'true'\ntR."),
    "half of a PNG": HostilePicture("damaged", lambda: torn(saved("PNG"))),
    "half of a JPEG": HostilePicture("damaged", lambda: torn(saved("JPEG"))),
    "half of a WebP": HostilePicture("damaged|not a picture", lambda: torn(saved("WEBP"))),
    "a GIF without pixels": HostilePicture("damaged|not a picture", lambda: b"GIF89a" + bytes(20)),
    "a BMP of 10^9 pixels a side": HostilePicture(
        "too|damaged|not a picture", lambda: saved("BMP")[:18] + struct.pack("<ii", 10**9, 10**9) + bytes(100)
    ),
    "a PNG that says 10^5 a side": HostilePicture("too many pixels|too large", lambda: png(10**5, 10**5, b"")),
    "a PNG that says 2^31 a side": HostilePicture("too|damaged|not a picture", lambda: png(2**31 - 1, 2**31 - 1, b"")),
    "a PNG of 8,000 a side": HostilePicture("too large", lambda: png(8000, 8000, b"")),
    "a JPEG of 8,000 a side": HostilePicture("too large", lambda: _large((8000, 8000))),
    "a PNG of no width": HostilePicture("damaged|not a picture", lambda: png(0, 10, b"")),
    "a PNG with rows of another size": HostilePicture("damaged", lambda: png(64, 64, b"\0" * 100)),
    "a PNG with 30 MB of text": HostilePicture("damaged", lambda: png(8, 8, None, _text_bomb())),
    "a PNG with a colour type that there is not": HostilePicture(
        "damaged|not a picture", lambda: png(8, 8, None, colour=5)
    ),
    "AVIF": HostilePicture("format AVIF", lambda: b"\0\0\0\x20ftypavif" + bytes(100)),
    "HEIC": HostilePicture("format HEIC", lambda: b"\0\0\0\x20ftypheic" + bytes(100)),
    "QOI": HostilePicture("format QOI", lambda: b"qoif" + struct.pack(">II", 10**5, 10**5) + b"\3\0" + bytes(50)),
    "DDS": HostilePicture("format DDS", lambda: b"DDS " + struct.pack("<I", 124) + b"\xff" * 200),
    "BLP": HostilePicture("format BLP", lambda: b"BLP2" + struct.pack("<I", 1) + b"\xff" * 200),
    "half of a DDS": HostilePicture("format DDS", lambda: torn(saved("DDS", (16, 16)), 0.5)),
    "a DDS of blocks that are not there": HostilePicture("format DDS", lambda: _dxt()),
    "a QOI without pixels": HostilePicture(
        "format QOI", lambda: b"qoif" + struct.pack(">II", 8, 8) + b"\3\0" + b"\xfe\1"
    ),
    "a BLP without its tables": HostilePicture(
        "format BLP", lambda: b"BLP1" + struct.pack("<IIIIII", 0, 8, 8, 8, 5, 0) + bytes(16)
    ),
    "TIFF": HostilePicture("format TIFF", lambda: saved("TIFF")),
    "Photoshop": HostilePicture("format Photoshop", lambda: b"8BPS\0\1" + bytes(100)),
    "PDF": HostilePicture("format PDF", lambda: b"%PDF-1.7\n%%EOF"),
    "SVG": HostilePicture("format SVG", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "EPS, which others would run": HostilePicture("not a picture", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\n"),
    "an icon": HostilePicture("format icon", lambda: saved("ICO", (32, 32))),
    "one pixel": HostilePicture(None, lambda: saved("PNG", (1, 1))),
    "a line of 60,000 pixels": HostilePicture(None, lambda: saved("PNG", (60_000, 1))),
    "grey": HostilePicture(None, lambda: saved("PNG", mode="L")),
    "16 bits of grey": HostilePicture(None, lambda: saved("PNG", mode="I;16")),
    "a palette": HostilePicture(None, lambda: saved("GIF", mode="P")),
    "two colours": HostilePicture(None, lambda: saved("PNG", mode="1")),
    "four inks": HostilePicture(None, lambda: saved("JPEG", mode="CMYK")),
    "turned by its camera": HostilePicture(None, _turned),
    "larger than it is scored": HostilePicture(None, lambda: _large((5000, 3000))),
}
