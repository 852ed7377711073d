"""What may be wanted of a map."""

import pytest

from torchgeo_cloudseg.inference import MapOptions


def test_options() -> None:
    assert MapOptions(products=['quicklook', 'confidence']).products == (
        'classes',
        'confidence',
        'quicklook',
    )
    with pytest.raises(ValueError, match=r"products: found \['entropy'\]"):
        MapOptions(products=['entropy'])
    with pytest.raises(ValueError, match="resolution='native'"):
        MapOptions(resolution='native')
