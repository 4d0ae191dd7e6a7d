"""A real browser for the tests: headless Chromium, driven over WebDriver, and the chat page as a person sees it."""

from contextlib import contextmanager

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from waiting import DEADLINE

# What keeps Chromium from doing anything but show our page: root needs --no-sandbox, the rest saves it errands.
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--window-size=900,700", "--lang=en-GB",
)


class Browser:
    """One Chromium with a profile of its own; `arguments` are for it alone."""

    def __init__(self, *arguments):
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for argument in (*ARGUMENTS, *arguments):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # Naming the driver keeps selenium from looking for one to download.
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.console = []       # every message of every page so far
        self.outage = False     # whether the test takes the server away
        self._unused = self.driver.current_window_handle

    def open(self, url, kind="window", before=""):
        """Opens `url` in a new "window" or "tab"; `before` is JavaScript that runs before the page's own."""
        if self._unused:
            self.driver.switch_to.window(self._unused)
            self._unused = None
        else:
            self.driver.switch_to.new_window(kind)
        page = Page(self, self.driver.current_window_handle)
        if before:
            self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": before})
        self.driver.get(url)
        return page

    def complaints(self):
        """The console's errors and warnings; in an outage, without those about the connection that failed."""
        self.console += self.driver.get_log("browser")
        found = [entry for entry in self.console if entry["level"] in ("SEVERE", "WARNING")]
        if self.outage:
            found = [entry for entry in found if entry["source"] != "network" or "/chat" not in entry["message"]]
        return found

    def quit(self):
        self.driver.quit()


class Page:
    """The chat page in one window. Every question brings its window forward first, as a person would."""

    def __init__(self, browser, handle):
        self.browser = browser
        self._driver = browser.driver
        self._handle = handle

    @property
    def driver(self):
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def texts(self, selector):
        """The text of everything that matches, read at one moment."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map(each => each.textContent)", selector)

    @property
    def messages(self):
        return self.texts("#messages .text")

    @property
    def waiting(self):
        return self.texts("#outbox .text")

    @property
    def notes(self):
        return self.texts("#messages .note")

    @property
    def status(self):
        return self.find("[role=status]").text

    @property
    def focused(self):
        return self.run("return document.activeElement.id")

    def until(self, condition, what):
        """Waits until `condition(page)` is true; fails naming `what` and what the page shows instead."""
        wait = WebDriverWait(self._driver, DEADLINE, 0.05, ignored_exceptions=[StaleElementReferenceException])
        try:
            return wait.until(lambda _: condition(self))
        except TimeoutException:
            shown = self.run("return document.body.innerText")
            raise AssertionError(f"after {DEADLINE:g} s still waiting until {what}; the page shows:\n{shown}") from None

    def until_connected(self):
        self.until(lambda page: page.status == "Connected", "the page is connected")
        return self

    def until_shown(self, *texts):
        for text in texts:
            self.until(lambda page: text in page.messages, f"the page shows {text!r}")

    def call_me(self, name):
        field = self.find("#name")
        field.clear()
        field.send_keys(name)

    def write(self, text):
        self.find("#text").send_keys(text, Keys.ENTER)

    def press(self, *keys):
        """Presses keys wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def press_shift(self, key):
        ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()

    def resize(self, width, height):
        """The viewport, not the window: no window manager lets a window be as narrow as a phone."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features):
        """Sets media features, `color_scheme="dark"` for prefers-color-scheme: dark."""
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-" + name.replace("_", "-"), "value": value} for name, value in features.items()])

    @contextmanager
    def offline(self):
        """The machine without a network, as far as the page is told."""
        self.cdp("Network.enable")
        conditions = dict(latency=0, downloadThroughput=-1, uploadThroughput=-1)
        self.cdp("Network.emulateNetworkConditions", offline=True, **conditions)
        try:
            yield
        finally:
            self.cdp("Network.emulateNetworkConditions", offline=False, **conditions)

    def contrasts(self):
        """The WCAG 2 contrast ratio of every visible text with what is behind it, as (ratio, text)."""
        return [tuple(pair) for pair in self.run(CONTRAST_SCRIPT)]

    def accessibility_tree(self):
        """The nodes that a screen reader gets: (role, name) of every node that is not ignored."""
        self.cdp("Accessibility.enable")
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]


# The browser's own canvas turns any CSS colour, oklch() too, into sRGB, and lays one over the other.
CONTRAST_SCRIPT = """
const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
const context = canvas.getContext('2d', { willReadFrequently: true });
const paint = colors => {
    context.clearRect(0, 0, 1, 1);
    for (const color of colors) { context.fillStyle = color; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const luminance = rgb => {
    const [r, g, b] = rgb.map(value => value / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.unshift(getComputedStyle(each).backgroundColor);
    return layers;
};
const ratio = (element, color) => {
    const both = [[...behind(element), color], behind(element)].map(layers => luminance(paint(layers)));
    const [light, dark] = both.sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
};
const measured = [];
for (const element of document.body.querySelectorAll('*')) {
    if (!element.checkVisibility({ visibilityProperty: true }) || element.closest('.spoken')) continue;
    const own = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const color = pseudo => ratio(element, getComputedStyle(element, pseudo).color);
    if (own || element.value) measured.push([color(), element.value || element.textContent]);
    if (element.placeholder) measured.push([color('::placeholder'), element.placeholder]);
}
return measured;
"""
