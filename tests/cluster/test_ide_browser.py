"""The IDE in a browser: sign in, type in a terminal, and what idleness means."""

import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
import workspaces_kit as kit
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from runbook.facts import workspaces as facts
from runbook.workspaces import KEEPER, KEEPER_NAMESPACE

pytestmark = [pytest.mark.cluster, pytest.mark.browser, pytest.mark.long]
OWNER = "dev31"
SECONDS = 120


@pytest.fixture(scope="module")
def site():
    site = kit.connect()
    kit.unmake(site, OWNER)
    kit.serve_git(site)
    yield site
    kit.unmake(site, OWNER)


@contextmanager
def browser(site, name):
    """Chromium, signed in to a workspace's IDE."""
    url = kit.address(site, OWNER, name)
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900",
                     f"--unsafely-treat-insecure-origin-as-secure={url}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        driver.get(url)
        field = WebDriverWait(driver, SECONDS).until(lambda d: d.find_element(By.NAME, "password"))
        field.send_keys(kit.password(site, OWNER, name) + Keys.ENTER)
        WebDriverWait(driver, SECONDS).until(lambda d: d.find_element(By.CSS_SELECTOR, ".monaco-workbench .explorer-folders-view"))
        yield driver
    finally:
        driver.quit()


def shows(driver, terminal):
    """Whether a terminal of this name is in the panel's list."""
    return any(e.text.strip().startswith(terminal) for e in driver.find_elements(By.CSS_SELECTOR, ".terminal-tabs-entry"))


def wait_for(site, name, path):
    """The text of a file once it is there."""
    script = f"i=0; until [ -s {path} ]; do i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.1; done; cat {path}"
    return kit.sh(site, OWNER, name, script, timeout=90)


def test_a_person_signs_in_and_works(site):
    ip = site.cluster.get("Service", "git", "ws-devgit")["spec"]["clusterIP"]
    kit.make(site, {"name": "shop", "owner": OWNER, "repo": f"git://{ip}/shop.git"}, init_limit=5)
    with browser(site, "shop") as driver:
        # One terminal a task, opened by itself.
        for name in ("Server", "Broken", "Awaits", "Endless"):
            WebDriverWait(driver, SECONDS).until(lambda d: shows(d, name))
        ActionChains(driver).key_down(Keys.CONTROL).key_down(Keys.SHIFT).send_keys("`").key_up(Keys.SHIFT).key_up(Keys.CONTROL).perform()
        WebDriverWait(driver, SECONDS).until(lambda d: shows(d, "bash"))
        nonce = str(time.time_ns())
        wait = "until [ -n \"$PS1\" ]; do :; done; "
        ActionChains(driver).send_keys(f"{wait}echo {nonce} >~/nonce" + Keys.ENTER).perform()
        assert wait_for(site, "shop", "~/nonce").strip() == nonce
        ActionChains(driver).send_keys("php -v >~/version; gp info >~/info" + Keys.ENTER).perform()
        assert wait_for(site, "shop", "~/version").startswith("PHP 8.")
        query = ("php -r 'echo (new PDO(\"mysql:host=\".getenv(\"DB_HOST\").\";dbname=\".getenv(\"DB_DATABASE\"),getenv(\"DB_USERNAME\"),"
                 "getenv(\"DB_PASSWORD\")))->query(\"SELECT VERSION()\")->fetchColumn();' >~/database")
        ActionChains(driver).send_keys(query + Keys.ENTER).perform()
        assert "MariaDB" in wait_for(site, "shop", "~/database")


def test_a_wrong_password_opens_nothing(site):
    kit.make(site, {"name": "idle", "owner": OWNER}, {"name": "busy", "owner": OWNER}, idle_stop=120, quota={"workspaces": 3})
    data = urllib.parse.urlencode({"password": "wrong"}).encode()
    answer = urllib.request.urlopen(f"{kit.address(site, OWNER, 'idle')}/login", data, timeout=30)
    assert "Incorrect password" in answer.read().decode()


def test_idle_workspaces_stop_and_used_ones_do_not(site):
    kit.make(site, {"name": "idle", "owner": OWNER}, {"name": "busy", "owner": OWNER}, idle_stop=120, quota={"workspaces": 3})
    with browser(site, "busy"):
        opened = time.monotonic()
        kit.gone(site, "Pod", "idle-0", f"ws-{OWNER}", timeout=240)
        states = dict(zip(facts.table(site, OWNER).name, facts.table(site, OWNER).state))
        assert states["idle"] == "stopped"
        # A keeper that begins anew knows at once who is at work.
        for keeper in site.cluster.list("Pod", KEEPER_NAMESPACE):
            site.cluster.delete("Pod", keeper["metadata"]["name"], KEEPER_NAMESPACE)
        site.cluster.wait("Deployment", KEEPER, KEEPER_NAMESPACE, until=lambda d: d.get("status", {}).get("readyReplicas", 0) > 0, timeout=60,
                          what="the keeper to be back")
        # The other is looked at for longer than its limit: code-server notes activity once a minute.
        while time.monotonic() - opened < 200:
            assert kit.ready(site.cluster.get("Pod", "busy-0", f"ws-{OWNER}"))
            time.sleep(10)
    kit.gone(site, "Pod", "busy-0", f"ws-{OWNER}", timeout=300)
    assert set(facts.table(site, OWNER).state[facts.table(site, OWNER).name != "shop"]) == {"stopped"}
