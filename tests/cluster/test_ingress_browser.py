"""A browser that trusts our authority, and nothing else: the IDE and a port's page over HTTPS through the ingress; and where it is refused.

Chromium runs in a network namespace of its own: it breaks off every request (ERR_NETWORK_CHANGED) when an interface of its network comes or
goes, and on a node one does with each pod.
"""

import os
import shutil
import subprocess
from contextlib import contextmanager

import ingress_kit as kit
import pytest
import workspaces_kit
from ingress_kit import DOMAIN, OWNERS, host

from runbook.facts import ingress as facts

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import TimeoutException  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [pytest.mark.cluster, pytest.mark.browser, pytest.mark.root, pytest.mark.long]
ONE, TWO = OWNERS
SECONDS = 120
PHP = 7000  #: where the person in the browser starts a PHP server
SPACE, LINK, HERE, THERE = "ws-ing-browser", "ws-ing-b", "10.88.98.1", "10.88.98.2"


@pytest.fixture(scope="module")
def edge():
    with kit.edge() as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def space():
    """A network namespace with one line to this machine."""
    run = lambda *argv, **more: subprocess.run(["ip", *argv], check=True, timeout=20, **more)
    subprocess.run(["ip", "netns", "del", SPACE], stderr=subprocess.DEVNULL, timeout=20)
    run("netns", "add", SPACE)
    try:
        run("link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", SPACE)
        run("addr", "add", f"{HERE}/30", "dev", LINK)
        run("link", "set", LINK, "up")
        for argv in (["addr", "add", f"{THERE}/30", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            run("-n", SPACE, *argv)
        yield
    finally:
        run("netns", "del", SPACE)


@contextmanager
def browser(folder, authority: str = ""):
    """Chromium with a home of its own. With an authority, that one is trusted, as the notebook says how for Chrome on Linux."""
    if authority:
        store = folder / ".pki" / "nssdb"
        store.mkdir(parents=True)
        (folder / "ca.crt").write_text(authority)
        for argv in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "runbook", "-i", str(folder / "ca.crt")]):
            subprocess.run(["certutil", "-d", f"sql:{store}", *argv], check=True, capture_output=True, timeout=60)
    program = folder / "chromium"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec ip netns exec {SPACE} {shutil.which("chromium")} "$@"\n')
    program.chmod(0o755)
    options = webdriver.ChromeOptions()
    options.binary_location = str(program)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--window-size=1400,900",
                     f"--user-data-dir={folder / 'profile'}", f"--host-resolver-rules=MAP *.{DOMAIN} {HERE}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver"), env=os.environ | {"HOME": str(folder)}))
    driver.set_page_load_timeout(SECONDS)
    try:
        yield driver
    finally:
        driver.quit()


def sign_in(driver, site, owner: str) -> None:
    field = WebDriverWait(driver, SECONDS).until(lambda d: d.find_element(By.NAME, "password"))
    field.send_keys(workspaces_kit.password(site, owner, kit.NAME) + Keys.ENTER)


def terminal(driver) -> None:
    """A terminal, and the keyboard in it; the keys do nothing until the IDE has loaded what they mean."""
    for _ in range(8):
        ActionChains(driver).key_down(Keys.CONTROL).key_down(Keys.SHIFT).send_keys("`").key_up(Keys.SHIFT).key_up(Keys.CONTROL).perform()
        try:
            WebDriverWait(driver, SECONDS / 8).until(lambda d: d.find_element(By.CSS_SELECTOR, ".terminal-wrapper.active .xterm-helper-textarea"))
            return
        except TimeoutException:
            continue
    raise AssertionError("no terminal opens")


def text(driver) -> str:
    return driver.find_element(By.TAG_NAME, "body").text


def test_the_ide_a_page_of_php_and_the_walls(edge, tmp_path):
    site, wanted = edge
    with browser(tmp_path, facts.authority(site, wanted)) as driver:
        # Plain HTTP leads to HTTPS, and that to the sign-in.
        driver.get(f"http://{host(ONE)}/")
        WebDriverWait(driver, SECONDS).until(lambda d: d.current_url.startswith(f"https://{host(ONE)}/login"))
        sign_in(driver, site, ONE)
        WebDriverWait(driver, SECONDS).until(lambda d: d.find_element(By.CSS_SELECTOR, ".monaco-workbench .explorer-folders-view"))
        # A secure page whose connection to its server holds: a terminal runs over a WebSocket.
        assert driver.execute_script("return window.isSecureContext")
        terminal(driver)
        script = f"mkdir -p ~/site; echo '<?php echo \"PHP says \", 6*7;' >~/site/index.php; php -S 127.0.0.1:{PHP} -t ~/site"
        ActionChains(driver).send_keys(script + Keys.ENTER).perform()
        workspaces_kit.sh(site, ONE, kit.NAME, f"i=0; until php -r 'exit(@fsockopen(\"127.0.0.1\", {PHP}) ? 0 : 1);'; do "
                                               "i=$((i+1)); [ $i -lt 300 ] || exit 1; sleep 0.2; done", timeout=90)
        # Its page, without a second sign-in.
        driver.get(f"https://{host(ONE, PHP)}/")
        WebDriverWait(driver, SECONDS).until(lambda d: "PHP says 42" in text(d))
        assert driver.execute_script("return document.cookie") == "", "the session is not for scripts"
        # Another's IDE and ports ask; a public port does not; an unknown name is plain.
        for other in (host(TWO), host(TWO, PHP)):
            driver.get(f"https://{other}/")
            WebDriverWait(driver, SECONDS).until(lambda d: d.find_elements(By.NAME, "password"))
        driver.get(f"https://{host(TWO, kit.PUBLIC)}/")
        assert '"bytes":0' in text(driver) and "code-server-session" not in text(driver)
        driver.get(f"https://nobody-here.ws.{DOMAIN}/")
        assert "There is no workspace" in text(driver)
        driver.delete_all_cookies()
    with browser(tmp_path / "anew", facts.authority(site, wanted)) as driver:
        driver.get(f"https://{host(ONE, PHP)}/")
        WebDriverWait(driver, SECONDS).until(lambda d: d.find_elements(By.NAME, "password"))
        assert "PHP says" not in text(driver)


def test_a_browser_that_does_not_trust_us_refuses(edge, tmp_path):
    with browser(tmp_path) as driver:
        driver.get(f"https://{host(ONE)}/")
        assert "ERR_CERT_AUTHORITY_INVALID" in text(driver)
