"""From bytes to a frame: any raster picture becomes what a viewer shows, as uint8 (H, W, 3) sRGB.

What a viewer shows, precisely: EXIF orientation is applied, transparency lies on white paper, an
animation shows its first frame, an embedded ICC profile is honoured (and ignored where it is broken or
belongs to another colour space), CMYK is printed on screen, and 16 bits become 8 by division by 257.
Pillow hands colour of 16 bits over as its high bytes, which differ from that by one level at most.

Files are hostile until decoded. Only the formats in ``FORMATS`` are tried, and HEIC where its extra is
there, so nothing that runs a program (EPS) is in reach; the size is read from the header before a pixel is
allocated; and a picture that ends too early is refused, for half a grey picture would get a score that looks
like any other.
"""

from __future__ import annotations

import io
import os
import stat
from contextlib import ExitStack, suppress
from functools import lru_cache
from importlib import import_module
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from crossiqa_edge.errors import FormatError, InputError, LimitError
from crossiqa_edge.imaging import heif
from crossiqa_edge.imaging.quiet import quiet_pillow
from crossiqa_edge.imaging.sampling import Frame, check_frame

Source = str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[np.generic]

# Left to itself, Pillow loads all its forty plugins when it meets a file it does not know at once.
for _plugin in ("Jpeg", "Png", "WebP", "Tiff", "Bmp", "Gif", "Ppm", "Jpeg2K", "Avif"):
    with suppress(ImportError):  # AVIF is younger than the oldest Pillow that will do
        import_module(f"PIL.{_plugin}ImagePlugin")
_WANTED = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
# Lets the 102 and 108 megapixel pictures of today's largest cameras and phones pass, at 360 MB of RGB.
MAX_PIXELS = 120_000_000
MAX_FILE_BYTES = 512 << 20

_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 0x0102  # tags of EXIF and TIFF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ICC_MODES = ("RGB", "CMYK", "L")


def decode(source: Source, *, max_pixels: int = MAX_PIXELS) -> Frame:
    """The picture in ``source`` as a viewer shows it: uint8 (H, W, 3), RGB, writable where it was decoded.

    Args:
        source: path of a file; the bytes of one, known by their content; a PIL image, which is not
            changed; or an array, uint8 or uint16 (0..65535), (H, W), (H, W, 1), (H, W, 3) RGB or
            (H, W, 4) RGBA. A frame comes back as it is, without a copy.
        max_pixels: pictures with more pixels in their header are refused. Arrays are in memory already
            and are not held to it.

    Raises:
        InputError: with the name of the source, what is wrong, and what to do; of its kinds, FormatError
            where it is no picture and LimitError where it is too large.
    """
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source)
        if isinstance(source, str | os.PathLike | bytes | Image.Image):
            return _from_picture(source, max_pixels)
        raise InputError("not a picture; give a path, bytes, a PIL image or a NumPy array")
    except InputError as error:
        raise type(error)(f"{name_of(source)}: {error}") from error


def decode_judgeable(source: Source) -> Frame:
    """As ``decode``, and large enough to be judged.

    Raises:
        InputError: as ``decode``, or with the name of the source where it is too small.
    """
    frame = decode(source)
    try:
        check_frame(frame)
    except InputError as error:
        raise InputError(f"{name_of(source)}: {error}") from error
    return frame


def name_of(source: object) -> str:
    """How messages name ``source``: its path on one line, or ``<bytes>``, ``<image>``, ``<array>``."""
    if isinstance(source, Image.Image):
        source = getattr(source, "filename", None) or "<image>"
    if isinstance(source, bytes):
        return "<bytes>"
    if not isinstance(source, str | os.PathLike):
        return "<array>" if isinstance(source, np.ndarray) else f"<{type(source).__name__}>"
    return _printable(os.fsdecode(source))


