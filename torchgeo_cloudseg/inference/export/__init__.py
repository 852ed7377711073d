"""Networks as files that run without this package: torch.export's ``.pt2``, and ONNX.

One graph is recorded for all batches and sizes. A file is read back and compared with the network
before it gets its name. Beside it stand a STAC item and a model card.
"""

from .calibration import CalibrationScenes
from .formats import FACTS
from .network import export_network

__all__ = ('FACTS', 'CalibrationScenes', 'export_network')
