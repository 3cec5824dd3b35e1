"""Plays the scene with rudder-sdk-python: `rudder_python.py HOST WRITE_KEY`; tells on stdout how it went."""

import json
import sys
from datetime import datetime
from pathlib import Path

from rudderstack.analytics.client import Client

host, write_key = sys.argv[1:3]
scene = json.loads((Path(__file__).parent / "scene.json").read_text())
user, anonymous = scene["user"], scene["anonymous"]
failed: list[str] = []
client = Client(
    write_key,
    host=host,
    on_error=lambda error, batch: failed.extend([str(error)] * len(batch)),
    upload_interval=0.2,
)
client.page(anonymous_id=anonymous, name=scene["page"], properties=scene["properties"])
client.identify(user, anonymous_id=anonymous, traits=scene["traits"])
client.track(user, scene["event"], scene["properties"])
client.track(user, "Order Completed", scene["order"])
client.track(user, "Long ago", timestamp=datetime.fromisoformat(scene["old"]))
client.screen(user, name=scene["screen"], properties=scene["properties"])
client.group(user, scene["group"], traits=scene["traits"])
client.alias(scene["previous"], user)
client.flush()
client.join()
print(json.dumps({"calls": 8, "failed": failed}))
