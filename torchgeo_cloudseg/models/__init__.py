"""Models."""

from torchgeo_cloudseg.models.cloudsegnet import CloudSegConfig, CloudSegNet, CloudSegOutput
from torchgeo_cloudseg.models.encoders import Encoder, create_encoder
from torchgeo_cloudseg.models.reference import load_reference_checkpoint
from torchgeo_cloudseg.models.state_files import WeightsFileError
from torchgeo_cloudseg.models.weights import PretrainedWeightsError

__all__ = (
    'CloudSegConfig',
    'CloudSegNet',
    'CloudSegOutput',
    'Encoder',
    'PretrainedWeightsError',
    'WeightsFileError',
    'create_encoder',
    'load_reference_checkpoint',
)
