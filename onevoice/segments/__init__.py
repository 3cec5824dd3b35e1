"""Who: condition trees, compiled to Ibis, recomputed as often as needed."""
