"""The frame of a listener of one's own: put what waits for your event into `start_listening`.

It needs nothing but cdktr. As it stands it only says that `start_listening` is missing; with that filled in:

    pip install .                            (in the folder of cdktr)
    cdktr listen custom.py

The code is that of the book of cdktr 0.0.14, and its `run_workflow` may be left out: the base class has it. It names
`Result` without importing it, which Python before 3.14 refuses: hence the import on top.
"""

from cdktr import Result

from cdktr import EventListener

class MyCustomListener(EventListener):
    def run_workflow(self, workflow_id: str) -> Result:
        """
        Trigger a workflow on the cdktr principal.

        Returns a Result object with .success and .error attributes.
        """
        # Implemented by the base class - just call it!
        return super().run_workflow(workflow_id)

    def start_listening(self):
        """
        Your event detection logic goes here.
        Call self.run_workflow(workflow_id) whenever an event occurs.
        """
        raise NotImplementedError("Subclasses must implement start_listening()")
