"""A step of a student whose parameters are sharded; a script, to be started by torchrun."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from torchgeo_cloudseg.models import CloudSegNet


def loss_of(network: nn.Module, optical: torch.Tensor, sar: torch.Tensor) -> torch.Tensor:
    output = network(optical, sar)
    return output.logits.square().mean() + output.reconstruction.square().mean()


if __name__ == '__main__':
    torch.set_num_threads(1)
    dist.init_process_group('gloo')
    torch.manual_seed(0)
    network = CloudSegNet('mit_b0', drop_path=0.0).eval()
    optical, sar = torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64)
    whole = loss_of(network, optical, sar)
    whole.backward()
    norm = sum(float(p.grad.square().sum()) for p in network.parameters()) ** 0.5
    network.zero_grad()

    wrapped = FullyShardedDataParallel(network, use_orig_params=True, device_id=torch.device('cpu'))
    sharded = loss_of(wrapped, optical, sar)
    sharded.backward()
    # every process has its part of the gradients, possibly none of a parameter
    parts = sum(float(p.grad.square().sum()) for p in wrapped.parameters() if p.grad is not None)
    total = torch.tensor(parts)
    dist.all_reduce(total)
    if dist.get_rank() == 0:
        result = {
            'losses': [float(whole.detach()), float(sharded.detach())],
            'norms': [norm, float(total) ** 0.5],
        }
        Path(sys.argv[1]).write_text(json.dumps(result))
    dist.barrier()
    # gloo's threads may abort a process that takes its time to end; all has been written
    os._exit(0)
