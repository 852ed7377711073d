"""Pictures of synthetic clouds for docs/clouds.md.

    python experiments/pictures/clouds.py --real /data/m3mcr-sample

The ground is miniature data. With a real M3M-CR sample, the opacity of its clouds is estimated from
the cloudy and the cloud-free image and drawn beside ours; its images are not shown.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.datasets.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.samplers import CenterSceneSampler
from torchgeo_cloudseg.transforms import PRESETS, SyntheticClouds

PIXEL_SIZE = 3.0

#: Reflectance that is shown white.
WHITE = 0.25
OUTPUT = Path(__file__).parents[2] / 'docs/images'


def ground() -> Tensor:
    """A cloud-free miniature scene (4, 600, 600), 0..1: four patches side by side."""
    with tempfile.TemporaryDirectory() as folder:
        write_miniature_m3mcr(folder, seed=2, train_areas=0, test_areas=1, progress=False)
        dataset = M3MCR(folder, split='test', modalities=('image_clear',))
        parts = [dataset[place]['image_clear'] / 10_000 for place in CenterSceneSampler(dataset)]
    rows = [torch.cat(parts[i : i + 2], dim=-1) for i in (0, 2)]
    return torch.cat(rows, dim=-2)


def cloudy(image: Tensor, seed: int = 5, **options: object) -> dict[str, Tensor]:
    clouds = SyntheticClouds(pixel_size=PIXEL_SIZE, layers=('alpha',), **options)
    sample: dict[str, Tensor] = clouds({'image': image}, seeds=seed)
    return sample


def panels(images: dict[str, Tensor], columns: int, white: float) -> Figure:
    rows = -(-len(images) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.4 * columns, 2.6 * rows), layout='constrained', squeeze=False
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (title, image) in zip(grid.flat, images.items(), strict=False):
        if image.shape[0] == 1:
            axes.imshow(image[0], cmap='gray', vmin=0, vmax=1)
        else:
            axes.imshow((image[[2, 1, 0]] / white).clamp(0, 1).movedim(0, -1))
        axes.set_title(title, fontsize=9)
    return figure


def save(figure: Figure, name: str) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUTPUT / f'.{name}', dpi=80, format='png')
    (OUTPUT / f'.{name}').replace(OUTPUT / name)
    plt.close(figure)


def real_opacity(root: Path) -> Tensor:
    """Opacity (1, H, W) of the clouds of a real patch.

    For each pixel the share of a grey cloud that takes the cloud-free image to the cloudy one in
    the least-squares sense; the cloud's reflectance is that of the brightest hundredth.
    """
    dataset = M3MCR(root, modalities=('image', 'image_clear'))
    sample = dataset[next(iter(CenterSceneSampler(dataset)))]
    image, clear = sample['image'] / 10_000, sample['image_clear'] / 10_000
    white = image.flatten(1).quantile(0.99, dim=1)[:, None, None]
    towards, moved = white - clear, image - clear
    alpha = (towards * moved).sum(0, keepdim=True) / towards.square().sum(0, keepdim=True)
    return alpha.clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--real', type=Path, help='root of a real M3M-CR sample')
    options = parser.parse_args()
    image = ground()
    images = {'cloud-free': image}
    images |= {name: cloudy(image, preset=name)['image'] for name in PRESETS}
    save(panels(images, 3, 1.8 * WHITE), 'clouds-presets.png')
    covers = [round(0.1 * step, 1) for step in range(1, 10)]
    images = {f'cover={c}': cloudy(image, preset='thick', cover=c)['image'] for c in covers}
    save(panels(images, 5, 1.8 * WHITE), 'clouds-cover.png')
    angles = (90.0, 180.0, 270.0)
    images = {
        f'sun_azimuth={a:.0f}': cloudy(
            image, preset='thick', cover=0.15, sun_azimuth=a, sun_zenith=50.0, cloud_height=200.0
        )['image']
        for a in angles
    }
    save(panels(images, 3, 0.7 * WHITE), 'clouds-shadows.png')
    images = {'opacity, m3mcr preset': cloudy(image, preset='m3mcr', cover=0.4)['image_alpha']}
    if options.real is not None:
        images['opacity of a real cloud'] = real_opacity(options.real)
    save(panels(images, 2, 1.0), 'clouds-opacity.png')


if __name__ == '__main__':
    main()
