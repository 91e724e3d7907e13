"""A browser for the clients in Python: Chromium without a screen."""

from contextlib import contextmanager

from selenium import webdriver


def options():
    made = webdriver.ChromeOptions()
    for option in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        made.add_argument(option)
    return made


@contextmanager
def browser():
    service = webdriver.ChromeService("/usr/bin/chromedriver")
    driver = webdriver.Chrome(options=options(), service=service)
    try:
        yield driver
    finally:
        driver.quit()
