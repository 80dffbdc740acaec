"""The viewer: a page that shows and plays a live stream.

It is a process of its own and a WebSocket client, so that it never slows the engine.
`stream_client` follows the stream, `figure` and `head` turn poses into vertices, `scene` shows them
in 3D, `page` serves the page around it with waveform, words, counters and sound.
"""
