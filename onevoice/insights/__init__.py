"""What came of it: metrics defined once, attribution, experiments."""
