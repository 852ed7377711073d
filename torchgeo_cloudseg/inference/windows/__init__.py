"""Sliding a network over images: where windows lie, what they weigh, and putting them together."""
