"""OneVoice: one voice to every customer, on every channel."""

__version__ = "0.1.0"
