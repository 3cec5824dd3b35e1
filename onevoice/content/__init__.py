"""What is said: templates per channel and locale, compiled when saved, rendered when sent."""
