"""Tasks: the loss of a head, the divergence between two predictions, the prediction itself and its metrics."""
