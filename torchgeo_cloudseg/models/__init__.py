"""Models."""

from .cloudsegnet import CloudSegConfig, CloudSegNet, CloudSegOutput, Modalities
from .encoders import Encoder, create_encoder
from .fusion import Fusion, find_fusion
from .reference import load_reference_checkpoint
from .weights import PretrainedWeightsError, WeightsFileError

__all__ = (
    'CloudSegConfig',
    'CloudSegNet',
    'CloudSegOutput',
    'Encoder',
    'Fusion',
    'Modalities',
    'PretrainedWeightsError',
    'WeightsFileError',
    'create_encoder',
    'find_fusion',
    'load_reference_checkpoint',
)
