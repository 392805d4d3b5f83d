"""How long hypothesis plays state machines: seconds, always the same examples; longer and at random where asked for.

RFE_EXAMPLES=5000 python -m pytest --timeout 0 tests/unit/search/test_queue_machine.py
"""

import os

from hypothesis import HealthCheck, Phase, settings


def machine_settings(examples: int, steps: int) -> settings:
    """Settings of a state machine.

    Args:
        examples: how many it plays, always the same; `RFE_EXAMPLES` asks for so many random ones in their place.
        steps: most rules of an example.
    """
    asked = int(os.environ.get("RFE_EXAMPLES", "0"))
    return settings(
        max_examples=asked or examples,
        stateful_step_count=steps,
        derandomize=not asked,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # shrinking plays what failed hundreds of times more, which takes minutes: ask for it
        phases=(Phase.explicit, Phase.generate, *([Phase.shrink] if asked else [])),
        print_blob=bool(asked),
    )
