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
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.samplers import CenterSceneSampler
from torchgeo_cloudseg.transforms import PRESETS, SyntheticClouds

PIXEL_SIZE = 3.0

#: Reflectance that is shown white, and exponent of the display: clouds are ten times as bright.
WHITE, GAMMA = 0.75, 0.5

#: Side of a real patch in pixels.
PATCH = 300
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


def panels(images: dict[str, Tensor], columns: int, white: float = WHITE) -> Figure:
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
            axes.imshow((image[[2, 1, 0]] / white).clamp(0, 1).pow(GAMMA).movedim(0, -1))
        axes.set_title(title, fontsize=9)
    return figure


def save(figure: Figure, name: str) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUTPUT / f'.{name}', dpi=80, format='png')
    (OUTPUT / f'.{name}').replace(OUTPUT / name)
    plt.close(figure)


def real_opacity(root: Path) -> Tensor:
    """Opacity (1, H, W) of the clouds of a real patch.

    For each pixel the share of a gray cloud that takes the cloud-free image to the cloudy one in
    the least-squares sense; the cloud's reflectance is that of the brightest hundredth.
    """
    dataset = M3MCR(root, modalities=('image', 'image_clear'))
    sample = dataset[next(iter(CenterSceneSampler(dataset)))]
    image, clear = sample['image'] / 10_000, sample['image_clear'] / 10_000
    white = image.flatten(1).quantile(0.99, dim=1)[:, None, None]
    towards, moved = white - clear, image - clear
    alpha = (towards * moved).sum(0, keepdim=True) / towards.square().sum(0, keepdim=True)
    return alpha.clamp(0, 1)


def energy(alpha: Tensor) -> Tensor:
    """Energy of opacities (B, N, N) by wavenumber, 1 to N / 2 cycles per image, scaled to 1."""
    size = alpha.shape[-1]
    taper = torch.hann_window(size)
    power = torch.fft.fft2((alpha - alpha.mean((1, 2), keepdim=True)) * taper * taper[:, None])
    cycles = torch.fft.fftfreq(size) * size
    rings = cycles[:, None].hypot(cycles).round().long().flatten()
    total = torch.zeros(size).scatter_add(0, rings, power.abs().square().mean(0).flatten())
    return total[1 : size // 2] / total[1 : size // 2].sum()


def opacity_figure(real: Path | None) -> Figure:
    """Opacity of clouds of the preset and, where there is a sample, of real ones; their spectra."""
    ground = torch.full((20, 1, PATCH, PATCH), 0.1)
    clouds = SyntheticClouds('m3mcr', PIXEL_SIZE, layers=('alpha',), cover=0.48)
    drawn = clouds({'image': ground}, seeds=range(len(ground)))['image_alpha'][:, 0]
    fields = {'m3mcr preset': drawn[:1], 'm3mcr preset, another': drawn[1:2]}
    spectra = {'m3mcr preset, mean of 20': energy(drawn)}
    if real is not None:
        fields['a real cloud'] = real_opacity(real)
        spectra['a real cloud'] = energy(fields['a real cloud'])
    figure, axes = plt.subplots(
        1, len(fields) + 1, figsize=(2.4 * len(fields) + 3.2, 2.7), layout='constrained'
    )
    for panel, (title, alpha) in zip(axes, fields.items(), strict=False):
        panel.imshow(alpha[0], cmap='gray', vmin=0, vmax=1)
        panel.set_axis_off()
        panel.set_title(title, fontsize=9)
    for title, values in spectra.items():
        axes[-1].loglog(torch.arange(1, len(values) + 1), values, label=title)
    cycles = torch.arange(2.0, 100.0)
    axes[-1].loglog(cycles, 2 * cycles**-2.7, 'k:', label='k^-2.7')
    axes[-1].set_xlabel('cycles per 900 m', fontsize=8)
    axes[-1].set_title('energy spectrum of the opacity', fontsize=9)
    axes[-1].legend(fontsize=7)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--real', type=Path, help='root of a real M3M-CR sample')
    options = parser.parse_args()
    image = ground()
    images = {'cloud-free': image}
    images |= {name: cloudy(image, preset=name)['image'] for name in PRESETS}
    save(panels(images, 3), 'clouds-presets.png')
    covers = [round(0.1 * step, 1) for step in range(1, 10)]
    images = {'cloud-free': image}
    images |= {f'cover={c}': cloudy(image, preset='broken', cover=c)['image'] for c in covers}
    save(panels(images, 5), 'clouds-cover.png')
    angles = (90.0, 180.0, 270.0)
    images = {
        f'sun_azimuth={a:.0f}': cloudy(
            image, preset='thick', cover=0.15, sun_azimuth=a, sun_zenith=50.0, cloud_height=200.0
        )['image']
        for a in angles
    }
    save(panels(images, 3, 0.6 * WHITE), 'clouds-shadows.png')
    save(opacity_figure(options.real), 'clouds-opacity.png')


if __name__ == '__main__':
    main()
