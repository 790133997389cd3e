"""What a record can become: its steps joined, narrowed, written and read, merged with others."""
