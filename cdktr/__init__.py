"""cdktr ("conductor"): a workflow orchestrator in one file."""

__version__ = "0.1.0"
