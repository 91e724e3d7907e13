"""client.py URL BROWSERS PAGES: that many browsers, a few at once, each of which looks at pages."""

import os
import sys

from selenium import webdriver

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from browser import options  # noqa: E402
from sessions import sessions  # noqa: E402

url, browsers, pages = sys.argv[1:]


def walk(number):
    driver = webdriver.Remote(command_executor=url, options=options())
    for page in range(int(pages)):
        driver.get(f"data:text/html,<title>{number}-{page}</title>")
        if driver.title != f"{number}-{page}":
            raise RuntimeError(driver.title)
    address = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
    driver.quit()
    return address


sessions(browsers, walk, timeout=120, at_once=2)
