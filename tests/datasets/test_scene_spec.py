"""What a network expects of a scene."""

import pickle
from dataclasses import replace
from fractions import Fraction

import pytest

from torchgeo_cloudseg.datasets import LandCoverClass, SceneSpec

CLASSES = {'class_names': ['a', 'b'], 'class_colors': [[0, 0, 0], [255, 0, 0]]}


def test_values_from_json_are_taken() -> None:
    spec = SceneSpec(**CLASSES, optical_bands=[3, 2, 1], label_scale=0.3, sar_range=([-20], [0]))
    assert spec.class_colors == ((0, 0, 0), (255, 0, 0))
    assert spec.optical_bands == (3, 2, 1)
    assert spec.label_scale == Fraction(3, 10)
    assert spec.sar_range == ((-20.0,), (0.0,))
    assert hash(spec) == hash(
        SceneSpec(**CLASSES, optical_bands=(3, 2, 1), sar_range=((-20,), (0,)))
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'class_names': []}, 'class_names: found 0'),
        ({'class_names': ['a']}, 'class_colors: found 2, expected one for each of the 1'),
        ({'optical_bands': (0, 1)}, 'counted from 1'),
        ({'sar_bands': ()}, 'sar_bands'),
        ({'sar_range': ((-25, -32, -1), (0, 0, 0))}, 'sar_range: found 3 lower'),
        ({'label_scale': -1}, 'positive'),
    ],
)
def test_contradictions_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneSpec(**{**CLASSES, **change})


def test_earlier_spelling_is_understood() -> None:
    with pytest.warns(DeprecationWarning, match='class_colours is now class_colors'):
        spec = SceneSpec(class_names=['a'], class_colours=[[1, 2, 3]])
    with pytest.warns(DeprecationWarning, match='class_colours'):
        assert spec.class_colours == spec.class_colors == ((1, 2, 3),)
    assert replace(spec, class_colors=((0, 0, 0),)).class_colors == ((0, 0, 0),)
    with pytest.warns(DeprecationWarning, match='colour is now color'):
        wheat = LandCoverClass('wheat', codes=(1,), colour=(220, 190, 60))
    with pytest.warns(DeprecationWarning, match='colour'):
        assert wheat.colour == wheat.color == (220, 190, 60)
    assert pickle.loads(pickle.dumps(wheat)) == wheat
