"""The chat page in a real browser, served by the real daemon."""

import base64
import hashlib
import json
import re
import signal

import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver.common.keys import Keys
from websockets.sync.client import connect

# The jitter taken out of the backoff, which asks Math.random() for it.
LONGEST_WAITS = "Math.random = () => 1;"
ENDLESS_WAITS = "Math.random = () => 1000;"


@pytest.fixture
def page(browser, daemon):
    """One page, connected."""
    return browser.open(daemon.http("/")).until_connected()


def raw_client(daemon):
    return connect(f"ws://127.0.0.1:{daemon.port}/ws")


def wsctl(daemon, *arguments):
    done = daemon.wsctl(*arguments)
    assert done.returncode == 0, done.stderr


def relayed(client, text):
    """Sends, and waits until it came back: then everybody's copy is on its way."""
    client.send(text)
    while client.recv(timeout=30) != text:
        pass


class TestChat:
    @pytest.mark.parametrize("kind", ["tab", "window"])
    def test_two_of_them_talk_both_ways(self, browser, daemon, kind):
        ada = browser.open(daemon.http("/")).until_connected()
        grace = browser.open(daemon.http("/"), kind).until_connected()
        ada.call_me("Ada")
        grace.call_me("Grace")

        ada.write("Is anybody here?")
        grace.until_shown("Is anybody here?")
        grace.write("I am.")
        ada.until_shown("I am.")
        ada.write("Good.")
        grace.until_shown("Good.")
        ada.until_shown("Good.")

        said = ["Is anybody here?", "I am.", "Good."]
        assert (ada.messages, grace.messages) == (said, said)
        assert ada.texts("#messages .name") == ["You", "Grace", "You"]
        assert grace.texts("#messages .name") == ["Ada", "You", "Ada"]

    def test_own_messages_are_shown_once_and_leave_the_outbox(self, page):
        for number in range(20):
            page.write(f"message {number}")
        page.until(lambda page: len(page.messages) >= 20 and not page.waiting, "everything has come back")
        assert page.messages == [f"message {number}" for number in range(20)]
        assert len(page.texts("#messages .mine")) == 20

    def test_several_lines_are_one_message(self, page):
        field = page.find("#text")
        field.click()
        page.press("first")
        page.press_shift(Keys.ENTER)
        page.press("second", Keys.ENTER)
        page.until_shown("first\nsecond")

    def test_other_clients_need_not_know_the_pages_format(self, page, daemon):
        unusual = ["plain text", '{"price": 3}', "[1, 2]", "null", '{"name": 1, "text": [], "id": {}}', '{"text": "cut']
        with raw_client(daemon) as client:
            for text in unusual:
                relayed(client, text)
            page.until_shown(*unusual)
            assert page.messages == unusual

    def test_an_operators_broadcast_is_shown(self, page, daemon):
        wsctl(daemon, "broadcast", "Maintenance at six")
        page.until_shown("Maintenance at six")

    def test_a_name_is_remembered(self, browser, daemon):
        page = browser.open(daemon.http("/")).until_connected()
        page.call_me("  Ada   Lovelace ")
        page.write("hello")
        page.until_shown("hello")
        page.driver.refresh()
        page.until_connected()
        assert page.find("#name").get_property("value") == "Ada Lovelace"

    def test_without_storage_it_chats_all_the_same(self, browser, daemon):
        forbid = "for (const area of ['localStorage', 'sessionStorage'])" \
            " Object.defineProperty(window, area, { get() { throw new DOMException('no', 'SecurityError'); } });"
        page = browser.open(daemon.http("/"), before=forbid).until_connected()
        page.call_me("Ada")
        page.write("hello")
        page.until_shown("hello")


