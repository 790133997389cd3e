"""Torch's random numbers, begun anew."""

import torch


def seed(number: int, device: torch.device) -> None:
    """Begin the random numbers of the CPU and of a device anew.

    `torch.manual_seed` does so for all devices, and where there are none of a kind it notes each call, with the
    stack it came from, until there are.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(number)
