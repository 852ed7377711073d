"""What stands beside an exported network: a STAC item and a model card."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from torchgeo_cloudseg.inference import SceneSpec
from torchgeo_cloudseg.inference.export.card import model_card
from torchgeo_cloudseg.inference.export.item import model_item
from torchgeo_cloudseg.models import Calibration

QUANTIZATION = {
    'type': 'int8', 'scenes': ['fall', 'winter'], 'seed': 3, 'windows': 8, 'compared': 2,
    'agreement': 0.98765, 'difference': 0.01, 'spread': 1.5,
}  # fmt: skip


@pytest.fixture
def facts() -> dict[str, Any]:
    versions = {'torchgeo-cloudseg': '0.1.0', 'torch': '2.14.1+cpu', 'onnx': '1.23.2'}
    return {
        'architecture': 'lite', 'encoder': 'mobilenetv4_conv_small', 'modalities': 'both',
        'parameters': 2_800_000, 'outputs': ['logits', 'opacity', 'reconstruction'], 'window': 160,
        'resolution': 'label', 'versions': versions,
    }  # fmt: skip


@pytest.fixture
def named(spec: SceneSpec) -> SceneSpec:
    names = ('blue', 'green', 'red', 'nir')
    return replace(spec, optical_names=names, class_names=('forest', 'bare | rock', 'town'))


@pytest.mark.parametrize('name', ['a.onnx', 'a.pt2'])
def test_items_follow_the_extension(name: str, facts: dict, named: SceneSpec) -> None:
    stac_model = pytest.importorskip('stac_model.schema')
    pystac = pytest.importorskip('pystac')
    item = json.loads(json.dumps(model_item(Path(name), facts, named, 1000)))
    properties = item['properties']
    checked = stac_model.MLModelProperties(**properties)
    assert checked.total_parameters == 2_800_000
    for required in ('name', 'architecture', 'tasks', 'input', 'output'):
        lacking = {key: x for key, x in properties.items() if key != f'mlm:{required}'}
        with pytest.raises(ValueError, match=f'mlm:{required}'):
            stac_model.MLModelProperties(**lacking)
    # one with an input that the extension does not know is refused
    broken = copy.deepcopy(properties)
    del broken['mlm:input'][0]['value_scaling'][0]['minimum']
    with pytest.raises(ValueError, match='value_scaling'):
        stac_model.MLModelProperties(**broken)
    # the schemas of extensions lie in the network, that of the core does not
    assert pystac.Item.from_dict({**item, 'stac_extensions': []}).validate()
    assert item['stac_extensions'][0].startswith('https://stac-extensions.github.io/mlm/v1.5')


def test_item_states_the_facts(facts: dict, named: SceneSpec) -> None:
    item = model_item(Path('folder/a.onnx'), facts, named, 1234)
    properties = item['properties']
    optical, sar = properties['mlm:input']
    assert optical['bands'] == ['optical blue', 'optical green', 'optical red', 'optical nir']
    assert sar['bands'] == ['SAR band 1', 'SAR band 2']
    # every band that an input names is described
    assert [band['name'] for band in properties['bands']] == optical['bands'] + sar['bands']
    assert optical['value_scaling'] == [{'type': 'min-max', 'minimum': 0, 'maximum': 10000}] * 4
    assert [x['minimum'] for x in sar['value_scaling']] == [-25, -32.5]
    assert sar['input'] == {
        'shape': [-1, 2, -1, -1],
        'dim_order': ['batch', 'band', 'height', 'width'],
        'data_type': 'float32',
    }
    logits, opacity, image = properties['mlm:output']
    assert opacity['result']['shape'] == [-1, 1, -1, -1]
    assert logits['tasks'] == ['semantic-segmentation']
    assert logits['classification:classes'][1] == {
        'value': 1, 'name': 'bare-rock', 'description': 'bare | rock', 'color_hint': '0064C8',
    }  # fmt: skip
    assert image['result']['shape'] == [-1, 4, -1, -1]
    assert (properties['mlm:framework'], properties['mlm:framework_version']) == ('ONNX', '1.23.2')
    model = item['assets']['model']
    assert (model['href'], model['file:size']) == ('./a.onnx', 1234)
    assert 'mlm:model' in model['roles']
    # the extension wants it there, and nowhere else
    assert [key for key, x in item['assets'].items() if 'mlm:artifact_type' in x] == ['model']
    assert item['assets']['card']['href'] == './a.onnx.md'


def test_card_states_the_facts(facts: dict, named: SceneSpec) -> None:
    text = model_card(Path('a.onnx'), {**facts, 'quantization': QUANTIZATION}, named, 2_000_000)
    lines = text.splitlines()
    assert '# Land cover through clouds (lite, mobilenetv4_conv_small, int8)' in lines
    assert '| sar | 2 | SAR band 2 | -32.5 | 0 |' in lines
    assert '| parameters | 2,800,000 |' in lines
    # a bar in a name would end its cell
    assert '| 1 | bare &#124; rock | #0064c8 |' in lines
    assert any('98.77% of the pixels' in line and 'fall, winter' in line for line in lines)
    plain = model_card(Path('a.onnx'), facts, named, 1)
    assert '- `opacity`: that of the clouds, (batch, 1, height, width), 0 clear..1 opaque.' in plain
    assert not {'## Precision', '## Confidence'} & set(plain.splitlines())
    found = Calibration((1.25, 2.0), (0.4, 0.3), coverage=0.95, edges=(0.5,))
    card = model_card(Path('a.onnx'), {**facts, 'calibration': asdict(found)}, named, 1)
    assert '| opacity | temperature | least probability in a 95 % set |' in card
    assert '| 0.5 to 1 | 2.000 | 0.300 |' in card
