"""The post's experiment as a plain PyTorch script: the yardstick for conv_mult's speed and its losses.

    /usr/bin/python3 bench/pytorch_baseline.py --steps 3000 --threads 1
"""
import argparse
import time

import torch
from torch import nn


def train(variant, size, steps, compiled):
    def at(pixel):  # the scene is laid out for 100x100 and scaled from there
        return pixel * size // 100

    a, b = torch.zeros(1, 1, size, size), torch.zeros(1, 1, size, size)
    a[:, :, at(20):at(65), at(15):at(65)] = 1
    b[:, :, at(40):at(80), at(35):at(80)] = 2
    x, target = torch.cat((a, b), dim=1), a * b

    torch.manual_seed(0)
    net = nn.Conv2d(2, 1, kernel_size=3, padding=1)
    adam = torch.optim.Adam(net.parameters(), lr=0.01)

    def loss_now():
        out = torch.exp(net(x)) if variant == "exp" else net(x)
        return torch.norm(out - target, p=2)

    if compiled:
        loss_now = torch.compile(loss_now)
        loss_now().backward()  # compiles both passes before the clock starts; the gradient is thrown away
    start = time.perf_counter()
    for _ in range(steps):
        adam.zero_grad()
        loss_now().backward()
        adam.step()
    microseconds = (time.perf_counter() - start) / steps * 1e6
    loss = loss_now().item()
    print(f"{variant:8}  PyTorch {torch.__version__}  loss {loss:.6f} after {steps} steps, {microseconds:.0f} µs per step", flush=True)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=3000)
parser.add_argument("--size", type=int, default=100, help="side of the square scene in pixels")
parser.add_argument("--variant", choices=["baseline", "exp", "both"], default="both")
parser.add_argument("--compile", action="store_true", help="loss and gradient by torch.compile")
parser.add_argument("--threads", type=int, help="PyTorch's own choice unless given")
options = parser.parse_args()
if options.threads:
    torch.set_num_threads(options.threads)
for name in ["baseline", "exp"] if options.variant == "both" else [options.variant]:
    train(name, options.size, options.steps, options.compile)
