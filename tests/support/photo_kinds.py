"""Kinds of photos that decoders read differently: one table for all tests."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
HEIGHT, WIDTH = 48, 64


class Kind(NamedTuple):
    """A photo file, and its pixels where its format is lossless."""

    name: str
    data: bytes
    pixels: np.ndarray | None = None  # upright RGB on white, or grey


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(channels: int, seed: int = 0) -> np.ndarray:
    """Blocks of four pixels, so that lossy formats keep most of it."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (HEIGHT // 4, WIDTH // 4, channels))
    return small.astype(np.uint8).repeat(4, 0).repeat(4, 1)


def png(pixels: np.ndarray, colour: int, *chunks: tuple) -> bytes:
    """A PNG with 8 or 16 bits a channel, as no library here writes it."""
    height, width = pixels.shape[:2]
    depth = 8 * pixels.itemsize
    header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder('>')).reshape(height, -1)
    data = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    found = b'\x89PNG\r\n\x1a\n'
    for name, content in (
        (b'IHDR', header),
        *chunks,
        (b'IDAT', data),
        (b'IEND', b''),
    ):
        sums = struct.pack('>I', zlib.crc32(name + content))
        found += struct.pack('>I', len(content)) + name + content + sums
    return found


def tiff(
    data: bytes,
    bits: tuple[int, ...],
    photometric: int,
    order: str = '<',
    **tags: int,
) -> bytes:
    """An uncompressed TIFF of one strip."""
    fields = {
        256: WIDTH, 257: HEIGHT, 258: bits, 259: 1, 262: photometric,
        273: 8, 277: len(bits), 278: HEIGHT, 279: len(data),
    }  # fmt: skip
    fields |= {int(name.removeprefix('tag')): n for name, n in tags.items()}
    start = 8 + len(data) + len(data) % 2
    extra, entries = b'', b''
    after = start + 2 + 12 * len(fields) + 4
    for tag, value in sorted(fields.items()):
        if isinstance(value, tuple) and len(value) > 2:
            where = struct.pack(order + 'I', after + len(extra))
            extra += struct.pack(f'{order}{len(value)}H', *value)
            entries += struct.pack(order + 'HHI', tag, 3, len(value)) + where
        elif isinstance(value, tuple):
            content = struct.pack(f'{order}{len(value)}H', *value)
            entries += struct.pack(order + 'HHI', tag, 3, len(value))
            entries += content.ljust(4, b'\0')
        else:
            entries += struct.pack(order + 'HHII', tag, 4, 1, value)
    mark = b'II*\0' if order == '<' else b'MM\0*'
    return (
        mark + struct.pack(order + 'I', start) + data + b'\0' * (len(data) % 2)
        + struct.pack(order + 'H', len(fields)) + entries + bytes(4) + extra
    )  # fmt: skip


