"""clicks.py URL BROWSERS CLICKS [DOWNLOAD]: that many browsers, a few at once, each of which clicks a button
that counts, and at last fetches twice what is behind the link of that id, if there is one, as the browser
would."""

import sys
from urllib.request import Request, urlopen

from browser import browser
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from sessions import one, sessions

url, browsers, clicks, *download = sys.argv[1:]


def fetched(driver, link):
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in driver.get_cookies())
    with urlopen(Request(link, headers={"Cookie": cookies})) as response:
        return response.read().decode()


def walk(_):
    names = set()
    with browser() as driver:
        driver.get(url)

        def text():
            return driver.find_element(By.ID, "counted").text

        # The page is alive when it has said something.
        WebDriverWait(driver, 10).until(lambda _: text() != "")
        for click in range(1, int(clicks) + 1):
            driver.find_element(By.ID, "count").click()
            WebDriverWait(driver, 5).until(lambda _, click=click: text().endswith(f" {click}"))
            names.add(text().split()[0])
        # A page whose server does not know it begins anew.
        if driver.execute_script("return performance.getEntriesByType('navigation')[0].type") != "navigate":
            raise RuntimeError("the page was loaded again")
        for identity in download:
            element = driver.find_element(By.ID, identity)
            WebDriverWait(driver, 10).until(lambda _: element.get_attribute("href"))
            for _ in range(2):
                if fetched(driver, element.get_attribute("href")) != text():
                    raise RuntimeError("the download is another one's")
    return one(names)


sessions(browsers, walk, timeout=120, at_once=2)
