"""Networks in a folder or on the Hugging Face Hub: weights that run no code, and their facts."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from huggingface_hub import ModelHubMixin, hf_hub_download
from safetensors.torch import load_file, save_file

from ..datasets.scene_spec import SceneSpec, spec_from_dict, spec_to_dict
from .calibration import Calibration
from .weights import WeightsFileError, misfits

CONFIG = 'config.json'
WEIGHTS = 'model.safetensors'

#: Keys of the configuration.
ARCHITECTURE, ARGUMENTS, FACTS = 'architecture', 'arguments', 'scene_spec'
CALIBRATION = 'calibration'


class HubNetwork(ModelHubMixin, library_name='torchgeo-cloudseg', tags=['remote-sensing']):
    """What gives a network ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``.

    A folder holds the arguments of the network with the facts that a map needs (``config.json``),
    and its weights (``model.safetensors``). Nothing in it is run.

    Attributes:
        scene_spec: facts of the data that the network was trained on, or None. What
            :func:`~torchgeo_cloudseg.trainers.load_mapper` returns may be set here before saving.
        calibration: by what the network's confidence is true, as ``cloudseg calibrate`` found it.
    """

    scene_spec: SceneSpec | None = None
    calibration: Calibration = Calibration()

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the signature of the constructor, which the mixin's ``__new__`` would hide.

        Args:
            **kwargs: arguments of other base classes.
        """
        super().__init_subclass__(**kwargs)
        signature = inspect.signature(cls.__init__)
        parameters = list(signature.parameters.values())[1:]
        cls.__signature__ = signature.replace(parameters=parameters)

    def _save_pretrained(self, save_directory: Path) -> None:
        network: Any = self
        facts = None if self.scene_spec is None else spec_to_dict(self.scene_spec)
        config = {
            ARCHITECTURE: network.name,
            ARGUMENTS: asdict(network.config),
            FACTS: facts,
            CALIBRATION: asdict(self.calibration),
        }
        (save_directory / CONFIG).write_text(json.dumps(config, indent=2) + '\n')
        tensors = {name: x.contiguous() for name, x in network.state_dict().items()}
        save_file(tensors, save_directory / WEIGHTS, metadata={'format': 'pt'})

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **_: Any,
    ) -> Self:
        def find(name: str) -> Path:
            if Path(model_id).is_dir():
                return Path(model_id) / name
            return Path(
                hf_hub_download(
                    model_id, name, revision=revision, cache_dir=cache_dir,
                    force_download=force_download, token=token, local_files_only=local_files_only,
                )
            )  # fmt: skip

        path = find(CONFIG)
        try:
            config = json.loads(path.read_text())
            name, arguments, facts = config[ARCHITECTURE], config[ARGUMENTS], config[FACTS]
        except (ValueError, KeyError, TypeError) as error:
            expected = f'a dict with {ARCHITECTURE}, {ARGUMENTS} and {FACTS}'
            raise WeightsFileError(path, f'no such configuration ({error!r})', expected) from error
        kinds: Any = cls
        kind = kinds.registry.get(name)
        if kind is None or not issubclass(kind, cls):
            raise WeightsFileError(path, f'{ARCHITECTURE} {name!r}', f'that of a {cls.__name__}')
        network: Any = kind(**arguments)
        state_dict = load_file(find(WEIGHTS))
        if problems := misfits(network.state_dict(), state_dict):
            raise WeightsFileError(find(WEIGHTS), f'parameters {problems}', f'those of {path}')
        network.load_state_dict(state_dict)
        network.calibration = Calibration(**config.get(CALIBRATION, {}))
        network.scene_spec = None if facts is None else spec_from_dict(facts)
        loaded: Self = network.eval()
        return loaded
