"""The one exception that means: the user gave something that cannot be used."""


class InputError(ValueError):
    """Bad input from the user; the message is one line that names the place, the value and what is allowed.

    The command line prints it without a traceback and exits with code 2.
    """
