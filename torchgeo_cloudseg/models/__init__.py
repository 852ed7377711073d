"""Models."""

from .calibration import Calibration
from .cloudsegnet import CloudSegConfig, CloudSegNet
from .encoders import Encoder, create_encoder
from .fusion import Fusion, find_fusion
from .lite import CloudSegLite
from .network import CloudSegOutput, Modalities, Network
from .reference import load_reference_checkpoint
from .released import CloudSegNet_Weights
from .weights import PretrainedWeightsError, WeightsFileError

__all__ = (
    'Calibration',
    'CloudSegConfig',
    'CloudSegLite',
    'CloudSegNet',
    'CloudSegNet_Weights',
    'CloudSegOutput',
    'Encoder',
    'Fusion',
    'Modalities',
    'Network',
    'PretrainedWeightsError',
    'WeightsFileError',
    'create_encoder',
    'find_fusion',
    'load_reference_checkpoint',
)
