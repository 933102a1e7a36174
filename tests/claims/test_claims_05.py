"""The claims of 05-ingress-and-domains: a network that answers as one does behind which all is well, then one thing is wrong."""

import base64
from dataclasses import replace

from runbook import certs, params, urls
from runbook.facts import ingress as facts
from runbook.rehearsal import RehearsalHost

from .faults import label
from .kit import Table, Way, proof_of

WANTED = params.section("ingress", {})
NONE = {"status": 0, "mark": "", "location": "", "body": "", "error": "", "seconds": 0.01}
LOGIN = {"status": 302, "location": "./login"}


def node(world):
    with world.objects() as objects:
        return next(a["address"] for a in objects.all("Node")[0]["status"]["addresses"] if a["type"] == "InternalIP")


def network(world, **wrong):
    """What a resolver, the port and the gateway answer; ``wrong`` overrides the answers to one kind of question, or of one visitor."""
    here = node(world)

    def answer(asked):
        kind, what, *who = asked
        if kind == "get":
            who, port = who[0], what.split("//")[1][0].isdigit()
            if what.startswith("http:"):
                return NONE | {"status": 301, "location": what.replace("http:", "https:")}
            if "nobody-here" in what:
                return NONE | {"status": 404, "mark": "unknown"}
            mark = {"mark": "private" if port else "ide"}
            return NONE | mark | ({"status": 200} if who == "signed in" else LOGIN) | wrong.get(who, {})
        good = {"resolve": {"addresses": [here], "error": "", "silent": False}, "connect": {"error": ""}, "sign-in": {"signed_in": True, "error": ""},
                "certificate": {"error": "", "refused": "", "names": "*.ws", "days_left": 89.0}, "path": NONE | LOGIN | {"mark": "ide"}}
        return good[kind] | wrong.get(kind, {})

    world.patch.setattr(RehearsalHost, "probe", lambda host, asked, look: (answer(asked), ""))


def present(world, names, to="", days=90):
    """Another certificate of our authority is presented: for other names, or one that ends soon."""
    site = names["site"]
    authority = facts.pair(site.cluster.get("Secret", facts.AUTHORITY, WANTED.namespace))
    base = urls.base(facts.domain(site, WANTED))
    fresh = certs.issue(authority, [to + base] if to else [f"*.{base}", base], days)
    data = {key: base64.b64encode(text.encode()).decode() for key, text in (("tls.crt", fresh.certificate), ("tls.key", fresh.key))}
    world.change("Secret", facts.CERTIFICATE, WANTED.namespace, lambda secret: secret["data"].update(data))


def way(**wrong):
    return Way(lambda world: network(world, **wrong), after=("02",))


def at(piece, act):
    return replace(way(), at={piece: act})


def no_class(world):
    network(world)
    world.remove("IngressClass", "traefik")


GIVEN_AWAY = NONE | {"status": 200, "mark": "ide"}

TABLE = Table("05", proven=(way(),), refuted={
    "an ingress controller serves the IngressClass that is used": Way(no_class, after=("02",)),
    "the names lead to this server": way(resolve={"addresses": ["192.0.2.99"]}),
    "every certificate holds for more than {…} days": at("certificates =", lambda world, names: present(world, names, days=5)),
    "the certificate is for these names, and its chain leads to the authority": at("certificates =", lambda world, names: present(world, names, "www.")),
    "every name is answered by the gateway, over TLS that a browser accepts": way(certificate={"refused": "certificate has expired"}),
    "without a password only public ports answer": way(anonymous=GIVEN_AWAY),
    "the workspace's password opens its IDE and its ports": way(**{"sign-in": {"signed_in": False, "error": "HTTP 403"}}),
    "a session in one workspace opens no other": way(**{"another user": GIVEN_AWAY}),
    "a second run of step 05 would change nothing": at("again =", lambda world, names: label(world, "ConfigMap", WANTED.namespace)),
})

test_proven, test_refuted = proof_of(TABLE)
