"""The exceptions that end a command in one line: bad input, a training that cannot go on, a lost worker."""


class InputError(ValueError):
    """Bad input from the user; the message is one line that names the place, the value and what is allowed.

    The command line prints it without a traceback and exits with code 2.
    """


class TrainingDiverged(RuntimeError):
    """The loss or the gradient is no longer a finite number; the message is one line with step and learning rate."""


class WorkerLost(RuntimeError):
    """A worker process was killed from outside; the run it worked on can be resumed."""
