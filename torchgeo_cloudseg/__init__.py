"""Land-cover mapping through clouds with optical and SAR images, for TorchGeo."""

__version__ = '0.1.0.dev0'
