"""Maps of scenes: pairing of images, rows, products and files."""
