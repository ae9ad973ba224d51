#!/bin/sh
# TASK. The commands of APP_TASK_LIST in order, up to the first that fails.
exec python3 manage.py run_tasks