class TestSafety:
    MARKUP = [
        "<img src=x onerror=\"window.harmed = true\">",
        "<script>window.harmed = true</script>",
        "</p></li><b>bold</b>&amp;&lt;",
        "<svg onload=window.harmed=true>",
    ]

    def test_markup_is_text(self, page, daemon):
        with raw_client(daemon) as client:
            for markup in self.MARKUP:
                relayed(client, markup)
                relayed(client, json.dumps({"name": markup, "text": markup, "id": markup}))
        page.write(self.MARKUP[0])
        page.until(lambda page: len(page.messages) == 2 * len(self.MARKUP) + 1, "all of it is shown")
        assert page.messages == [each for each in self.MARKUP for _ in range(2)] + [self.MARKUP[0]]
        assert page.run("return document.querySelectorAll('#messages :is(img, script, svg, b)').length") == 0
        assert page.run("return window.harmed") is None

    def test_the_policy_lets_only_this_style_and_this_script_run(self, page, daemon):
        answer = page.cdp("Runtime.evaluate", awaitPromise=True, returnByValue=True, expression="""
            fetch('/').then(async answer => [Object.fromEntries(answer.headers), await answer.text()])""")
        headers, body = answer["result"]["value"]
        policy = headers["content-security-policy"]
        for tag, attributes in (("style", ""), ("script", ' type="module"')):
            [content] = re.findall(f"<{tag}{attributes}>(.*?)</{tag}>", body, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"

        page.run("""
            document.addEventListener('securitypolicyviolation', event => window.blocked = event.effectiveDirective);
            document.body.append(Object.assign(document.createElement('script'), { text: 'window.harmed = true' }));""")
        page.until(lambda page: page.run("return window.blocked"), "the policy stops a script that isn't the page's")
        assert page.run("return window.harmed") is None
        page.browser.complaints()
        page.browser.console.clear()    # that complaint was the point

    def test_a_flood_is_bounded_and_leaves_the_reader_alone(self, page, daemon):
        with raw_client(daemon) as client:
            for number in range(700):
                relayed(client, f"flood {number}")
            page.until_shown("flood 699")
            assert page.run("return document.querySelectorAll('#messages > li').length") == 500
            at_bottom = "const s = document.getElementById('scroller');" \
                " return s.scrollHeight - s.scrollTop - s.clientHeight < 2"
            assert page.run(at_bottom)

            page.run("document.getElementById('scroller').scrollTop = 1000")
            page.until(lambda page: not page.run(at_bottom), "the reader has scrolled up")
            page.run("window.line = document.elementFromPoint(innerWidth / 2 - 330, 300).closest('li')")
            top = "return line.getBoundingClientRect().top"
            reading = page.run(top)
            relayed(client, "one more")
            pill = page.find("#newer")
            page.until(lambda page: pill.text == "1 new message ↓", "the new message is pointed out")
            assert abs(page.run(top) - reading) < 8   # less than a line
            pill.click()
            page.until(lambda page: page.run(at_bottom) and not pill.is_displayed(), "the pill leads to the bottom")


class TestConnection:
    @pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
    def test_both_pages_recover_from_a_restart_and_lose_nothing(self, browser, restartable, by):
        ada = browser.open(restartable.http("/")).until_connected()
        grace = browser.open(restartable.http("/")).until_connected()
        ada.write("before")
        grace.until_shown("before")
        ada.until_shown("before")

        restartable.stop(by)
        for page in (ada, grace):
            page.until(lambda page: page.status == "Reconnecting", "the page says that it reconnects")
            [reason] = page.notes
            assert "(code 1001)" in reason if by == signal.SIGTERM else reason == "The connection was lost."
        ada.write("while it was away")
        grace.write("me too")
        assert (ada.waiting, grace.waiting) == (["while it was away"], ["me too"])
        assert ada.messages == ["before"]

        restartable.start()
        for page in (ada, grace):
            page.until_connected()
            assert page.notes[-1].startswith("Connected again after ")
        # The page that came back later missed what the other had already sent; it says so. Its own it has in any case.
        ada.until_shown("while it was away")
        grace.until_shown("me too")
        ada.write("after")
        for page in (ada, grace):
            page.until_shown("after")
            assert page.waiting == []
            assert len(page.messages) == len(set(page.messages))

    def test_what_was_written_while_it_was_away_arrives_once_at_both(self, browser, restartable):
        grace = browser.open(restartable.http("/")).until_connected()
        ada = browser.open(restartable.http("/"), before=ENDLESS_WAITS).until_connected()
        restartable.stop()
        ada.until(lambda page: page.find("#retry").is_displayed(), "Ada's page waits")
        ada.write("first")
        ada.write("second")
        assert ada.waiting == ["first", "second"]

        restartable.start()
        grace.until_connected()
        ada.find("#retry").click()
        ada.until_connected()
        for page in (ada, grace):
            page.until_shown("first", "second")
        ada.write("third")
        for page in (ada, grace):
            page.until_shown("third")
            assert page.messages == ["first", "second", "third"]
        assert ada.waiting == []

    def test_what_waits_survives_a_reload(self, browser, restartable):
        # By itself it doesn't come back before the reload, to send what the reloaded page would not show.
        page = browser.open(restartable.http("/"), before=ENDLESS_WAITS).until_connected()
        restartable.stop()
        page.until(lambda page: page.status == "Reconnecting", "the page has noticed")
        page.write("not lost")
        restartable.start()
        page.driver.refresh()
        page.until_connected()
        page.until_shown("not lost")
        assert page.messages.count("not lost") == 1

    def test_a_message_is_sent_again_only_until_it_came_back(self, browser, restartable):
        """A lost connection may have carried a message and lost its echo; the id keeps the second from being shown."""
        page = browser.open(restartable.http("/")).until_connected()
        message = json.dumps({"name": "Ada", "text": "twice on the wire", "id": "one and the same"})
        with raw_client(restartable) as client:
            relayed(client, message)
            relayed(client, message)
            relayed(client, "the end")
        page.until_shown("the end")
        assert page.messages == ["twice on the wire", "the end"]

    def test_waits_double_up_to_half_a_minute_and_start_over_when_stable(self, browser, restartable):
        hurry = LONGEST_WAITS + """
            window.waits = [], window.stable = false;
            const wait = window.setTimeout;
            window.setTimeout = (action, delay) => {
                if (action.name === 'connect') { waits.push(delay); delay = 20; }
                if (action.name !== 'becomeStable') return wait(action, delay);
                return wait(() => { action(); window.stable = true; }, 20);
            };"""
        page = browser.open(restartable.http("/"), before=hurry).until_connected()
        restartable.stop(signal.SIGKILL)
        page.until(lambda page: page.run("return waits.length") >= 8, "eight attempts were made")
        assert page.run("return waits.slice(0, 8)") == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]

        page.run("stable = false")
        restartable.start()
        page.until(lambda page: page.run("return window.stable"), "the connection counts as stable")
        page.run("waits.length = 0")
        restartable.stop(signal.SIGKILL)
        page.until(lambda page: page.run("return waits.length") >= 1, "it tries again")
        assert page.run("return waits[0]") == 500

    def test_the_state_is_shown_with_its_outlook_and_retry_is_one_press_away(self, browser, restartable):
        page = browser.open(restartable.http("/"), before=ENDLESS_WAITS)
        page.until_connected()
        assert not page.find("#outage").is_displayed()

        restartable.stop()
        page.until(lambda page: page.status == "Reconnecting", "the state is shown")
        seconds = re.compile(r"Reconnecting in \d+ s\.")
        page.until(lambda page: seconds.match(page.find("#outlook").text), "the seconds are shown")

        restartable.start()
        button = page.find("#retry")
        assert button.text == "Retry now"
        button.click()
        page.until_connected()
        assert not page.find("#outage").is_displayed()
        assert page.focused == "text"   # not lost with the button

    def test_without_a_network_it_says_so_and_comes_back_with_it(self, browser, restartable):
        page = browser.open(restartable.http("/"), before=ENDLESS_WAITS).until_connected()
        restartable.stop()
        with page.offline():
            page.until(lambda page: page.status == "Offline", "the state is shown")
            restartable.start()
        page.until_connected()

    def test_a_page_opened_before_the_network_answers_says_what_is_wrong(self, browser, restartable):
        """Served from the address of a daemon that is gone by the time the script runs."""
        page = browser.open(restartable.http("/"), before="window.WebSocket = class { constructor() {"
                            " setTimeout(() => this.onclose({ code: 1006, reason: '' })); } close() {} };")
        page.until(lambda page: page.notes == ["The server cannot be reached."], "it says so once")

    def test_a_kicked_page_shows_the_operators_reason(self, page, daemon):
        wsctl(daemon, "kick", "--all", "--reason", "Time for tea")
        page.until(lambda page: any("“Time for tea”" in note for note in page.notes), "the reason is shown")

    def test_a_page_that_is_not_let_in_does_not_ask_again_by_itself(self, page, daemon):
        wsctl(daemon, "kick", "--all", "--code", "3003", "--reason", "Members only")
        page.until(lambda page: page.status == "Not connected", "the page has given up")
        assert page.notes == ["The server does not let you in: “Members only” (code 3003)."]
        assert page.find("#outlook").text.startswith("Not connected.")
        page.find("#retry").click()
        page.until_connected()

    def test_a_message_too_long_for_the_server_goes_back_to_its_writer(self, browser, start_wsd):
        daemon = start_wsd('[websocket]\nmax_message_size = "1KiB"\n')
        page = browser.open(daemon.http("/")).until_connected()
        page.write("x" * 2000)
        page.until(lambda page: page.notes and "too long" in page.notes[-1] or len(page.notes) > 1, "it is told so")
        page.until(lambda page: page.find("#text").get_property("value") == "x" * 2000, "the text is back")
        page.until_connected()
        assert page.waiting == [] and page.messages == []
        page.find("#text").clear()
        page.write("short")
        page.until_shown("short")


