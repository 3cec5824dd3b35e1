"""The HTTP application: authentication, each domain's routes, the OpenAPI document, the page."""
