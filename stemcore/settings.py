"""What all settings of the services have in common."""

from pydantic import BaseModel, ConfigDict


class SettingsSection(BaseModel):
    """Settings of one concern, nested in a service's; a name that is none is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
