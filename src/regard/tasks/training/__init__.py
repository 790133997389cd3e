"""Training: from rows to the best weights, resumed to the bit wherever it was stopped."""
