"""Training step and inference window: time, memory and operations, against the baseline.

    python experiments/benchmarks/step.py --output experiments/results/step.json

Both networks have the same weights and see the same inputs; they take turns, so that other work on
the machine slows both alike. A step is the teacher's forward pass, the student's forward and
backward pass with three losses, and Adam. Activation memory is what autograd keeps for the backward
pass, counted by storage, without parameters; peak memory is that of a fresh process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from baseline import with_weights_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from torchgeo_cloudseg.losses import ClearSkyHintLoss, CloudCharbonnierLoss, SegmentationLoss
from torchgeo_cloudseg.models import CloudSegNet

Batch = dict[str, Tensor]
NAMES = ('ours', 'baseline')


def inputs(batch: int, crop: int, device: str) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def images(channels: int) -> Tensor:
        return torch.rand(batch, channels, crop, crop, generator=generator).to(device)

    side = crop * 3 // 10
    return {
        'image': images(4),
        'image_clear': images(4),
        'image_sar': images(2),
        'mask_cloud': torch.randint(2, (batch, crop, crop), generator=generator).to(device),
        'mask': torch.randint(6, (batch, side, side), generator=generator).to(device),
    }


def outputs(network: nn.Module, optical: Tensor, sar: Tensor) -> tuple[Tensor, Tensor, Any]:
    logits, features, image = network(optical, sar)
    return logits, features, image


class Step:
    """A training step of a student with its teacher."""

    def __init__(self, student: nn.Module, teacher: nn.Module, device: str, amp: bool) -> None:
        self.student, self.teacher = student.to(device).train(), teacher.to(device).eval()
        self.losses = SegmentationLoss(), CloudCharbonnierLoss(), ClearSkyHintLoss()
        fused = isinstance(student, CloudSegNet) and device == 'cpu'
        self.optimizer = torch.optim.Adam(student.parameters(), lr=1e-4, fused=fused or None)
        self.device, self.amp = device, amp

    def loss(self, batch: Batch) -> Tensor:
        segment, restore, hint = self.losses
        with torch.autocast(self.device, torch.bfloat16, enabled=self.amp):
            with torch.no_grad():
                taught = outputs(self.teacher, batch['image_clear'], batch['image_sar'])[1]
            logits, features, image = outputs(self.student, batch['image'], batch['image_sar'])
            logits = F.interpolate(logits, batch['mask'].shape[-2:], mode='bilinear')
            clouds = batch['mask_cloud']
            return (
                segment(logits, batch['mask'])
                + restore(image, batch['image_clear'], clouds)
                + hint(features, taught, clouds)
            )

    def __call__(self, batch: Batch) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(batch).backward()
        self.optimizer.step()


def make_step(kind: str, encoder: str, device: str, amp: bool, checkpointing: bool) -> Step:
    torch.manual_seed(0)
    student = CloudSegNet(encoder, drop_path=0.0, activation_checkpointing=checkpointing)
    teacher = CloudSegNet(encoder, spatial_gate=False, reconstruct=False, drop_path=0.0)
    pair: tuple[nn.Module, nn.Module] = student, teacher
    if kind == 'baseline':
        pair = with_weights_of(student), with_weights_of(teacher)
    return Step(*pair, device, amp)


def kept_bytes(step: Step, batch: Batch) -> int:
    """What autograd keeps for the backward pass, beside the parameters."""
    parameters = {p.untyped_storage().data_ptr() for p in step.student.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = step.loss(batch)
    del loss
    return sum(kept.values())


def alternate(
    functions: dict[str, Callable[[], object]], rounds: int, device: str
) -> dict[str, dict[str, float]]:
    """Median wall-clock and processor seconds of functions that take turns."""
    walls: dict[str, list[float]] = {name: [] for name in functions}
    cpus: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if device != 'cpu':
                torch.cuda.synchronize()
            if number:  # the first round warms up
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(time.process_time() - cpu)
    return {
        name: {'wall_s': statistics.median(walls[name]), 'cpu_s': statistics.median(cpus[name])}
        for name in functions
    }


def peak_mib(kind: str, options: argparse.Namespace, checkpointing: bool) -> float:
    """Peak memory of a fresh process that takes three steps."""
    command = [sys.executable, __file__, '--child', kind, '--encoder', options.encoder]
    command += ['--batch', str(options.batch), '--crop', str(options.crop)]
    command += ['--checkpointing'] if checkpointing else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def matmul_flops_per_second(device: str) -> float:
    a, b = torch.rand(2048, 2048, device=device), torch.rand(2048, 2048, device=device)
    best = min(alternate({'m': lambda: a @ b}, 5, device)['m']['wall_s'] for _ in range(2))
    return float(2 * 2048**3 / best)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    device, amp = options.device, options.amp
    batch = inputs(options.batch, options.crop, device)
    kinds = {name: make_step(name, options.encoder, device, amp, False) for name in NAMES}
    ours, theirs = kinds['ours'].student.eval(), kinds['baseline'].student.eval()
    window = batch['image'][:1], batch['image_sar'][:1]
    with torch.inference_mode():
        same = outputs(ours, *window)[0].sub(outputs(theirs, *window)[0]).abs().max()
    print(f'largest difference of the logits: {float(same):.2e}')
    result: dict[str, Any] = {'largest_logit_difference': float(same)}

    @torch.inference_mode()
    def ours_windows() -> None:
        ours(batch8['image'], batch8['image_sar'], reconstruct=False)

    @torch.inference_mode()
    def their_window() -> None:
        theirs(*window)

    batch8 = inputs(options.windows, options.crop, device)
    times = alternate({'ours': ours_windows, 'baseline': their_window}, options.rounds, device)
    times['ours'] = {unit: value / options.windows for unit, value in times['ours'].items()}
    result['inference_per_window'] = times
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ours(*window)
    flops = counter.get_total_flops()
    result['student_gflop_per_window'] = flops / 1e9
    result['matmul_gflop_per_s'] = matmul_flops_per_second(device) / 1e9

    for step in kinds.values():
        step.student.train()
    checkpointed = make_step('ours', options.encoder, device, amp, True)
    steps = {**kinds, 'ours, checkpointed': checkpointed}
    result['step'] = alternate(
        {name: lambda step=step: step(batch) for name, step in steps.items()},
        options.rounds,
        device,
    )
    result['kept_for_backward_mib'] = {
        name: kept_bytes(step, batch) / 2**20 for name, step in steps.items()
    }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--encoder', default='mit_b4')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--crop', type=int, default=160)
    parser.add_argument('--windows', type=int, default=4, help='windows per forward pass of ours')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument('--output', type=Path)
    parser.add_argument('--child', choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument('--checkpointing', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        step = make_step(options.child, options.encoder, 'cpu', False, options.checkpointing)
        batch = inputs(options.batch, options.crop, 'cpu')
        for _ in range(3):
            step(batch)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    result = {
        'machine': {
            'cpus': os.cpu_count(),
            'processor': platform.processor() or platform.machine(),
            'torch': torch.__version__,
            'threads': options.threads,
            'device': options.device,
        },
        'encoder': options.encoder,
        'batch': options.batch,
        'crop': options.crop,
        **measure(options),
    }
    if options.device == 'cpu':
        result['peak_mib'] = {
            **{name: peak_mib(name, options, False) for name in NAMES},
            'ours, checkpointed': peak_mib('ours', options, True),
        }
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        draft = options.output.with_suffix('.partial')
        draft.write_text(text + '\n')
        draft.replace(options.output)


if __name__ == '__main__':
    main()
