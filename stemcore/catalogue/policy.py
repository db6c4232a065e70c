"""Which of the served models may be used here, and by clients."""

from stemcore.model_card import ModelCard
from stemcore.settings import SettingsSection


class ModelPolicy(SettingsSection):
    """Which models may be used, beside what their cards prove. `refuse_noncommercial` refuses those
    whose card says that their weights are not for commercial use."""

    refuse_noncommercial: bool = False

    def refusal_of(self, card: ModelCard) -> str | None:
        """Why the card's model may not be used here, or None."""
        if self.refuse_noncommercial and card.licences.noncommercial:
            return (
                "Its weights are not for commercial use, which this service requires "
                f"({card.licences.weights})."
            )
        return None
