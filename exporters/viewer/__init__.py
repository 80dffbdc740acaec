"""The viewer: a page that shows and sounds a live stream.

A process of its own and a client of our own WebSocket, so that looking never slows the engine.
`feed` follows the stream, `figure` and `head` turn poses into vertices, `scene` shows them in
three dimensions, `page` serves the page around it with its waveform, words, counters and sound.
"""
