"""A network whose answers are known, and runs of it in processes of their own."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_cloudseg.inference import predict_scene


class Brightness(nn.Module):
    """Three classes by the brightness of 10 px blocks, with a place-dependent part.

    The mean of the optical image over a block decides, the SAR image shifts it; *wobble* adds
    what depends on the place in the window, as the context of a real network does.
    """

    def __init__(self, wobble: float = 0.0, delay_s: float = 0.0) -> None:
        super().__init__()
        self.wobble = wobble
        self.delay_s = delay_s
        self.register_buffer('levels', torch.tensor([0.2, 0.45, 0.7]))
        self.windows = 0

    def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
        time.sleep(self.delay_s)
        self.windows += len(optical)
        value = optical.mean(dim=1, keepdim=True) + 0.1 * sar.mean(dim=1, keepdim=True)
        value = F.avg_pool2d(value, 10).repeat_interleave(3, -1).repeat_interleave(3, -2)
        ramp = torch.linspace(0, self.wobble, value.shape[-1])
        return -10 * (value + ramp - self.levels.view(1, 3, 1, 1)).abs()


def _run(
    args: tuple[str, ...], kwargs: dict[str, Any], delay_s: float, limit: int, out: Any
) -> None:
    torch.set_num_threads(1)
    if limit:
        # a write beyond the limit then fails, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        predict_scene(Brightness(0.3, delay_s), *args, progress=False, **kwargs)
        out.send('done')
    except Exception as error:
        out.send(f'{type(error).__name__}: {error}')


def start(
    *args: str, delay_s: float = 0.0, file_limit: int = 0, **kwargs: Any
) -> tuple[BaseProcess, Any]:
    """Map a scene in a process of its own.

    Returns:
        the process, and the connection on which it says 'done' or its error.
    """
    context = multiprocessing.get_context('forkserver')
    # imports once for all processes
    context.set_forkserver_preload(['torchgeo_cloudseg.inference'])
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(args, kwargs, delay_s, file_limit, send))
    process.start()
    send.close()
    return process, receive
