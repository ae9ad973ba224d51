"""The site under uvicorn, hypercorn and daphne."""
import os

RELEASE = ""
if os.environ.get("RELEASE_FILE"):
    with open(os.environ["RELEASE_FILE"]) as f:
        RELEASE = f.read().strip()
if RELEASE == "crash":
    raise ImportError("this release cannot be imported")


async def application(scope, receive, send):
    """Answer every request with the process that serves it."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
