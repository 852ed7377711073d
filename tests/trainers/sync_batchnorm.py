"""Batch norms with the statistics of all processes, on any device."""

from __future__ import annotations

import torch
import torch.distributed as dist
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes.

    :class:`torch.nn.SyncBatchNorm` does the same on GPUs, and refuses to run elsewhere. As there,
    all processes must have batches of the same size.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """Normalize a batch.

        Args:
            input: features (B, C, H, W).

        Returns:
            normalized features (B, C, H, W).
        """
        alone = not (dist.is_initialized() and dist.get_world_size() > 1)
        if not self.training or alone:
            return super().forward(input)
        mean = _mean_over_processes(input.mean(dim=(0, 2, 3)))
        offset = input - mean[:, None, None]
        variance = _mean_over_processes(offset.square().mean(dim=(0, 2, 3)))
        with torch.no_grad():
            self._update(mean, variance, dist.get_world_size() * input.numel() // len(mean))
        normal: Tensor = offset * torch.rsqrt(variance + self.eps)[:, None, None]
        if not self.affine:
            return normal
        return normal * self.weight[:, None, None] + self.bias[:, None, None]

    def _update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics; the variance without bias, as torch has it."""
        if self.running_mean is None or self.running_var is None:
            return
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


class SyncBatchNormPlugin(LayerSync):
    """Lightning plugin that synchronises the batch norms of all processes, on any device.

    ``Trainer(plugins=[SyncBatchNormPlugin()])`` is to CPUs what ``Trainer(sync_batchnorm=True)`` is
    to GPUs.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace all batch norms by synchronised ones.

        Args:
            model: a network; changed in place.

        Returns:
            *model*.
        """
        return _replaced(model, nn.BatchNorm2d, SyncedBatchNorm2d)

    def revert(self, model: nn.Module) -> nn.Module:
        """Undo :meth:`apply`.

        Args:
            model: a network; changed in place.

        Returns:
            *model*.
        """
        return _replaced(model, SyncedBatchNorm2d, nn.BatchNorm2d)


def _mean_over_processes(values: Tensor) -> Tensor:
    """Mean over all processes, through which gradients flow back to each of them."""
    total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return total / dist.get_world_size()


def _replaced(model: nn.Module, old: type[nn.BatchNorm2d], new: type[nn.BatchNorm2d]) -> nn.Module:
    """Replace batch norms of one kind by those of another, with the same parameters."""
    for parent in list(model.modules()):
        for name, norm in parent.named_children():
            if type(norm) is old:
                other = new(norm.num_features, norm.eps, norm.momentum, norm.affine)
                # the same tensors: an optimizer may know them already
                other._parameters.update(norm._parameters)
                other._buffers.update(norm._buffers)
                setattr(parent, name, other.train(norm.training))
    return model
