"""Activation checkpointing: less memory for a second forward pass during the backward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

#: How the names of the operators begin whose results are kept: attention takes the longest and
#: gives the least.
KEPT = 'aten::_scaled_dot_product'


def run(module: nn.Module, *inputs: Tensor | int, checkpointing: bool) -> Tensor:
    """Call a module, keeping only its inputs and attention for the backward pass if asked to.

    Args:
        module: the module.
        *inputs: what it is called with.
        checkpointing: whether to compute its activations again during the backward pass. Without
            effect where there is none.

    Returns:
        its output.
    """
    if checkpointing and torch.is_grad_enabled():
        contexts = partial(create_selective_checkpoint_contexts, _policy)
        out: Tensor = checkpoint(module, *inputs, use_reentrant=False, context_fn=contexts)
    else:
        out = module(*inputs)
    return out


def _policy(_: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:  # noqa: ARG001
    """What becomes of an operator's result."""
    kept = operator.name().startswith(KEPT)
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE
