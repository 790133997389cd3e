"""What every process of torch.distributed hands in, gathered by all of them."""

import torch
from torch import distributed


def gathered(content: bytes, group: distributed.ProcessGroup | None = None) -> list[bytes]:
    """Return what each process of a group hands in, in the order of their ranks; of a lone process its own.

    Args:
        content: this process's.
        group: the group. Default: all processes.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return [content]
    device = "cuda" if distributed.get_backend(group) == "nccl" else "cpu"
    processes = range(distributed.get_world_size(group))
    lengths = [torch.zeros(1, dtype=torch.long, device=device) for _ in processes]
    distributed.all_gather(lengths, torch.tensor([len(content)], device=device), group)
    room = max(int(length) for length in lengths)
    own = torch.frombuffer(bytearray(content.ljust(room, b"\0")), dtype=torch.uint8).to(device)
    parts = [torch.zeros_like(own) for _ in processes]
    distributed.all_gather(parts, own, group)
    return [part[: int(length)].cpu().numpy().tobytes() for part, length in zip(parts, lengths, strict=True)]
