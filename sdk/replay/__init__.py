"""Dead letters: list, show, replay and park.

    with sdk.connect() as messaging:
        letters = messaging.dead_letters("orders.order-created")
        for letter in letters.find(Selection(error="BadOrder")):
            print(letter.identity, letter.reason.message)
        letters.replay(Selection(error="BadOrder"))

The command ``sdk dlt`` is made of the same parts.
"""

from sdk.replay.dead_letters import DeadLetters, Repair, Report
from sdk.replay.letters import Letter, Selection
from sdk.replay.reading import TopicReader

__all__ = ["DeadLetters", "Letter", "Repair", "Report", "Selection", "TopicReader"]
