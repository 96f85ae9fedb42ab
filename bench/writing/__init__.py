"""How fast rows are written: what is written, the ways in which it is, and what each took."""
