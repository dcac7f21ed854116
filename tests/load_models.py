#!/usr/bin/env python3
"""load_models.py FILE...: reads models as a user of PyTorch would, computes what each makes of the default
rectangles from the definition of its variant, and prints its name and the L2 loss."""
import sys

import torch
from torch.nn.functional import conv2d, unfold

a, b = torch.zeros(2, 1, 1, 100, 100, dtype=torch.float64)
a[..., 20:65, 15:65] = 1
b[..., 40:80, 35:80] = 2
image = torch.cat((a, b), dim=1)


def output(model):
    kind, k, p = model["variant"], model["kernel_size"], model["state_dict"]
    if kind in ("relu", "stacked-exp"):
        x = image
        for layer in range(model["depth"]):
            x = conv2d(x, p[f"{layer}.weight"], p[f"{layer}.bias"], padding=k // 2)
            if kind == "stacked-exp":
                x = x.exp()
            elif layer + 1 < model["depth"]:
                x = x.relu()
        return x
    if kind == "bilinear":
        left, right = (conv2d(image, p[f"{i}.weight"], p.get(f"{i}.bias"), padding=k // 2) for i in (0, 1))
        return left * right
    if kind == "square":
        z = conv2d(image, p["0.weight"], p.get("0.bias"), padding=k // 2)
        return conv2d(z**2, p["1.weight"], p.get("1.bias"))
    logarithm = torch.log(image.abs() + 1e-7)
    if kind == "product-unit":
        z, turns = (conv2d(x, p["weight"], padding=k // 2) for x in (logarithm, (image < 0).double()))
        return z.exp() * torch.cos(torch.pi * turns)
    if kind in ("baseline", "exp", "log-exp"):
        layer = torch.nn.Conv2d(2, 1, k, padding=k // 2).double()
        layer.load_state_dict(p)
        z = layer(logarithm if kind == "log-exp" else image)
        return z if kind == "baseline" else z.exp()

    def fields(x):  # [2 K^2, pixels]
        return unfold(x, k, padding=k // 2)[0]

    x, inside, log_x = fields(image), fields(torch.ones_like(image)) > 0, fields(logarithm)
    if kind == "inalu":
        v, w = ((p["w" + path].tanh() * p["m" + path].sigmoid())[:, None] for path in ("_sum", "_product"))
        power = (w * torch.where(inside, x.abs().clamp(min=1e-7).log(), 0 * x)).sum(0).clamp(max=20).exp()
        sign = torch.where(inside, x.sign() * w.abs() + 1 - w.abs(), torch.ones_like(x)).prod(0)
        g = p["g"].sigmoid()
        return (g * (v * x).sum(0) + (1 - g) * power * sign).view(1, 1, 100, 100)
    w = p["w"][:, None]
    if kind in ("nmu", "snmu"):
        out = torch.where(inside, w * x + 1 - w, torch.ones_like(x)).prod(0)
    elif kind == "npu":
        g = p["g"].clamp(0, 1)[:, None]
        r = torch.where(inside, g * (x.abs() + 2**-23) + 1 - g, torch.ones_like(x))
        out = (w * r.log()).sum(0).exp() * torch.cos(torch.pi * (w * g * (x < 0)).sum(0))
    else:
        w = w.tanh() * p["m"][:, None].sigmoid()
        out = (w * log_x).sum(0).exp()
        if kind == "nalu":
            g = (p["g"][:, None] * x).sum(0).sigmoid()
            out = g * (w * x).sum(0) + (1 - g) * out
    return out.view(1, 1, 100, 100)


for path in sys.argv[1:]:
    saved = torch.load(path)
    print(saved["variant"], torch.norm(output(saved) - a * b, p=2).item())
