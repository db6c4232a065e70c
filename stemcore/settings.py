"""What all settings have in common: of services, of the inference server, of the stacks."""

from pydantic import BaseModel, ConfigDict


class SettingsSection(BaseModel):
    """Settings of one concern, nested in a program's; a name that is none is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
