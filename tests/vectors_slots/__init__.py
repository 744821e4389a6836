"""Key slots with fixed randomness, and their recovery code: what was written once opens for ever."""
