"""A run for each message of a RabbitMQ queue: {"workflow_id": "hello"} triggers the workflow `hello`.

It needs pika, a RabbitMQ server on this host, and a principal on its port 5561:

    pip install . pika                       (in the folder of cdktr)
    cdktr listen rabbitmq.py                 (or: python rabbitmq.py)

The code is that of the book of cdktr 0.0.14. A message is acknowledged when its run is on the principal's disk, so none
is lost while the principal or this listener is away. What to mind:

- A message that cannot be carried out, because there is no such workflow or because it is not JSON, goes back to the
  head of the queue and is tried again at once, without end. Those behind it wait.
- One without `workflow_id` is neither acknowledged nor given back: nothing more is delivered until a restart.
- When this listener ends between the trigger and the acknowledgement, the message is delivered again and makes a second
  run, unless `run_workflow` is given a key.
"""

from cdktr import EventListener, Principal
import pika
import json

class RabbitMQListener(EventListener):
    def __init__(self, rabbitmq_host='localhost', queue_name='cdktr-workflows',
                 principal_host='localhost', principal_port=5561):
        self.principal = Principal(host=principal_host, port=principal_port)
        self.rabbitmq_host = rabbitmq_host
        self.queue_name = queue_name

    def handle_message(self, ch, method, properties, body):
        """Callback for each RabbitMQ message"""
        try:
            message = json.loads(body)
            workflow_id = message.get('workflow_id')

            if workflow_id:
                result = self.run_workflow(workflow_id)
                if result.success:
                    ch.basic_ack(delivery_tag=method.delivery_tag)
                else:
                    ch.basic_nack(delivery_tag=method.delivery_tag, requeue=True)
        except Exception as e:
            print(f"Error processing message: {e}")
            ch.basic_nack(delivery_tag=method.delivery_tag, requeue=True)

    def start_listening(self):
        """Start consuming from RabbitMQ"""
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(host=self.rabbitmq_host)
        )
        channel = connection.channel()
        channel.queue_declare(queue=self.queue_name, durable=True)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(
            queue=self.queue_name,
            on_message_callback=self.handle_message
        )

        print(f"Listening for workflow triggers on queue: {self.queue_name}")
        channel.start_consuming()

if __name__ == "__main__":
    listener = RabbitMQListener()
    listener.start_listening()
