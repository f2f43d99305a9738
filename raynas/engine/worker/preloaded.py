"""Ray imports this module last in a new worker of a private Ray: importing it says that the others are there."""

from raynas.engine.worker.preload import say_done

say_done()
