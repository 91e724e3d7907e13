"""server.py PORT NAME: an application that counts in the state of each session."""

import sys

import gradio

port, name = sys.argv[1:]


def count(counted):
    return f"{name} {counted + 1}", counted + 1


with gradio.Blocks() as page:
    state = gradio.State(0)
    text = gradio.Textbox()
    gradio.Button("count").click(count, state, [text, state], api_name="count")

page.launch(server_name="127.0.0.1", server_port=int(port), quiet=True)
