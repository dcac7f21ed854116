#!/usr/bin/env python3
"""docs/images.py HEIGHT WIDTH: draws a landscape and a mask with a soft edge, photo.pgm and mask.pgm, for the example in
docs/files.md. Needs numpy."""
import sys

import numpy as np

height, width = map(int, sys.argv[1:])
y, x = np.mgrid[0:1 : height * 1j, 0:1 : width * 1j]
random = np.random.default_rng(3)


def rough(shape, exponent):
    """Noise whose amplitude falls with frequency, from 0 to 1: clouds, rock, the outline of mountains."""
    frequencies = np.sqrt(sum(f**2 for f in np.meshgrid(*(np.fft.fftfreq(n) * n for n in shape), indexing="ij")))
    frequencies.flat[0] = np.inf
    noise = np.fft.ifftn(np.fft.fftn(random.standard_normal(shape)) / frequencies**exponent).real
    return (noise - noise.min()) / (noise.max() - noise.min())


photo = 0.9 - 0.35 * y + 0.25 * (rough((height, width), 1.7) - 0.5)
photo = np.where((x - 0.72) ** 2 * (width / height) ** 2 + (y - 0.22) ** 2 < 0.006, 0.98, photo)
for level, depth, grey in ((0.42, 0.3, 0.55), (0.58, 0.25, 0.38), (0.78, 0.16, 0.2)):
    outline = level + depth * (rough((width,), 1.4) - 0.5)
    rock = grey + 0.5 * grey * (rough((height, width), 1.1) - 0.5)
    photo = np.where(y > outline, rock, photo)
radius = np.sqrt(((x - 0.5) / 0.42) ** 2 + ((y - 0.5) / 0.4) ** 2)
mask = np.clip((1.05 - radius) / 0.1, 0, 1)

for name, image in (("photo", photo), ("mask", mask)):
    with open(f"{name}.pgm", "wb") as file:
        file.write(b"P5 %d %d 255\n" % (width, height) + (255 * image.clip(0, 1)).round().astype("u1").tobytes())
