"""Activation checkpointing: less memory for a second forward pass during the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from .pointwise import linear, linear_backward


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


def recomputed_linear(
    function: Callable[..., Tensor],
    x: Tensor,
    parameters: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    """Linear layer of a function of tokens, whose result is not kept for the backward pass.

    The function is computed again then; the product, of which nothing else is needed, is not.

    Args:
        function: of tokens and parameters, without random numbers and cheap.
        x: its tokens (..., C).
        parameters: its parameters.
        weight: matrix of the linear layer (C', C).
        bias: vector of the linear layer (C',).

    Returns:
        tokens (..., C').
    """
    if torch.compiler.is_compiling():  # the compiler chooses by itself what to compute again
        return linear(function(x, *parameters), weight, bias)
    out: Tensor = _RecomputedLinear.apply(function, x, weight, bias, *parameters)
    return out


class _RecomputedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        function: Callable[..., Tensor],
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *parameters: Tensor,
    ) -> Tensor:
        ctx.function, kind = function, x.device.type
        ctx.autocast = torch.autocast(
            kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        )
        ctx.save_for_backward(x, weight, *parameters)
        return linear(function(x, *parameters), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *parameters = ctx.saved_tensors
        _, of_x, of_weight, of_bias, *of_parameters = ctx.needs_input_grad
        needs = of_x, *of_parameters
        with torch.enable_grad(), ctx.autocast:
            inputs = [
                tensor.detach().requires_grad_(need)
                for tensor, need in zip((x, *parameters), needs, strict=True)
            ]
            tokens = ctx.function(*inputs)
        # what the product was computed in, which autocasting may have changed
        product = grad.dtype
        of_tokens, grad_weight, grad_bias = linear_backward(
            grad, tokens.detach().to(product), weight.to(product), (any(needs), of_weight, of_bias)
        )
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        found: Iterator[Tensor] = iter(())
        if of_tokens is not None:
            found = iter(torch.autograd.grad(tokens, wanted, of_tokens.to(tokens.dtype)))
        grad_x, *rest = [next(found) if need else None for need in needs]
        if grad_weight is not None:
            grad_weight = grad_weight.to(weight.dtype)
        if grad_bias is not None:
            grad_bias = grad_bias.to(weight.dtype)
        return None, grad_x, grad_weight, grad_bias, *rest


def can_run_twice(module: nn.Module) -> bool:
    """Whether a second forward pass leaves no traces.

    Args:
        module: the module.

    Returns:
        False where batch norm would count its statistics twice.
    """
    return not any(isinstance(part, _BatchNorm) for part in module.modules())
