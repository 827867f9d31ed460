"""What is compiled is kept, as in the tests of cloning."""

from tests.cloning.conftest import compile_cache  # noqa: F401
