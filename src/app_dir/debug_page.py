"""What the page of an error shows under DEBUG."""

import re

from django.views.debug import SafeExceptionReporterFilter


class SecretsFilter(SafeExceptionReporterFilter):
    """Hides, beside passwords and keys, the addresses that hold them."""

    hidden_settings = re.compile(
        SafeExceptionReporterFilter.hidden_settings.pattern
        + '|BROKER_URL|DSN|ENDPOINT', re.IGNORECASE)
