"""Arguments of tasks: plain values, what makes the network, and how checkpoints keep them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from fractions import Fraction
from inspect import signature
from typing import Any

import numpy as np
from torch import Tensor

from ..models import Fusion, Network

#: Key of a checkpoint under which lie the arguments of its task. Lightning reads it when it loads a
#: task; its command line does not, and would set those under ``hyper_parameters`` over the user's.
ARGUMENTS = 'module_arguments'
HYPERPARAMETERS = 'hyper_parameters'

#: Argument of a task by which a user changes a part of the network's configuration.
ARGUMENT_OF = {'encoder': 'backbone', 'reconstruct': 'reconstruction_weight'}

#: Arguments that name a class. A checkpoint may name classes that are there, and import no others.
NAMED: dict[str, type[Network | Fusion]] = {'architecture': Network, 'fusion': Fusion}

#: Values that a checkpoint can hold, and that are read again without running code.
PLAIN = (bool, int, float, str, type(None))


def plain_value(value: Any, name: str) -> Any:
    """An argument as checkpoints can hold it.

    Args:
        value: any value.
        name: of the argument, for the message.

    Returns:
        numbers, arrays and tensors of NumPy and torch, fractions, paths, members of enumerations
        and classes as Python's own numbers, lists and strings; sequences and dicts with all that
        is in them.

    Raises:
        ValueError: if the value cannot be kept.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, Enum):
        return plain_value(value.value, name)
    if isinstance(value, np.floating):
        return float(str(value))  # float32's 0.3 is to be 0.3, not 0.30000001192092896
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return plain_value(value.tolist(), name)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): plain_value(item, f'{name}[{key!r}]') for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [plain_value(item, f'{name}[{i}]') for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, type) and '<' not in value.__qualname__:
        return f'{value.__module__}.{value.__qualname__}'
    raise ValueError(
        f'{name}: found a {type(value).__qualname__}, which a checkpoint cannot hold. Give '
        'numbers, strings, lists or dicts; name what is more in the attribute `ignore` of the '
        'task, which leaves it out of the hyperparameters.'
    )


def keep_arguments(checkpoint: dict[str, Any], arguments: Mapping[str, Any]) -> None:
    """Write the arguments of a task into a checkpoint.

    Args:
        checkpoint: what is saved; changed in place.
        arguments: arguments by name; private ones are left out.
    """
    checkpoint[ARGUMENTS] = {k: v for k, v in arguments.items() if not k.startswith('_')}
    checkpoint[HYPERPARAMETERS] = {}


def task_arguments(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the task that wrote a checkpoint, of this version or an earlier one.

    Args:
        checkpoint: what was saved.

    Returns:
        arguments by name.

    Raises:
        ValueError: if they name a class whose module nobody has imported.
    """
    found = {**checkpoint.get(ARGUMENTS, {}), **checkpoint.get(HYPERPARAMETERS, {})}
    for name, kind in NAMED.items():
        if name in found and str(found[name]) not in kind.registry:
            raise ValueError(
                f'{name}: the checkpoint names {found[name]!r}, expected one of '
                f'{sorted(kind.registry)}. A file may not say what is imported: if you trust it, '
                'import the module that defines the class before the checkpoint is read.'
            )
    return {name: value for name, value in found.items() if not name.startswith('_')}


def network_class(arguments: Mapping[str, Any]) -> type[Network]:
    """Class of the network that a task's arguments describe.

    Args:
        arguments: arguments of a task; those of before 2026-12 name no architecture.

    Returns:
        the class.

    Raises:
        ValueError: if there is none of this name.
    """
    return Network.find(arguments.get('architecture', 'cloudseg'))


def network_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What of a task's arguments makes its network.

    Args:
        arguments: arguments of a task. Those of a teacher say nothing of spatial gates and
            reconstruction: it has neither.

    Returns:
        arguments of the network's class.

    Raises:
        KeyError: if one is missing.
    """
    kind = network_class(arguments)
    # checkpoints of before 2026-12 do not name what there was no choice of
    newer = {'modalities', 'fusion', 'residual'}
    known = {field.name for field in fields(kind.config_class)} & newer
    return {
        'encoder': arguments['backbone'] or kind.config_class.encoder,
        'in_channels': tuple(arguments['in_channels']),
        'num_classes': arguments['num_classes'],
        'spatial_gate': arguments.get('spatial_gate', False),
        'reconstruct': arguments.get('reconstruction_weight', 0) > 0,
        **{name: arguments[name] for name in known if name in arguments},
    }


def contradictions(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, str]:
    """Where a task describes another network than a checkpoint holds.

    Args:
        given: arguments of the task.
        stored: arguments in the checkpoint.

    Returns:
        for each argument that differs, what was found and what is stored; empty if all is well.
    """
    kinds = [network_class(some) for some in (given, stored)]
    ours, theirs = (
        {'architecture': kind.name, **vars(kind.config_class(**network_arguments(some)))}
        for kind, some in zip(kinds, (given, stored), strict=True)
    )
    # what only one architecture has goes with it
    pairs = {name: (ours[name], theirs[name]) for name in ours.keys() & theirs.keys()}
    return {
        ARGUMENT_OF.get(name, name): f'found {given_value}, the checkpoint has {stored_value}'
        for name, (given_value, stored_value) in pairs.items()
        if given_value != stored_value
    }


def refuse_contradictions(given: Mapping[str, Any], stored: Mapping[str, Any], path: Any) -> None:
    """Refuse a task that describes another network than a checkpoint holds.

    Args:
        given: arguments of the task.
        stored: arguments in the checkpoint.
        path: the checkpoint, for the message.

    Raises:
        ValueError: if they differ in what makes the network.
    """
    if found := contradictions(given, stored):
        listed = '; '.join(f'{name}: {text}' for name, text in found.items())
        raise ValueError(
            f'{path}: the task describes another network than the checkpoint holds. {listed}. '
            'What belongs to the network comes from the checkpoint: leave these arguments out, or '
            'give them as the checkpoint has them.'
        )


def changes(given: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Which arguments of a run are others than those of the run that wrote a checkpoint.

    Args:
        given: arguments of the task.
        stored: arguments in the checkpoint.

    Returns:
        a list for a message; empty if there are none.
    """
    # tuples come back from YAML as lists
    changed = [
        n for n, v in given.items() if n in stored and json.dumps(v) != json.dumps(stored[n])
    ]
    return ', '.join(f'{name}={given[name]!r} (was {stored[name]!r})' for name in changed)


def defaults(task_class: type) -> dict[str, Any]:
    """Defaults of a task's arguments, those of its base classes included.

    Args:
        task_class: class of the task.

    Returns:
        defaults by name.
    """
    return {
        parameter.name: parameter.default
        for kind in reversed(task_class.__mro__)
        if '__init__' in vars(kind)
        for parameter in signature(vars(kind)['__init__']).parameters.values()
    }
