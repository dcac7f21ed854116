"""Records the losses of the post's experiment as plain PyTorch computes them.

    /usr/bin/python3 tests/reference/record.py        (ten seconds; Debian's python3-torch)

The script is the experiment as a reader of the post would write it: one nn.Conv2d, one optimizer, the
whole 100x100 scene at every step. The C++ program is tested against its output, pytorch.json, beside this
file, so that "same experiment" means "same numbers". Loss "k" is the loss after k updates ("0": untrained).
"""
import json
import pathlib

import torch
from torch import nn

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def scene(dtype):
    a = torch.zeros(1, 1, 100, 100, dtype=dtype)
    b = torch.zeros(1, 1, 100, 100, dtype=dtype)
    a[:, :, 20:65, 15:65] = 1
    b[:, :, 40:80, 35:80] = 2
    return a, b


def train(variant, seed, dtype, optimizer, learning_rate, record_at):
    a, b = scene(dtype)
    x = torch.cat((a, b), dim=1)
    torch.manual_seed(seed)
    net = nn.Conv2d(2, 1, kernel_size=3, padding=1)  # its weights are drawn in float32
    if dtype == torch.float64:
        net.double()  # the same starting point, converted
    update = OPTIMIZERS[optimizer](net.parameters(), lr=learning_rate)

    losses = {}
    for step in range(max(record_at) + 1):
        out = torch.exp(net(x)) if variant == "exp" else net(x)
        loss = torch.norm(out - a * b, p=2)
        if step in record_at:
            losses[str(step)] = loss.item()
        update.zero_grad()
        loss.backward()
        update.step()
    return {
        "variant": variant,
        "seed": seed,
        "dtype": str(dtype).replace("torch.", ""),
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "losses": losses,
    }


def main():
    torch.set_num_threads(1)
    runs = [
        (variant, seed, dtype, "adam", 0.01, (0, 1, 10, 100, 1000))
        for variant in ("baseline", "exp")
        for dtype in (torch.float32, torch.float64)
        for seed in (0, 1, 2)
    ] + [
        (variant, 0, torch.float64, optimizer, learning_rate, (0, 1, 10, 100))
        for variant in ("baseline", "exp")
        for optimizer, learning_rate in (("adamw", 0.01), ("rmsprop", 0.01), ("sgd", 0.0001))
    ]
    lines = []
    for run in runs:
        lines.append(json.dumps(train(*run), allow_nan=False))
        print(lines[-1], flush=True)
    version = json.dumps(torch.__version__)  # Debian's python3-torch 1.13.1+dfsg calls itself 1.13.0a0
    text = f'{{"torch": {version}, "cases": [\n  ' + ",\n  ".join(lines) + "\n]}\n"
    pathlib.Path(__file__).with_name("pytorch.json").write_text(text)


if __name__ == "__main__":
    main()
