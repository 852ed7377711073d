"""Metrics of CloudSeg."""

from .calibration import CalibrationMetrics
from .confusion import confusion_scores
from .reconstruction import ReconstructionMetrics
from .regions import REGIONS, Region, region_table
from .scenes import SceneMetrics, SceneScores
from .segmentation import RegionMetrics

__all__ = (
    'REGIONS',
    'CalibrationMetrics',
    'ReconstructionMetrics',
    'Region',
    'RegionMetrics',
    'SceneMetrics',
    'SceneScores',
    'confusion_scores',
    'region_table',
)
