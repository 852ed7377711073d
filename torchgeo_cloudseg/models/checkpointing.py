"""Activation checkpointing: less memory for a second forward pass during the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run(module: nn.Module, *inputs: Tensor | int, checkpointing: bool) -> Tensor:
    """Call a module, keeping only its inputs for the backward pass if asked to.

    Args:
        module: the module.
        *inputs: what it is called with.
        checkpointing: whether to compute its activations again during the backward pass. Without
            effect where there is none.

    Returns:
        its output.
    """
    if checkpointing and torch.is_grad_enabled():
        out: Tensor = checkpoint(module, *inputs, use_reentrant=False)
    else:
        out = module(*inputs)
    return out


Result = TypeVar('Result')


def keep_inputs(function: Callable[..., Result], *inputs: Tensor | int) -> Result:
    """Call a function without random numbers, keeping only its inputs for the backward pass.

    What lies before its last product of matrices is computed again then, but not that product
    itself: its inputs are all that the backward pass needs of it.

    Args:
        function: the function.
        *inputs: what it is called with.

    Returns:
        what it returns.
    """
    kept: Result = checkpoint(
        function, *inputs, use_reentrant=False, preserve_rng_state=False, determinism_check='none'
    )
    return kept


def can_run_twice(module: nn.Module) -> bool:
    """Whether a second forward pass leaves no traces.

    Args:
        module: the module.

    Returns:
        False where batch norm would count its statistics twice.
    """
    return not any(isinstance(part, _BatchNorm) for part in module.modules())
