"""The exceptions that end a command in one line: bad input, a training that cannot go on, a lost worker, a stop."""


class InputError(ValueError):
    """Bad input from the user; the message is one line that names the place, the value and what is allowed.

    The command line prints it without a traceback and exits with code 2.
    """


class TrainingDiverged(RuntimeError):
    """The loss or the gradient is no longer a finite number; the message is one line with step and learning rate."""


class WorkerLost(RuntimeError):
    """A worker process was killed from outside; the run it worked on can be resumed."""


class Stopped(RuntimeError):
    """A command that was stopped and can be resumed; the message says how, `code` is its exit code."""

    def __init__(self, message: str, code: int) -> None:
        """Keep the exit code."""
        super().__init__(message)
        self.code = code
