"""Models assembled from layers, short enough to be read beside their papers."""
