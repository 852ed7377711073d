"""U-Net decoders over a pyramid of maps at strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Sequence

from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

#: Channels after each of the decoder's blocks, the last at image size.
DECODER_CHANNELS = (256, 128, 64, 32, 16)

#: Channels between the two convolutions of the reconstruction head.
RECONSTRUCTION_CHANNELS = 64


class Decoder(nn.Module):
    """smp's U-Net decoder, from four maps to 16 features at image size.

    The two finest blocks have no skip connection: the encoders' maps begin at stride 4.
    """

    #: Channels of the result.
    out_channels = DECODER_CHANNELS[-1]

    def __init__(self, channels: Sequence[int]) -> None:
        """Initialize a new Decoder instance.

        Args:
            channels: channels of the maps at strides 4, 8, 16 and 32.
        """
        super().__init__()
        # smp counts the image (stride 1) and a map at stride 2; ours are empty
        decoder = UnetDecoder((0, 0, *channels), DECODER_CHANNELS, len(DECODER_CHANNELS))
        initialize_decoder(decoder)
        self.blocks = decoder.blocks

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Decode.

        Args:
            maps: four maps (B, C, H, W) at strides 4, 8, 16 and 32.

        Returns:
            features of shape (B, 16, H, W) at stride 1.
        """
        x, *skips = reversed(maps)
        for block, skip in zip(self.blocks, (*skips, None, None), strict=True):
            height, width = x.shape[-2:]
            x = block(x, 2 * height, 2 * width, skip)
        return x


class Reconstruction(nn.Module):
    """Cloud-free image from the optical maps: a U-Net decoder and two convolutions.

    There is no activation between the convolutions, nor after them. They start as PyTorch's own do;
    from Xavier's values the last one would start 2.4 times larger.
    """

    def __init__(
        self, channels: Sequence[int], out_channels: int, start_at_zero: bool = False
    ) -> None:
        """Initialize a new Reconstruction instance.

        Args:
            channels: channels of the maps at strides 4, 8, 16 and 32.
            out_channels: channels of the image.
            start_at_zero: give 0 everywhere, to begin with.
        """
        super().__init__()
        self.decoder = Decoder(channels)
        last = nn.Conv2d(RECONSTRUCTION_CHANNELS, out_channels, 3, padding=1)
        self.head = nn.Sequential(
            nn.Conv2d(self.decoder.out_channels, RECONSTRUCTION_CHANNELS, 3, padding=1), last
        )
        if start_at_zero:
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Reconstruct.

        Args:
            maps: four maps (B, C, H, W) at strides 4, 8, 16 and 32.

        Returns:
            image of shape (B, C, H, W) at stride 1.
        """
        image: Tensor = self.head(self.decoder(maps))
        return image
