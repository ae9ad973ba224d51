#!/usr/bin/env python3
"""Django's command line for the component."""

import os
import sys

from app_dir.command_line import one_line_errors


def main():
    """Run the command that the arguments name."""
    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'app_dir.settings')
    from django.core.management import execute_from_command_line
    with one_line_errors():
        execute_from_command_line(sys.argv)


if __name__ == '__main__':
    main()
