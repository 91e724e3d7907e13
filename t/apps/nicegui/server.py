"""server.py PORT NAME: a page that counts the clicks on its button."""

import sys

from nicegui import ui

port, name = sys.argv[1:]


@ui.page("/")
def page():
    counted = {"clicks": 0}
    label = ui.label("none").props("id=counted")

    def count():
        counted["clicks"] += 1
        label.set_text(f"{name} {counted['clicks']}")

    ui.button("count", on_click=count).props("id=count")


ui.run(host="127.0.0.1", port=int(port), show=False, reload=False, show_welcome_message=False)
