"""What to compute: mechanisms and their parts, as plain values that know no engine."""
