"""Identity over HTTP and on the command line: preview, merge, undo, and the reason of a link that does not join."""

import json

from typer.testing import CliRunner

from onevoice.cli.main import app
from tests.api.test_api import Shop, shop, step

__all__ = ["shop"]


def post(shop: Shop, path: str, **body: object) -> dict:
    answer = shop.http.post(f"/v1/identity/{path}", json=body, headers={"authorization": f"Bearer {shop.key}"})
    assert answer.status_code in (200, 201, 202), answer.text
    return answer.json()


def found(shop: Shop, text: str) -> list[str]:
    return [row["customer_id"] for row in shop.get(f"/v1/customers?search={text}")["customers"]]


def test_two_customers_are_merged_by_a_person_and_parted_again(shop: Shop) -> None:
    shop.send("identify", userId="anna", traits={"email": "a@example.com"})
    shop.send("identify", userId="anna-old", traits={"city": "Roma"})
    step(shop)
    (old,) = found(shop, "anna-old")
    wanted = {"action": "merge", "one": "user_id:anna", "other": f"customer:{old}", "person": "eva", "note": "moved"}
    shown = post(shop, "preview", **wanted)
    assert shown["after"][0]["identifiers"] == ["user_id:anna", "user_id:anna-old"]
    assert found(shop, "anna-old") == [old]
    decision = post(shop, "decisions", **wanted)["id"]
    step(shop)
    (one,) = found(shop, "anna-old")
    assert found(shop, "a@example.com") == [one]
    customer = shop.get(f"/v1/customers/{one}")
    assert customer["traits"]["city"] == "Roma"
    assert customer["provenance"]["city"]["identifier"] == "user_id:anna-old"

    assert len(post(shop, f"decisions/{decision}/preview-undo")["after"]) == 2
    post(shop, f"decisions/{decision}/undo", person="eva", note="a namesake")
    step(shop)
    assert found(shop, "anna-old") == [old]
    (listed,) = shop.get("/v1/identity/decisions")
    assert (listed["id"], listed["person"], listed["note"]) == (decision, "eva", "moved")
    assert listed["undone_by"]
    again = shop.http.post(
        f"/v1/identity/decisions/{decision}/undo", json={"person": "eva"}, headers={"x-api-key": shop.key}
    )
    assert again.status_code == 409


def test_an_e_mail_that_a_browser_claims_joins_nobody_and_the_warning_says_why(shop: Shop) -> None:
    claim = {"externalIds": [{"type": "email", "id": "victim@example.com"}]}
    shop.send("identify", userId="anna", context=claim)
    step(shop)
    (warning,) = shop.get("/v1/identity/warnings")
    assert warning["rule"] == "unproven"
    assert {warning["identifier"], warning["other"]} == {"user_id:anna", "email:victim@example.com"}
    assert warning["event_id"]
    assert len(shop.get("/v1/customers")["customers"]) == 2


def test_the_command_line_merges_lists_and_undoes(shop: Shop, monkeypatch) -> None:
    shop.send("identify", userId="anna")
    shop.send("identify", userId="bruno")
    step(shop)
    settings = shop.engine.settings
    monkeypatch.setattr("onevoice.kernel.log.configure", lambda _level: None)  # it would keep the runner's stderr
    monkeypatch.setenv("ONEVOICE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("ONEVOICE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("ONEVOICE_ENGINE_PORT", str(settings.engine_port))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["identity", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    shown = json.loads(run("merge", "user_id:anna", "user_id:bruno", "--dry-run"))
    assert shown["after"][0]["identifiers"] == ["user_id:anna", "user_id:bruno"]
    decision = run("merge", "user_id:anna", "user_id:bruno", "--by", "eva", "--note", "married").strip()
    step(shop)
    (customer,) = json.loads(run("show", "user_id:bruno", "--json"))
    assert [row["value"] for row in customer["identifiers"]] == ["anna", "bruno"]
    assert json.loads(run("decisions", "--json"))[0]["note"] == "married"
    run("undo", decision)
    step(shop)
    assert len(found(shop, "")) == 2
    assert json.loads(run("warnings", "--json")) == []


def test_everybody_is_grouped_anew_after_the_rules_were_changed(shop: Shop) -> None:
    """The engine is started again with the new rules, the api too; what was joined by the old ones comes apart."""
    shop.send("identify", userId="anna", anonymousId="tablet-7")
    step(shop)
    assert found(shop, "anna") == found(shop, "tablet-7")
    shop.engine.settings.identity["blocked"] = ["tablet-7"]  # as if started again
    shown = post(shop, "preview-rebuild")
    assert (shown["profiles_before"], shown["profiles_after"], shown["split"]) == (1, 2, 1)
    assert post(shop, "rebuild", person="eva") == {"status": "asked"}
    step(shop)
    assert found(shop, "anna") != found(shop, "tablet-7")
    assert post(shop, "preview-rebuild")["split"] == 0
