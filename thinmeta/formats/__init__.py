"""Models out: the thin_* tools' texts and JSON, as bytes."""
