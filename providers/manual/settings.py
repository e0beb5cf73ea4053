"""What a manual connection needs: nothing. The two models exist so that it is configured like any other."""

from providers.base import ProviderModel


class ManualSettings(ProviderModel):
    """No settings."""


class ManualSecrets(ProviderModel):
    """No secrets."""