class TestForEverybody:
    LONG = "A_word_without_any_place_to_break_" * 8

    def test_the_keyboard_is_enough(self, browser, restartable):
        page = browser.open(restartable.http("/"), before=ENDLESS_WAITS).until_connected()
        assert page.focused == "text"
        page.press_shift(Keys.TAB)
        assert page.focused == "name"
        page.press("Ada", Keys.TAB, "typed, not clicked", Keys.ENTER)
        page.until_shown("typed, not clicked")
        assert page.focused == "text"
        page.press("sent with the button", Keys.TAB)
        assert page.focused == "send"
        page.press(Keys.SPACE)
        page.until_shown("sent with the button")

        restartable.stop()
        page.until(lambda page: page.find("#retry").is_displayed(), "the page waits")
        restartable.start()
        assert page.focused == "text"
        page.press_shift(Keys.TAB)
        page.press_shift(Keys.TAB)
        assert page.focused == "retry"
        page.press(Keys.ENTER)
        page.until_connected()

    def test_the_focus_can_be_seen(self, page):
        seen = []
        for _ in range(8):
            page.press(Keys.TAB)
            style = page.run("const style = getComputedStyle(document.activeElement);"
                             " return [document.activeElement.id, style.outlineStyle, parseFloat(style.outlineWidth)]")
            if style[0]:    # after the last control the focus is the browser's for one step
                seen.append(style[0])
                assert style[1] == "solid" and style[2] >= 2, style
        assert set(seen) == {"room", "scroller", "name", "text", "send"}

    @pytest.mark.parametrize("width,height", [(320, 568), (390, 844), (1920, 1080), (844, 320)])
    def test_nothing_is_cut_off_at_any_width(self, browser, restartable, width, height):
        page = browser.open(restartable.http("/"), before=ENDLESS_WAITS)
        page.resize(width, height)
        page.until_connected()
        page.call_me(self.LONG)
        page.write(self.LONG)
        with raw_client(restartable) as client:
            relayed(client, json.dumps({"name": self.LONG, "text": self.LONG, "id": "1"}))
        page.until(lambda page: len(page.messages) == 2, "both are shown")
        self.assert_fits(page, width, height)

        restartable.stop()
        page.until(lambda page: page.find("#retry").is_displayed(), "the page waits")
        page.write(self.LONG)
        self.assert_fits(page, width, height)

    def assert_fits(self, page, width, height):
        scrolled = page.run("return [document.documentElement, document.getElementById('scroller')]"
                            ".map(each => each.scrollWidth - each.clientWidth)")
        assert scrolled == [0, 0]
        boxes = page.run("""
            return [...document.querySelectorAll('header *, button, input, textarea, .text')]
                .filter(each => each.checkVisibility())
                .map(each => [each.id || each.className, each.getBoundingClientRect()])
                .map(([name, box]) => [name, box.left, box.right])""")
        assert [box for box in boxes if box[1] < 0 or box[2] > width] == []
        send = page.find("#send").rect
        assert send["y"] + send["height"] <= height

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_stands_out_in_both_schemes(self, browser, restartable, scheme):
        page = browser.open(restartable.http("/"), before=ENDLESS_WAITS)
        page.prefer(color_scheme=scheme, reduced_motion="reduce")
        page.until_connected()
        self.fill(page, restartable)
        restartable.stop()
        page.until(lambda page: page.find("#retry").is_displayed(), "the page waits")
        page.write("waiting")

        dark = page.run("return matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark")
        measured = page.contrasts()
        assert len(measured) > 40
        assert [pair for pair in measured if pair[0] < 4.5] == []

    def fill(self, page, daemon):
        """One of everything, and names enough to meet every hue."""
        page.call_me("Ada")
        page.write("mine")
        page.write("mine again")
        with raw_client(daemon) as client:
            relayed(client, "plain")
            for number in range(20):
                relayed(client, json.dumps({"name": f"Person {number}", "text": "hello", "id": str(number)}))
        page.until(lambda page: len(page.messages) == 23, "everything is shown")

    def test_whoever_wants_no_motion_gets_none(self, browser, daemon):
        page = browser.open(daemon.http("/"))
        page.prefer(reduced_motion="reduce")
        page.until_connected()
        page.write("still")
        page.until_shown("still")
        moving = "return document.getAnimations().filter(each => each.effect.getTiming().duration > 0).length"
        assert page.run(moving) == 0
        assert page.run("return getComputedStyle(document.querySelector('#messages > li')).animationName") == "none"

    def test_a_screen_reader_is_told_everything(self, page):
        page.write("hello")
        page.until_shown("hello")
        tree = page.accessibility_tree()
        roles = {role for role, _ in tree}
        assert {"banner", "main", "form", "log", "status", "heading"} <= roles
        controls = [node for node in tree if node[0] in ("button", "textbox", "link", "combobox", "checkbox")]
        assert sorted(controls) == [
            ("button", "Send"), ("button", "lobby"), ("textbox", "Message"), ("textbox", "Name"),
            ("textbox", "Room to enter"),
        ]
        assert ("log", "Messages") in tree
        log = page.find("[role=log]")
        assert log.get_attribute("aria-live") == "polite"
        assert "hello" in log.text and "You" in log.text

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_no_fault(self, browser, restartable, scheme):
        page = browser.open(restartable.http("/"), before=ENDLESS_WAITS)
        page.prefer(color_scheme=scheme)
        page.until_connected()
        assert faults(page) == []
        self.fill(page, restartable)
        restartable.stop()
        page.until(lambda page: page.find("#retry").is_displayed(), "the page waits")
        page.write("waiting")
        assert faults(page) == []


def faults(page):
    """The violations that axe finds, each rule with the elements that break it."""
    found = Axe().run(page.driver)["violations"]
    return [(fault["id"], fault["help"], [node["html"] for node in fault["nodes"]]) for fault in found]
