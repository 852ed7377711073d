"""Three training steps of the student against the authors' code, on a real patch."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from torchgeo_cloudseg.datamodules.collate import collate
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.models import CloudSegNet
from torchgeo_cloudseg.models.reference import reference_name
from torchgeo_cloudseg.trainers import CloudSegStudentTask
from torchgeo_cloudseg.transforms import Rescale


def load_golden(network: CloudSegNet, released: dict[str, Tensor]) -> None:
    network.load_state_dict(
        {name: released[f'module.{reference_name(name)}'] for name in network.state_dict()}
    )


@pytest.mark.slow
def test_losses_follow_the_authors(
    real_golden: Path, real_root: Path, released_network: Callable[[str], dict[str, Tensor]]
) -> None:
    trace = json.loads((real_golden / 'training_trace.json').read_text())
    task = CloudSegStudentTask(drop_path=0.0)
    load_golden(task.model, released_network('student'))
    teacher = CloudSegNet(spatial_gate=False, reconstruct=False)
    load_golden(teacher, released_network('teacher'))
    task._teacher = [teacher.eval().requires_grad_(False)]
    for module in task.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0

    dataset = M3MCR(real_root)
    xmin, _, _, ymax = dataset.index.total_bounds
    corners = [(xmin + 30 * x, ymax - 30 * y) for y, x in trace['offsets']]
    crops = [dataset[x : x + 480, y - 480 : y] for x, y in corners]
    batch = Rescale(M3MCR.ranges)(collate(crops))

    logged: dict[str, Tensor] = {}
    task.log_dict = lambda values, **_: logged.update(values)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=trace['lr'])
    task.train()
    for step, expected in enumerate(trace['steps']):
        loss = task.training_step(batch, step)
        found = {name: float(logged[f'train_{name}_loss']) for name in expected if name != 'total'}
        found['total'] = float(loss.detach())
        if step == 2:
            # Adam divides a gradient by its size: where that is near 0, rounding decides the sign
            # of a whole step. After two of them the parts have moved by up to 1.6 % in float32, in
            # either direction (less than 1 % in float64); their sum still agrees.
            found, expected = {'total': found['total']}, {'total': expected['total']}
        assert found == pytest.approx(expected, rel=1e-4 if step == 0 else 1e-2), step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