def _printable(text: str) -> str:
    """``text`` with line breaks, control codes and undecodable bytes escaped; ``''`` if there is none."""
    if text.isprintable():
        return text or "''"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _from_picture(source: str | os.PathLike[str] | bytes | Image.Image, max_pixels: int) -> Frame:
    try:
        with ExitStack() as stack:
            stack.enter_context(quiet_pillow(max_pixels))
            image = source if isinstance(source, Image.Image) else _opened(source, stack)
            return _as_shown(image, max_pixels)
    except InputError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, in its own time
        raise _too_many("more", max_pixels) from error
    except MemoryError as error:
        raise InputError("too large for the free memory; close other programs or shrink it") from error
    except UnidentifiedImageError as error:
        raise FormatError(
            f"not a picture, or damaged from its start; known are {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # a hostile file can make a decoder raise nearly anything
        reason = _printable(str(error).strip() or type(error).__name__)[:100]
        raise InputError(f"damaged or truncated ({reason}); copy or export it again") from error


def _opened(source: str | os.PathLike[str] | bytes, stack: ExitStack) -> Image.Image:
    """The header of a picture; its pixels are read when they are asked for, while ``stack`` is open."""
    stream = stack.enter_context(io.BytesIO(source) if isinstance(source, bytes) else _file(source))
    length = stream.seek(0, os.SEEK_END)
    if length == 0:
        raise InputError("empty, 0 bytes; copy or export it again")
    if length > MAX_FILE_BYTES:
        raise LimitError(
            f"{length >> 20} MiB, more than the {MAX_FILE_BYTES >> 20} of a picture; compress it"
        )
    stream.seek(0)
    return heif.opened(stream) or Image.open(stream, formats=FORMATS)


def _file(path: str | os.PathLike[str]) -> IO[bytes]:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib cannot hold a name with a null byte
        if stat.S_ISDIR(mode):
            raise InputError("a folder, not a picture; give the pictures inside it")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its other end
            raise InputError("a pipe or device, not a file; copy the picture to a file")
        return open(path, "rb")  # noqa: PTH123 - closed by the caller's stack
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read ({reason}); check the path and its permissions") from error


def _as_shown(image: Image.Image, max_pixels: int) -> Frame:
    width, height = image.size
    if width * height > max_pixels:
        raise _too_many(f"{width} x {height} are more", max_pixels)
    if image.format == "TIFF":
        _check_strips(image)
        _check_depth(image)
    image.load()
    profile = image.info.get("icc_profile")
    image = _opaque(_eight_bits(_upright(image)))
    if isinstance(profile, bytes):
        image = _in_srgb(image, profile)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _check_strips(image: Image.Image) -> None:
    """Refuse a TIFF file whose header promises more rows than its strips hold; Pillow paints them black."""
    strips = [strip[1] for strip in getattr(image, "tile", [])]
    held = sum((right - left) * (bottom - top) for left, top, right, bottom in strips)
    if strips and held < image.width * image.height:
        raise InputError("truncated (strips are missing); copy or export it again")


def _check_depth(image: Image.Image) -> None:
    """Refuse a TIFF file whose integers Pillow hands over as they are, where white is not 65535."""
    (depth, *_) = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
    if image.mode == "I" or (image.mode.startswith("I;") and depth != 16):
        what = f"grey pixels of {depth} bits, or with a sign, have no agreed white"
        raise InputError(f"{what}; save it with 8 or 16 bits")


def _too_many(what: str, max_pixels: int) -> LimitError:
    limit = f"{max_pixels / 1e6:.4g} megapixels"
    return LimitError(f"{what} than the limit of {limit}; raise --max-pixels if you trust the file")


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # the pixels are sound, whatever the EXIF block holds
        return image
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image) -> Image.Image:
    """``image`` with 8 bits a channel; Pillow itself would clip 16-bit grey to white.

    Of 16-bit colour Pillow gives the high bytes, but the colour that is not there as it stands in the file.
    """
    if image.mode in ("F", "LAB"):
        raise InputError(f"pixels of kind {image.mode} have no agreed white; save it as RGB of 8 or 16 bits")
    clear = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 0xFF:
        image = image.copy()  # the caller's stays as it is
        image.info["transparency"] = tuple(level >> 8 for level in clear)
    if not image.mode.startswith("I"):
        return image
    wide = np.asarray(image)
    if wide.min() < 0 or wide.max() > 0xFFFF:
        raise InputError("32-bit pixels beyond 0..65535; save it with 8 or 16 bits")
    grey = Image.fromarray(_narrowed(wide))
    if isinstance(clear, int):  # the grey of PNG that is not there
        grey.putalpha(Image.fromarray(np.where(wide == clear, 0, 255).astype(np.uint8)))
    return grey


def _narrowed(wide: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """0..65535 to 0..255: the nearest of value / 257, so that both ends are kept."""
    narrow: npt.NDArray[np.uint8] = ((wide.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return narrow


def _opaque(image: Image.Image) -> Image.Image:
    """``image`` on white paper, and as RGB, CMYK or L: the modes that ICC profiles speak of."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
        return paper
    return image if image.mode in _ICC_MODES else image.convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    transform = _transform_from(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=8)  # the pictures of one folder mostly share one camera's profile
def _transform_from(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from ``profile`` to sRGB; None where it is sRGB already, broken, or of another space."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in (source.profile.profile_description or ""):
            return None
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(source, target, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):
        return None


def _from_array(array: npt.NDArray[np.generic]) -> Frame:
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"an array of {array.dtype}, whose range is unknown; scale it to 0..255 and give uint8 (H, W, 3)"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        hint = "transpose(1, 2, 0)" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else "reshape"
        raise InputError(f"an array of shape {array.shape}; {hint} it to (H, W), (H, W, 3) or (H, W, 4)")
    narrow = _narrowed(array) if array.dtype == np.uint16 else array.astype(np.uint8, copy=False)
    if narrow.shape[2] == 4:
        return np.array(_opaque(Image.fromarray(narrow)))
    return np.ascontiguousarray(np.broadcast_to(narrow, (*narrow.shape[:2], 3)))
