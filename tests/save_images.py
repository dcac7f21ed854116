#!/usr/bin/env python3
"""save_images.py: writes images of 5 x 7 into the current folder, as numpy, PyTorch and the standards of the formats have
them, and into expected.txt a line for each: its name and the numbers that are to be read, row by row."""
import struct
import zlib

import numpy as np
import torch

random = np.random.default_rng(5)
expected = open("expected.txt", "w")


def expect(name, numbers):
    numbers = np.asarray(numbers, dtype=np.float64).reshape(35)
    print(name, *(repr(float(number)) for number in numbers), file=expected)


def luma(pixels):
    red, green, blue = (pixels[..., i].astype(np.float64) for i in range(3))
    return (299 * red + 587 * green + 114 * blue) / 1000


def drawn(channels, white):
    return random.integers(0, white + 1, (5, 7, channels))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(name, pixels, kind, bits, palette=b""):
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", 7, 5, bits, kind, 0, 0, 0)
    extra = chunk(b"PLTE", palette) if palette else b""
    with open(name, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)))
        file.write(chunk(b"IEND", b""))


for bits, white in ((8, 255), (16, 65535)):
    for kind, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):  # grey, colours, each with transparency
        pixels = drawn(channels, white)
        write_png(f"{kind}-{bits}.png", pixels, kind, bits)
        expect(f"{kind}-{bits}.png", (luma(pixels) if channels > 2 else pixels[..., 0]) / white)
palette = drawn(3, 255).reshape(35, 3)
write_png("palette.png", np.arange(35).reshape(5, 7, 1), 3, 8, palette.astype("u1").tobytes())
expect("palette.png", luma(palette) / 255)

for white in (1, 100, 255, 1000, 65535):
    for kind, channels in ((2, 1), (3, 3), (5, 1), (6, 3)):
        pixels = drawn(channels, white)
        plain = kind < 4
        data = " ".join(map(str, pixels.flatten())).encode() if plain else pixels.astype(">u2" if white > 255 else "u1").tobytes()
        with open(f"{kind}-{white}.pnm", "wb") as file:
            file.write(b"P%d # of a test\n# 9 9\n7\t5 #\n  %d\n" % (kind, white) + data)
        expect(f"{kind}-{white}.pnm", (luma(pixels) if channels > 1 else pixels[..., 0]) / white)

pixels = drawn(3, 255)
rows = b"".join(row[:, ::-1].astype("u1").tobytes() + b"\0\0\0" for row in pixels[::-1])  # blue first, from below
with open("colours.bmp", "wb") as file:
    file.write(b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + len(rows), 0, 54, 40, 7, 5, 1, 24, 0, len(rows), 0, 0, 0, 0) + rows)
expect("colours.bmp", luma(pixels) / 255)
rows = b"".join(row[:, ::-1].astype("u1").tobytes() + b"\0\0\0" for row in pixels)  # from above
with open("from-above.bmp", "wb") as file:
    file.write(b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + len(rows), 0, 54, 40, 7, -5, 1, 24, 0, len(rows), 0, 0, 0, 0) + rows)
expect("from-above.bmp", luma(pixels) / 255)
palette = drawn(3, 255).reshape(35, 3)
rows = b"".join(bytes(range(7 * y, 7 * y + 7)) + b"\0" for y in (4, 3, 2, 1, 0))
with open("palette.bmp", "wb") as file:
    colours = b"".join(colour[::-1].astype("u1").tobytes() + b"\0" for colour in palette)
    begin = 54 + len(colours)
    file.write(b"BM" + struct.pack("<IIIIiiHHIIiiII", begin + len(rows), 0, begin, 40, 7, 5, 1, 8, 0, len(rows), 0, 0, 35, 0))
    file.write(colours + rows)
expect("palette.bmp", luma(palette) / 255)

for kind in "? u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8".split():
    numbers = random.standard_normal((5, 7)) * 100 if kind[0] == "f" else random.integers(0, 2 if kind == "?" else 128, (5, 7))
    for order in "<>":
        array = numbers.astype(order + kind)
        if kind in ("i2", "i4", "i8"):
            array = -300 * array
        for layout in "CF":
            name = f"{'b1' if kind == '?' else kind}-{'little' if order == '<' else 'big'}-{layout}.npy"
            np.save(name, np.asarray(array.astype(order + kind), order=layout))
            expect(name, array)
array = random.standard_normal((5, 7))
np.save("four.npy", array.reshape(1, 1, 5, 7))
expect("four.npy", array)
for version in (2, 3):
    with open(f"version-{version}.npy", "wb") as file:
        np.lib.format.write_array(file, array, (version, 0))
    expect(f"version-{version}.npy", array)


def save(name, tensor):
    torch.save(tensor, name)
    expect(name, tensor.detach().double().numpy())


for kind in "float32 float64 float16 bfloat16 uint8 int8 int16 int32 int64 bool".split():
    save(f"{kind}.pt", (torch.randn(5, 7) * 50).abs().to(getattr(torch, kind)))
save("transposed.pt", torch.randn(7, 5).t())
save("slice.pt", torch.randn(2, 3, 9, 9)[1:, 2:, 3:8, 1:8])
save("parameter.pt", torch.nn.Parameter(torch.randn(5, 7)))
save("repeated.pt", torch.randn(1, 7).expand(5, 7))
