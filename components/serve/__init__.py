"""The serving container: an exported model behind HTTP, as Vertex AI's custom containers answer.

Reading order: log, instances, batching, warm_up, download, app, farewell, connection, listening, server, serve.
"""
