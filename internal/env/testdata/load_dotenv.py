"""Read .env files with python-dotenv and print what each adds to the environment."""
import json
import logging
import os
import sys

import dotenv
from dotenv.parser import parse_stream

logging.disable(logging.CRITICAL)
request = json.load(sys.stdin)
path = os.path.join(request["folder"], "file")
base = dict(entry.split("=", 1) for entry in request["base"])
answers = []
for text in request["files"]:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    os.environ.clear()
    os.environ.update(base)
    with open(path, encoding="utf-8") as stream:
        failed = any(binding.error for binding in parse_stream(stream))
    try:
        dotenv.load_dotenv(path)
    except ValueError:  # a name with "=" in it
        failed = True
    added = {k: v for k, v in os.environ.items() if k not in base}
    answers.append({"failed": failed, "variables": added})
json.dump(answers, sys.stdout)