def bmp(
    data: bytes, bits: int, compression: int = 0, palette: bytes = b''
) -> bytes:
    offset = 54 + len(palette)
    return (
        b'BM' + struct.pack('<IHHI', offset + len(data), 0, 0, offset)
        + struct.pack('<IiiHHIIiiII', 40, WIDTH, HEIGHT, 1, bits, compression,
                      len(data), 2835, 2835, len(palette) // 4, 0)
        + palette + data
    )  # fmt: skip


def run_length(index: np.ndarray) -> bytes:
    """BMP's compression of 8-bit rows, the last row first."""
    rows = b''
    for row in index[::-1]:
        for start in range(0, WIDTH, 4):
            rows += bytes((4, int(row[start])))
        rows += b'\0\0'
    return rows + b'\0\1'


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255.0
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def with_xmp(jpeg: bytes, orientation: int) -> bytes:
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="%d"/>'
    xmp %= orientation
    return (
        jpeg[:2]
        + b'\xff\xe1'
        + struct.pack('>H', len(xmp) + 2)
        + xmp
        + (jpeg[2:])
    )


def photo_kinds() -> Iterator[Kind]:
    """All kinds; the bytes are the same on each call."""
    yield from jpegs()
    yield from pngs()
    yield from tiffs()
    yield from others()


def jpegs() -> Iterator[Kind]:
    rgb = Image.fromarray(noise(3))
    grey = rgb.convert('L')
    large = rgb.resize((640, 480))
    turned = exif(6)
    yield Kind('plain.jpg', encoded(rgb, 'JPEG', quality=95))
    yield Kind('large.jpg', encoded(large, 'JPEG'))
    yield Kind('progressive.jpg', encoded(large, 'JPEG', progressive=True))
    yield Kind('full.jpg', encoded(rgb, 'JPEG', subsampling=0))
    yield Kind('rgb_stored.jpg', encoded(rgb, 'JPEG', keep_rgb=True))
    yield Kind('grey.jpg', encoded(grey, 'JPEG'))
    yield Kind('cmyk.jpg', encoded(rgb.convert('CMYK'), 'JPEG'))
    yield Kind('turned.jpg', encoded(large, 'JPEG', exif=turned))
    yield Kind('turned_cmyk.jpg',
               encoded(rgb.convert('CMYK'), 'JPEG', exif=turned))  # fmt: skip
    yield Kind('turned_by_xmp.jpg', with_xmp(encoded(rgb, 'JPEG'), 8))
    yield Kind(
        'two.mpo', encoded(rgb, 'MPO', save_all=True, append_images=[grey])
    )


def pngs() -> Iterator[Kind]:
    rgba = noise(4)
    rgb, grey = rgba[..., :3], rgba[..., 0]
    deep = noise(3, 1).astype(np.uint16) << 8 | noise(3, 2)
    image = Image.fromarray(rgb)
    palette = image.quantize(16)
    colours = np.asarray(palette.convert('RGB'))
    hole = np.where(np.asarray(palette)[..., None] == 3, 255, colours)
    frames = {'save_all': True, 'append_images': [image.rotate(180)]}
    yield Kind('plain.png', encoded(image, 'PNG'), rgb)
    yield Kind('grey.png', encoded(Image.fromarray(grey), 'PNG'), grey)
    bits = Image.fromarray(grey).convert('1')
    yield Kind('bits.png', encoded(bits, 'PNG'), np.asarray(bits) * 255)
    yield Kind('palette.png', encoded(palette, 'PNG'), colours)
    yield Kind('hole.png', encoded(palette, 'PNG', transparency=3), hole)
    yield Kind('glass.png', encoded(Image.fromarray(rgba), 'PNG'),
               on_white(rgba))  # fmt: skip
    yield Kind('opaque.png', encoded(image.convert('RGBA'), 'PNG'), rgb)
    grey_glass = np.stack([grey] * 3 + [rgba[..., 1]], -1)
    yield Kind('grey_glass.png', png(rgba[..., :2], 4), on_white(grey_glass))
    key = int(grey[0, 0])
    yield Kind(
        'grey_hole.png',
        png(grey[..., None], 0, (b'tRNS', struct.pack('>H', key))),
        np.where(grey == key, 255, grey),
    )
    yield Kind('deep.png', png(deep[..., :1], 0), deep[..., 0] >> 8)
    key = int(deep[0, 0, 0])
    yield Kind(
        'deep_hole.png',
        png(deep[..., :1], 0, (b'tRNS', struct.pack('>H', key))),
        np.where(deep[..., 0] == key, 255, deep[..., 0] >> 8),
    )
    yield Kind('deep_colour.png', png(deep, 2), deep >> 8)
    keys = deep[0, 0].tolist()
    yield Kind(
        'deep_colour_hole.png',
        png(deep, 2, (b'tRNS', struct.pack('>3H', *keys))),
        np.where((deep == deep[0, 0]).all(-1, keepdims=True), 255, deep >> 8),
    )
    clear = np.concatenate([deep, deep[::-1, :, :1]], -1)
    yield Kind('deep_glass.png', png(clear, 6), on_white(clear >> 8))
    yield Kind(
        'turned.png', encoded(image, 'PNG', exif=exif(6)), np.rot90(rgb, -1)
    )
    yield Kind('moving.png', encoded(image, 'PNG', **frames), rgb)


def tiffs() -> Iterator[Kind]:
    rgba = noise(4)
    rgb, grey = rgba[..., :3], rgba[..., 0]
    deep = noise(3, 1).astype(np.uint16) << 8 | noise(3, 2)
    one = deep[..., 0]
    image = Image.fromarray(rgb)
    cmyk = image.convert('CMYK')
    three, four = (16,) * 3, (8,) * 4
    yield Kind('plain.tif', encoded(image, 'TIFF'), rgb)
    yield Kind(
        'packed.tif', encoded(image, 'TIFF', compression='tiff_lzw'), rgb
    )
    yield Kind('jpeg.tif', encoded(image, 'TIFF', compression='jpeg'))
    bits = Image.fromarray(grey).convert('1')
    yield Kind(
        'fax.tif',
        encoded(bits, 'TIFF', compression='group4'),
        np.asarray(bits) * 255,
    )
    yield Kind('cmyk.tif', encoded(cmyk, 'TIFF'),
               np.asarray(cmyk.convert('RGB')))  # fmt: skip
    yield Kind(
        'turned.tif', encoded(image, 'TIFF', exif=exif(6)), np.rot90(rgb, -1)
    )
    frames = {'save_all': True, 'append_images': [image.rotate(180)]}
    yield Kind('pages.tif', encoded(image, 'TIFF', **frames), rgb)
    yield Kind('glass.tif', tiff(rgba.tobytes(), four, 2, tag338=2),
               on_white(rgba))  # fmt: skip
    alpha = rgba[..., 3:].astype(int)
    stored = np.concatenate([rgb * alpha // 255, alpha], -1)
    yield Kind(
        'premultiplied.tif',
        tiff(stored.astype(np.uint8).tobytes(), four, 2, tag338=1),
        on_white(rgba),
    )
    yield Kind('fourth.tif', tiff(rgba.tobytes(), four, 2, tag338=0), rgb)
    yield Kind('inverted.tif', tiff(grey.tobytes(), (8,), 0), 255 - grey)
    yield Kind('deep.tif', tiff(one.tobytes(), (16,), 1), one >> 8)
    yield Kind(
        'deep_motorola.tif',
        tiff(one.astype('>u2').tobytes(), (16,), 1, '>'),
        one >> 8,
    )
    yield Kind(
        'deep_inverted.tif', tiff(one.tobytes(), (16,), 0), 255 - (one >> 8)
    )
    yield Kind('deep_colour.tif', tiff(deep.tobytes(), three, 2), deep >> 8)
    twelve = (one >> 4).astype(np.uint16).reshape(-1, 2)
    first, second = twelve[:, 0], twelve[:, 1]
    packed = np.stack(
        [first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1
    )
    yield Kind(
        'twelve.tif',
        tiff(packed.astype(np.uint8).tobytes(), (12,), 1),
        one >> 8,
    )


def others() -> Iterator[Kind]:
    rgba = noise(4)
    rgb, grey = rgba[..., :3], rgba[..., 0]
    deep = noise(1, 1).astype(np.uint16) << 8 | noise(1, 2)
    image, clear = Image.fromarray(rgb), Image.fromarray(rgba)
    frames = {'save_all': True, 'append_images': [image.rotate(180)]}
    palette = image.quantize(16)
    index, colours = np.asarray(palette), np.asarray(palette.convert('RGB'))
    table = np.zeros((256, 4), np.uint8)
    for number, colour in zip(index.ravel(), colours.reshape(-1, 3),
                              strict=True):  # fmt: skip
        table[number, :3] = colour[::-1]
    yield Kind('plain.bmp', encoded(image, 'BMP'), rgb)
    yield Kind(
        'run_length.bmp',
        bmp(run_length(index), 8, 1, table.tobytes()),
        colours,
    )
    filled = np.concatenate([rgb[::-1, :, ::-1], rgba[..., 3:]], -1)
    yield Kind('rgb32.bmp', bmp(filled.tobytes(), 32), rgb)
    five = rgb.astype(np.uint16) >> 3
    words = five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]
    yield Kind('rgb15.bmp', bmp(words[::-1].tobytes(), 16))
    yield Kind('lossy.webp', encoded(image, 'WEBP'))
    yield Kind('plain.webp', encoded(image, 'WEBP', lossless=True), rgb)
    yield Kind(
        'glass.webp',
        encoded(clear, 'WEBP', lossless=True, exact=True),
        on_white(rgba),
    )
    yield Kind(
        'turned.webp',
        encoded(image, 'WEBP', lossless=True, exif=exif(6)),
        np.rot90(rgb, -1),
    )
    yield Kind(
        'moving.webp', encoded(image, 'WEBP', lossless=True, **frames), rgb
    )
    yield Kind('grey.gif', encoded(Image.fromarray(grey), 'GIF'), grey)
    yield Kind('palette.gif', encoded(palette, 'GIF'), colours)
    yield Kind(
        'hole.gif',
        encoded(palette, 'GIF', transparency=3),
        np.where(index[..., None] == 3, 255, colours),
    )
    yield Kind('moving.gif', encoded(palette, 'GIF', **frames), colours)
    yield Kind('plain.ppm', encoded(image, 'PPM'), rgb)
    yield Kind('plain.pgm', encoded(Image.fromarray(grey), 'PPM'), grey)
    yield Kind(
        'deep.pgm',
        b'P5 64 48 65535\n' + deep.astype('>u2').tobytes(),
        deep[..., 0] >> 8,
    )
    yield Kind('plain.jp2', encoded(image, 'JPEG2000'), rgb)
    yield Kind('glass.jp2', encoded(clear, 'JPEG2000'), on_white(rgba))
    yield Kind('plain.avif', encoded(image, 'AVIF'))
    yield Kind('turned.avif', encoded(image, 'AVIF', exif=exif(6)))
    yield Kind('glass.avif', encoded(clear, 'AVIF'))


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found
