"""Training step and inference window: time, memory and operations, against the baseline.

    python experiments/benchmarks/step.py --output experiments/results/step.json
    python experiments/benchmarks/step.py scaling --output experiments/results/step-scaling.json
    python experiments/benchmarks/step.py --device cuda --batch 32 --windows 32 --amp

Ours and the baseline have the same weights, and all see the same inputs, the light network
(``lite``) too; they take turns, so that other work on the machine slows all alike. A step is the
teacher's forward pass, the student's forward and backward pass with its losses, and Adam.
Activation memory is the peak of a forward and backward pass, tensor by tensor, less weights and
gradients; peak memory is that of a fresh process.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from baseline import with_weights_of
from machine import describe, write_figures
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from torchgeo_cloudseg.losses import (
    ClearSkyHintLoss,
    CloudCharbonnierLoss,
    OpacityLoss,
    SegmentationLoss,
)
from torchgeo_cloudseg.models import CloudSegLite, CloudSegNet, CloudSegOutput, Network

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


def outputs(network: nn.Module, optical: Tensor, sar: Tensor) -> CloudSegOutput:
    return CloudSegOutput(*network(optical, sar))


class Step:
    """A training step of a student with its teacher."""

    def __init__(self, student: nn.Module, teacher: nn.Module, device: str, amp: bool) -> None:
        self.student, self.teacher = student.to(device).train(), teacher.to(device).eval()
        self.losses = SegmentationLoss(), CloudCharbonnierLoss(), ClearSkyHintLoss(), OpacityLoss()
        self.compute = self.loss
        fused = isinstance(student, Network) and device == 'cpu'
        self.optimizer = torch.optim.Adam(student.parameters(), lr=1e-4, fused=fused or None)
        self.device, self.amp = device, amp

    def loss(self, batch: Batch) -> Tensor:
        segment, restore, hint, veil = self.losses
        with torch.autocast(self.device, torch.bfloat16, enabled=self.amp):
            with torch.no_grad():
                taught = outputs(self.teacher, batch['image_clear'], batch['image_sar']).features
            output = outputs(self.student, batch['image'], batch['image_sar'])
            logits = F.interpolate(output.logits, batch['mask'].shape[-2:], mode='bilinear')
            clouds = batch['mask_cloud']
            loss: Tensor = segment(logits, batch['mask'])
            loss = loss + restore(output.reconstruction, batch['image_clear'], clouds)
            if output.opacity is not None:
                loss = loss + veil(output.opacity, clouds[:, None])
                size = output.features.shape[-2:]
                clouds = F.adaptive_avg_pool2d(clouds[:, None].float(), size)[:, 0]
            return loss + hint(output.features, taught, clouds)

    def compiled(self, mode: str) -> Step:
        """The same step as one graph."""
        self.compute = torch.compile(self.loss, fullgraph=True, mode=mode)
        return self

    def __call__(self, batch: Batch) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.compute(batch).backward()
        self.optimizer.step()


@torch.no_grad()
def keep_activations_alive(network: nn.Module) -> None:
    """Weights as large as those of a trained network.

    With the small ones of an untrained one, activations in evaluation mode fade to denormal
    numbers, with which processors are many times slower.
    """
    for weight in network.parameters():
        if weight.ndim > 1:
            weight.normal_(std=(2 / weight[0].numel()) ** 0.5)


def make_step(kind: str, encoder: str, device: str, amp: bool, checkpointing: bool) -> Step:
    torch.manual_seed(0)
    if kind == 'lite':
        light = CloudSegLite(reconstruct=True), CloudSegLite(spatial_gate=False)
        return Step(*light, device, amp)
    student = CloudSegNet(encoder, drop_path=0.0, activation_checkpointing=checkpointing)
    teacher = CloudSegNet(encoder, spatial_gate=False, reconstruct=False, drop_path=0.0)
    for network in (student, teacher):
        keep_activations_alive(network)
    pair: tuple[nn.Module, nn.Module] = student, teacher
    if kind == 'baseline':
        pair = with_weights_of(student), with_weights_of(teacher)
    return Step(*pair, device, amp)


class LiveBytes(TorchDispatchMode):
    """Counts the memory of tensors that are made while it is active, for as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.now = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call an operator and count what it returns."""
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return result

    def know(self, tensor: Tensor) -> None:
        """Leave a tensor out, which was there before."""
        storage = tensor.untyped_storage()
        self._known[storage._cdata] = weakref.ref(storage)

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def gone(_: Any) -> None:
            del self._known[key]
            self.now -= size

        self._known[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def activation_bytes(step: Step, batch: Batch) -> int:
    """Peak memory of a forward and backward pass, beside weights, gradients and the batch."""
    for parameter in step.student.parameters():
        parameter.grad = torch.zeros_like(parameter)
    gc.collect()
    with LiveBytes() as live:
        known = [*step.student.parameters(), *step.teacher.parameters(), *batch.values()]
        known += [*step.student.buffers(), *step.teacher.buffers()]
        known += [p.grad for p in step.student.parameters() if p.grad is not None]
        for tensor in known:
            live.know(tensor)
        step.loss(batch).backward()
    return live.peak


def alternate(
    functions: dict[str, Callable[[], object]],
    rounds: int,
    device: str,
    parts: dict[str, int] | None = None,
) -> dict[str, dict[str, float]]:
    """Median wall-clock and processor seconds of functions that take turns.

    With a function called ``baseline``, also the median ratios to it of the same turn, which
    other work on the machine disturbs least. The time of a call may be that of several *parts*.
    """
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if device != 'cpu':
                torch.cuda.synchronize()
            if number:
                of = (parts or {}).get(name, 1)
                both = time.perf_counter() - wall, time.process_time() - cpu
                spent[name].append((both[0] / of, both[1] / of))
    result = {}
    for name, times in spent.items():
        walls, cpus = zip(*times, strict=True)
        result[name] = {'wall_s': statistics.median(walls), 'cpu_s': statistics.median(cpus)}
        for kind, own in enumerate((walls, cpus)) if 'baseline' in spent else ():
            pairs = zip(own, (turn[kind] for turn in spent['baseline']), strict=True)
            key = ('wall_ratio', 'cpu_ratio')[kind]
            result[name][key] = statistics.median(ours / theirs for ours, theirs in pairs)
    return result


def peak_mib(kind: str, options: argparse.Namespace, checkpointing: bool) -> float:
    """Peak memory of a fresh process that takes three steps."""
    command = [sys.executable, __file__, '--child', kind, '--encoder', options.encoder]
    command += ['--batch', str(options.batch), '--crop', str(options.crop)]
    command += ['--checkpointing'] if checkpointing else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def products_per_second(device: str) -> float:
    """Floating-point operations per second of large matrix products."""
    size = 2048
    a, b = torch.rand(size, size, device=device), torch.rand(size, size, device=device)
    return 2 * size**3 / alternate({'matmul': lambda: a @ b}, 10, device)['matmul']['wall_s']


def window_calls(
    ours: dict[str, nn.Module], theirs: nn.Module, options: argparse.Namespace
) -> dict[str, Callable[[], None]]:
    """Inference for maps: ours in batches, the baseline's one at a time."""
    many = inputs(options.windows, options.crop, options.device)
    one = inputs(1, options.crop, options.device)

    @torch.inference_mode()
    def in_batches(network: nn.Module) -> None:
        with torch.autocast(options.device, torch.bfloat16, enabled=options.amp):
            network(many['image'], many['image_sar'], reconstruct=False)

    @torch.inference_mode()
    def one_by_one() -> None:
        with torch.autocast(options.device, torch.bfloat16, enabled=options.amp):
            theirs(one['image'], one['image_sar'])

    calls = {name: partial(in_batches, network) for name, network in ours.items()}
    return calls | {'baseline': one_by_one}


