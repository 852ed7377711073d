"""Kinds of modules of which users may add their own, known by name."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any, ClassVar, Self

from torch import nn


class Registered(nn.Module):
    """A module that is found by name. A direct subclass opens a registry, its own are in it."""

    #: What error messages call the kind.
    kind: ClassVar[str]

    #: Classes of this kind by name.
    registry: ClassVar[dict[str, type[Registered]]]

    #: That under which a class is registered, or where it is defined.
    name: ClassVar[str]

    def __init_subclass__(cls, name: str = '', **kwargs: Any) -> None:
        """Register a class.

        Args:
            name: its name, of a kind that of the kind; without one a class is known by its module
                and name.
            **kwargs: arguments of other base classes.

        Raises:
            ValueError: if another class has this name.
        """
        super().__init_subclass__(**kwargs)
        if Registered in cls.__bases__:
            cls.kind, cls.registry = name, {}
            return
        cls.name = name or f'{cls.__module__}.{cls.__qualname__}'
        other = cls.registry.setdefault(cls.name, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f'{cls.kind} {cls.name!r}: {other.__module__}.{other.__qualname__} already has '
                'this name. Give another.'
            )
        cls.registry[cls.name] = cls

    @classmethod
    def find(cls, wanted: str | type[Self]) -> type[Self]:
        """Find a class of this kind.

        Args:
            wanted: its name, where it is defined (``my_package.my_module.MyClass``), or itself.

        Returns:
            the class.

        Raises:
            ValueError: if there is none.
        """
        found: Any = wanted
        cause = None
        if isinstance(wanted, str):
            try:
                found = cls.registry.get(wanted) or resolve_name(wanted)
            except (ImportError, AttributeError, ValueError) as error:
                cause = error
        if not (isinstance(found, type) and issubclass(found, cls)):
            raise ValueError(
                f'{cls.kind}={wanted!r}: must be one of {sorted(cls.registry)}, or a subclass of '
                f'{cls.__module__}.{cls.__qualname__}; {cause or type(found)}'
            ) from cause
        return found
