"""What several weights say together: products over layers and heads, streamed as vectors and never as matrices."""
