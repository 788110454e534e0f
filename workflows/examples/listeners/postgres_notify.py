"""A run for each notification of a PostgreSQL database: NOTIFY workflow_triggers, 'hello' triggers `hello`.

It needs psycopg2, a PostgreSQL server on this host with the database and the user named below, and a principal on port
5561 of this host:

    pip install . psycopg2-binary            (in the folder of cdktr)
    cdktr listen postgres_notify.py          (or: python postgres_notify.py)

The code is that of the book of cdktr 0.0.14. A NOTIFY at the end of a transaction triggers only if that is committed.
What to mind:

- PostgreSQL keeps no notification for a listener that is away, and what `run_workflow` answers is not looked at: what
  is sent while this listener or the principal is down makes no run. Where none may be lost, write a row into a table,
  and have the workflow work off the table.
- It ends when the connection to the database does: run it under something that starts it again.
"""

from cdktr import EventListener, Principal
import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
import select
import time

class DatabaseChangeListener(EventListener):
    def __init__(self, db_connection_string, channel_name='workflow_triggers',
                 principal_host='localhost', principal_port=5561):
        self.principal = Principal(host=principal_host, port=principal_port)
        self.db_connection_string = db_connection_string
        self.channel_name = channel_name

    def start_listening(self):
        """Listen for PostgreSQL NOTIFY events"""
        conn = psycopg2.connect(self.db_connection_string)
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)

        cursor = conn.cursor()
        cursor.execute(f"LISTEN {self.channel_name};")
        print(f"Listening for notifications on channel: {self.channel_name}")

        while True:
            if select.select([conn], [], [], 5) == ([], [], []):
                continue
            else:
                conn.poll()
                while conn.notifies:
                    notify = conn.notifies.pop(0)
                    workflow_id = notify.payload
                    print(f"Received notification: {workflow_id}")
                    self.run_workflow(workflow_id)

if __name__ == "__main__":
    listener = DatabaseChangeListener(
        db_connection_string="postgresql://user:pass@localhost/mydb"
    )
    listener.start_listening()
