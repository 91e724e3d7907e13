"""server.py PORT NAME: a page that counts the clicks on its button, and offers its count for download under
/session/ID/."""

import sys

import uvicorn
from shiny import App, reactive, render, ui

port, name = sys.argv[1:]
page = ui.page_fluid(
    ui.input_action_button("count", "count"),
    ui.output_text("counted"),
    ui.download_link("download", "download"),
)


def server(input, output, session):
    @render.text
    def counted():
        return f"{name} {input.count()}"

    @render.download(filename="count.txt")
    def download():
        yield f"{name} {input.count()}"


uvicorn.run(App(page, server), host="127.0.0.1", port=int(port), log_level="critical")
