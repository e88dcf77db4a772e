"""The `khshim` command, also as `python -m shim`."""

import sys

from shim.isolate import distrust_working_directory, open_standard_descriptors


def main() -> int:
    """Run the command line of this process and return its exit status."""
    distrust_working_directory()
    open_standard_descriptors()
    from shim import cli  # not before the search path is safe

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
