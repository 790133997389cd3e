"""Linear attention in three forms that agree: dense, chunked (training) and recurrent (generation)."""
