"""The command `gateway`, also as `python -m gateway`."""

import gc

# Loading modules makes a hundred thousand objects and next to no garbage. The collector
# would walk them again and again, which takes a tenth of the time to start. Once the
# command is loaded they are frozen, so that it never walks them, and it runs again.
gc.disable()

from gateway.cli import main  # noqa: E402 - see above

__all__ = ["main"]

if __name__ == "__main__":
    main()
