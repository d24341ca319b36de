"""Build the key ring of a configuration."""

from pathlib import Path

from gateway.config.load import LoadedConfig
from gateway.errors import ConfigError
from gateway.tokens.key_files import KeysError, embedded_ring, load_ring
from gateway.tokens.ring import KeyRing


def build_ring(
    loaded: LoadedConfig, *, now: float, previous: KeyRing | None = None
) -> KeyRing:
    """Load the signing keys, or make them when the configuration says `embedded`.

    Raises:
        ConfigError: the folder or a key cannot be used, or keys in memory, which all
            processes have from the one that started them, would have to be others.
    """
    tokens = loaded.config.tokens
    if tokens.keys == "embedded":
        if previous is None:
            return embedded_ring(tokens.algorithm, now=now)
        if previous.algorithm == tokens.algorithm:
            return previous
        # Each process would make a key of its own, which no other one publishes.
        text = (
            f"embedded keys are made at the start, and these are for"
            f" {previous.algorithm}: another algorithm needs a restart"
        )
        raise ConfigError([loaded.problem(text, "tokens", "algorithm")])
    try:
        return load_ring(
            Path(tokens.keys),
            tokens.algorithm,
            now=now,
            previous=previous,
            lifetime=tokens.longest_lifetime,
        )
    except KeysError as error:
        raise ConfigError(
            [loaded.problem(text, "tokens", "keys") for text in error.problems]
        ) from error