def inference(
    ours: dict[str, nn.Module], theirs: nn.Module, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Seconds per window for maps."""
    calls, parts = window_calls(ours, theirs, options), dict.fromkeys(ours, options.windows)
    return alternate(calls, options.rounds, options.device, parts)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one encoder, batch and crop."""
    device, amp = options.device, options.amp
    batch = inputs(options.batch, options.crop, device)
    kinds = (*NAMES, 'lite')
    steps = {name: make_step(name, options.encoder, device, amp, False) for name in kinds}
    ours, theirs, lite = (steps[name].student.eval() for name in kinds)
    window = batch['image'][:1], batch['image_sar'][:1]
    with torch.inference_mode():
        same = (outputs(ours, *window).logits - outputs(theirs, *window).logits).abs().max()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ours(*window)
    with FlopCounterMode(display=False) as mapping, torch.no_grad():
        ours(*window, reconstruct=False)
    flops, peak = counter.get_total_flops(), products_per_second(device)
    result: dict[str, Any] = {
        'largest_logit_difference': float(same),
        'inference_per_window': inference({'ours': ours, 'lite': lite}, theirs, options),
        'parameters': {
            name: sum(p.numel() for p in step.student.parameters()) for name, step in steps.items()
        },
        'student_gflop_per_window': flops / 1e9,
        'mapping_gflop_per_window': mapping.get_total_flops() / 1e9,
        'product_gflop_per_s': peak / 1e9,
    }
    for step in steps.values():
        step.student.train()
    steps['ours, checkpointed'] = make_step('ours', options.encoder, device, amp, True)
    result['activations_mib'] = {
        name: activation_bytes(step, batch) / 2**20 for name, step in steps.items()
    }
    for mode in options.compile or ():
        step = make_step('ours', options.encoder, device, amp, False).compiled(mode)
        steps[f'ours, compiled ({mode})'] = step
    result['step'] = alternate(_calls(steps, batch), options.rounds, device)
    # forward and backward cost three times the forward pass, the teacher once
    needed = 4 * flops * options.batch
    result['step_gflop'] = needed / 1e9
    result['share_of_product'] = {
        name: needed / times['wall_s'] / peak
        for name, times in result['step'].items()
        if name != 'lite'
    }
    window_s = result['inference_per_window']['ours']['wall_s']
    result['share_of_product']['ours, window'] = mapping.get_total_flops() / window_s / peak
    result['ratios'] = ratios(result)
    return result


def _calls(steps: dict[str, Step], batch: Batch) -> dict[str, Callable[[], None]]:
    return {name: partial(step, batch) for name, step in steps.items()}


def ratios(result: dict[str, Any]) -> dict[str, float]:
    """Ours to the baseline's: medians of pairs, of wall-clock time."""
    kept = result['activations_mib']
    values = {
        f'window, {name}': times['wall_ratio']
        for name, times in result['inference_per_window'].items()
        if name != 'baseline'
    }
    for name in result['step'].keys() - {'baseline'}:
        values[f'step, {name}'] = result['step'][name]['wall_ratio']
    for name in kept.keys() - {'baseline'}:
        values[f'activations, {name}'] = kept[name] / kept['baseline']
    return {name: round(value, 3) for name, value in sorted(values.items())}


def scaling(options: argparse.Namespace) -> dict[str, Any]:
    """Step and window by batch, crop and encoder, one of them changed at a time."""
    first = (options.encoder, options.batch, options.crop)
    settings = dict.fromkeys(
        [
            first,
            *((options.encoder, batch, options.crop) for batch in options.batches),
            *((options.encoder, options.batch, crop) for crop in options.crops),
            *((encoder, options.batch, options.crop) for encoder in options.encoders),
        ]
    )
    rows = []
    for encoder, batch_size, crop in settings:
        batch = inputs(batch_size, crop, options.device)
        kinds = {n: make_step(n, encoder, options.device, options.amp, False) for n in NAMES}
        kept = {name: activation_bytes(step, batch) / 2**20 for name, step in kinds.items()}
        times = alternate(_calls(kinds, batch), options.rounds, options.device)
        ours, theirs = (kinds[name].student.eval() for name in NAMES)
        here = argparse.Namespace(**{**vars(options), 'crop': crop})
        row = {
            'encoder': encoder,
            'batch': batch_size,
            'crop': crop,
            'step': times,
            'activations_mib': kept,
            'inference_per_window': inference({'ours': ours}, theirs, here),
        }
        rows.append(row | {'ratios': ratios(row)})
        print(encoder, batch_size, crop, rows[-1]['ratios'], file=sys.stderr)
    return {'rows': rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('what', nargs='?', choices=('step', 'scaling'), default='step')
    parser.add_argument('--encoder', default='mit_b4')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--crop', type=int, default=160)
    parser.add_argument('--windows', type=int, default=4, help='windows per forward pass of ours')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument(
        '--compile', nargs='+', help='also compile our step, in modes such as default, max-autotune'
    )
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 2, 4], help='for scaling')
    parser.add_argument('--crops', type=int, nargs='+', default=[128, 160, 224])
    parser.add_argument('--encoders', nargs='+', default=['mit_b0', 'mit_b2', 'mit_b4'])
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
        # not from getrusage, which counts what the parent had when it started this process
        status = Path('/proc/self/status').read_text()
        print(int(status.split('VmHWM:')[1].split()[0]) / 1024)
        return
    result = {
        'machine': describe() | {'torch_threads': options.threads, 'device': options.device},
        'encoder': options.encoder,
        'batch': options.batch,
        'crop': options.crop,
        'windows': options.windows,
        'bfloat16': options.amp,
        **{'step': measure, 'scaling': scaling}[options.what](options),
    }
    if options.device == 'cpu' and options.what == 'step':
        result['peak_mib'] = {
            **{name: peak_mib(name, options, False) for name in NAMES},
            'ours, checkpointed': peak_mib('ours', options, True),
        }
    print(json.dumps(result, indent=2))
    if options.output:
        write_figures(options.output, result)


if __name__ == '__main__':
    main()
