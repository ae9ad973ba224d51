#!/bin/sh
# The reference component's own tests, with Debian's Python.
set -eu
cd "$(dirname "$0")/../src"
/usr/bin/python3 manage.py test
/usr/bin/python3 manage.py test --tag=servers
