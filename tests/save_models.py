#!/usr/bin/env python3
"""save_models.py FILE...: saves each model again, in folders beside it: as it was read; with what state_dict() of a module
returns, beside other things; with parameters that require gradients; and in float64."""
import os
import sys

import torch


def module_of(state):
    """A module of this state_dict; "0.weight" is the weight of its part "0"."""
    module = torch.nn.Module()
    for name, tensor in state.items():
        *parts, last = name.split(".")
        place = module
        for part in parts:
            if not hasattr(place, part):
                place.add_module(part, torch.nn.Module())
            place = getattr(place, part)
        place.register_parameter(last, torch.nn.Parameter(tensor))
    return module


for path in sys.argv[1:]:
    saved = torch.load(path)
    folder, name = os.path.split(path)
    module = module_of(saved["state_dict"])

    def save(kind, state, beside=None):
        os.makedirs(os.path.join(folder, kind), exist_ok=True)
        torch.save({**saved, **(beside or {}), "state_dict": state}, os.path.join(folder, kind, name))

    save("again", saved["state_dict"])
    save("module", module.state_dict(), {"losses": [2.5, 1e-3], "by": None, "tuple": (True, -70000)})
    save("parameters", dict(module.named_parameters()))
    save("double", {key: tensor.double() for key, tensor in saved["state_dict"].items()})
