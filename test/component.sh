#!/bin/sh
# The reference component's own tests, with Debian's Python: its style, itself,
# and itself against real servers. Under another name it is tested by test/guides.
set -eu
cd "$(dirname "$0")/../src"
python=/usr/bin/python3
# Debian's programs take PATH's python, which may be another one.
PATH=/usr/bin:$PATH
DJANGO_DEBUG=True
export PATH DJANGO_DEBUG
pycodestyle .
pydocstyle .
$python manage.py test --parallel 3
$python manage.py test --parallel 3 --pattern 'servers_*.py'
