"""All that differs between TorchGeo 0.8 and 0.10, in one place, and names of earlier versions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from packaging.version import Version
from torch import Tensor

if TYPE_CHECKING:
    from pyproj import CRS
    from torchgeo.trainers import BaseTask, SemanticSegmentationTask
else:
    try:
        from torchgeo.tasks import BaseTask
        from torchgeo.tasks import SemanticSegmentation as SemanticSegmentationTask
    except ModuleNotFoundError:  # TorchGeo before 0.9
        from torchgeo.trainers import BaseTask, SemanticSegmentationTask

T = TypeVar('T')

#: What is TorchGeo's.
__all__ = ('BaseTask', 'SemanticSegmentationTask')

#: TorchGeo 0.9 replaced the ``crs`` and slices of a sample by tensors.
TENSOR_METADATA = Version(version('torchgeo')) >= Version('0.9')


def deprecated_names(module: str, names: Mapping[str, tuple[str, str]]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that knows names by which things were called before.

    Args:
        module: name of the module.
        names: for each old name the module that has the thing now, and its name there.

    Returns:
        the function; it warns (:class:`DeprecationWarning`) whoever uses an old name.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f'module {module!r} has no attribute {name!r}')
        place, new = names[name]
        warnings.warn(f'{module}.{name} is now {place}.{new}.', DeprecationWarning, stacklevel=2)
        return getattr(import_module(place), new)

    return get


def renamed_fields(**names: str) -> Callable[[type[T]], type[T]]:
    """Let a class be made, and its fields be read, by names that they had before.

    Args:
        **names: the present name for each old one.

    Returns:
        a decorator of the class, whose instances warn (:class:`DeprecationWarning`).
    """

    def decorate(cls: type[T]) -> type[T]:
        def present(old: str) -> str:
            text = f'{cls.__name__}: {old} is now {names[old]}.'
            warnings.warn(text, DeprecationWarning, stacklevel=3)
            return names[old]

        def reader(old: str) -> property:
            return property(lambda self: getattr(self, present(old)))

        made_by = '__new__' if issubclass(cls, tuple) else '__init__'
        make = getattr(cls, made_by)

        @wraps(make)
        def renamed(self: Any, *args: Any, **kwargs: Any) -> Any:
            for old in names.keys() & kwargs.keys():
                kwargs[present(old)] = kwargs.pop(old)
            return make(self, *args, **kwargs)

        setattr(cls, made_by, renamed)
        for old in names:
            setattr(cls, old, reader(old))
        return cls

    return decorate


def bounds_to_tensor(bounds: tuple[slice, slice, slice] | Tensor) -> Tensor:
    """Spatio-temporal bounds as one tensor, whatever TorchGeo's version wrote.

    Args:
        bounds: slices ``(x, y, t)`` (TorchGeo 0.8) or a tensor of nine numbers (0.9 and later).

    Returns:
        float64 tensor of shape (9,): start, stop and step of x and y in units of the CRS, and of
        t in seconds since 1970. float64, because float32 moves a northing by decimeters.
    """
    if isinstance(bounds, Tensor):
        return bounds.to(torch.float64)
    x, y, t = bounds
    start, stop = t.start.timestamp(), t.stop.timestamp()
    values = (x.start, x.stop, x.step, y.start, y.stop, y.step, start, stop, t.step)
    return torch.tensor(values, dtype=torch.float64)


def georeference(
    x: slice, y: slice, t: slice, crs: CRS
) -> dict[str, CRS | Tensor | tuple[slice, slice, slice]]:
    """Where a sample lies, under the keys that the installed TorchGeo uses.

    Args:
        x: start, stop and pixel width in units of *crs*.
        y: start, stop and pixel height in units of *crs*.
        t: start and stop as :class:`pandas.Timestamp`, and a step.
        crs: coordinate reference system of *x* and *y*.

    Returns:
        ``bounds`` (slices in 0.8; float64 tensor of shape (9,) later), ``transform`` (float64
        tensor of shape (9,), the affine matrix row by row) and, in 0.8, ``crs``.
    """
    transform = torch.tensor(
        (x.step, 0.0, x.start, 0.0, -y.step, y.stop, 0.0, 0.0, 1.0), dtype=torch.float64
    )
    if TENSOR_METADATA:
        return {'bounds': bounds_to_tensor((x, y, t)), 'transform': transform}
    return {'crs': crs, 'bounds': (x, y, t), 'transform': transform}
