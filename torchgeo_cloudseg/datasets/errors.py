"""Errors about data sets as a whole; those about files are in :mod:`~torchgeo_cloudseg.rasters`."""

from __future__ import annotations

from torchgeo.datasets import DatasetNotFoundError


class EmptySplitError(DatasetNotFoundError):
    """A split without scenes, of a data set that is there."""

    def __init__(self, message: str) -> None:
        """Initialize a new EmptySplitError instance.

        Args:
            message: what was found, and what to do.
        """
        FileNotFoundError.__init__(self, message)
