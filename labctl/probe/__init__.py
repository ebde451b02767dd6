"""The request engine: one probe plan in, samples out."""
