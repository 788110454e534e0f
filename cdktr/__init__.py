"""cdktr ("conductor"): a workflow orchestrator in one file.

For programs: `from cdktr import EventListener, Principal, Result`. They are loaded when they are asked for.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cdktr.client import Principal, Result
    from cdktr.listener import EventListener

__all__ = ["EventListener", "Principal", "Result", "__version__"]

__version__ = "0.1.0"

if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module 'cdktr' has no attribute {name!r}")
        from cdktr import client, listener

        return getattr(listener if name == "EventListener" else client, name)
