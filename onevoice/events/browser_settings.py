"""The documents that vendors' browser clients fetch before they send: where to send, and that there is nothing to load.

Shapes: `LegacySettings` of @segment/analytics-next; `isValidSourceConfig` of @rudderstack/analytics-js.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from onevoice.events.sources import Source

_OPEN = {"__default": {"enabled": True, "integrations": {}}}


def for_analytics_js(source: Source, url: str) -> dict[str, Any]:
    """What analytics.js gets from `/v1/projects/KEY/settings`; `url` is ours as the browser reaches it.

    The one integration is "Segment.io", which is analytics.js' name for the tracking API itself.
    """
    address = urlsplit(url)
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": source.write_key,
                "apiHost": f"{address.netloc}{address.path.rstrip('/')}/v1",
                "protocol": address.scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
            }
        },
        "plan": {"track": _OPEN, "identify": _OPEN, "group": _OPEN},
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "remotePlugins": [],
        "legacyVideoPluginsEnabled": False,
        "analyticsNextEnabled": True,
        "metrics": {"sampleRate": 0},  # its own performance figures, which nobody here would read
    }


def for_rudderstack(source: Source, now: datetime) -> dict[str, Any]:
    """What RudderStack's browser client gets from `/sourceConfig`: a source without destinations in the browser."""
    at = now.isoformat()
    return {
        "source": {
            "id": str(source.id),
            "name": source.name,
            "writeKey": source.write_key,
            "enabled": True,
            "workspaceId": "onevoice",
            "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
            "dataplanes": {},
            "destinations": [],
            "connections": [],
            "updatedAt": at,
        },
        "updatedAt": at,
    }
