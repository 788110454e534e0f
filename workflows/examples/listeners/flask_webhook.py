"""A run for each HTTP request: POST /trigger/hello triggers the workflow `hello`.

It needs Flask, and a principal on port 5561 of this host:

    pip install . flask                      (in the folder of cdktr)
    cdktr listen flask_webhook.py            (or: python flask_webhook.py)
    curl --json '{}' http://localhost:8080/trigger/hello

The code is that of the book of cdktr 0.0.14. What to mind:

- Whoever reaches port 8080 can trigger every workflow: `cdktr listen webhook` asks for a signature.
- The request must have a JSON body, else Flask refuses it. The body is read and not used; as parameters of the run it
  would be `self.run_workflow(workflow_id, payload)`.
- A caller that got no answer and asks again makes a second run, unless `run_workflow` is given a key.
"""

from cdktr import EventListener, Principal
from flask import Flask, request
import threading

class WebhookListener(EventListener):
    def __init__(self, principal_host="localhost", principal_port=5561):
        self.principal = Principal(host=principal_host, port=principal_port)
        self.app = Flask(__name__)
        self.setup_routes()

    def setup_routes(self):
        @self.app.route('/trigger/<workflow_id>', methods=['POST'])
        def trigger_workflow(workflow_id):
            payload = request.get_json()
            result = self.run_workflow(workflow_id)

            if result.success:
                return {"status": "triggered", "workflow": workflow_id}, 200
            else:
                return {"status": "failed", "error": result.error}, 500

    def start_listening(self):
        """Start the Flask webhook server"""
        self.app.run(host='0.0.0.0', port=8080)

if __name__ == "__main__":
    listener = WebhookListener()
    listener.start_listening()
