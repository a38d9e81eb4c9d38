"""Events out of scanned rows: what is wanted of each kind in, columns of a batch out."""
