//! The example workflows that ask a shop's own API: payments and the daily report.

use serde_json::{Value, json};

use crate::examples::{ONCALL, named, sent, shortened};
use crate::support::shop::Shop;
use crate::support::{Daemon, Folder, GuideServer, http_client, load};

const CUSTOMER: &str = "15551230001@c.us";
const TEAM: &str = "120363012345678901@g.us";

/// A folder with one workflow, which asks `shop` and takes what it signs.
fn asking(far: &GuideServer, shop: &Shop, workflow: &str, changes: &[(&str, &str)]) -> Folder {
    let here = format!("http://{}/api", shop.address());
    let mut changes = changes.to_vec();
    changes.push(("https://shop.example.com/api", &here));
    shortened(far, workflow, &changes).configure(|config| {
        config["net"] = json!({"allow_private": [shop.address().to_string()]});
        config["credentials"]["shop"]["allow"] = json!([shop.address().to_string()]);
    })
}

async fn order(daemon: &Daemon, body: &Value) -> u16 {
    let body = body.to_string();
    let request = http_client().post(format!("{}/hooks/shop/orders", daemon.url()));
    let request = request.header("content-type", "application/json");
    let request = request.header("x-webhook-signature", load::sign("shop-signs-with-this", &body));
    request.body(body).send().await.unwrap().status().as_u16()
}

/// `workflows/payment-follow-up.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_follow_up_asks_the_shop_before_each_message() {
    let reminder = "Hello Ana, your order A-7 over 59.00 is waiting for its payment.";
    let thanks = "Thank you, Ana. Order A-7 is on its way.";
    let desk = "Order A-7 of Ana is still not paid.";
    let cases = [
        ("paid", "paid", vec![]),
        ("pending", "paid", vec![(CUSTOMER, reminder), (CUSTOMER, thanks)]),
        ("pending", "pending", vec![(CUSTOMER, reminder), (ONCALL, desk)]),
    ];
    for (after_an_hour, after_a_day, expected) in cases {
        let (far, shop) = (GuideServer::start(), Shop::start().await);
        let folder = asking(&far, &shop, "payment-follow-up", &[("for: 1h", "for: 1ms"), ("for: 1d", "for: 1ms")]);
        let daemon = Daemon::start(&folder);
        shop.order_is("A-7", [after_an_hour, after_a_day]);
        let body = json!({"id": "A-7", "status": "pending", "phone": "+15551230001", "name": "Ana", "total": "59.00"});
        assert_eq!(order(&daemon, &body).await, 200);
        // The same order again, and one that is paid already, are no runs.
        assert_eq!(order(&daemon, &body).await, 200);
        assert_eq!(order(&daemon, &json!({"id": "A-8", "status": "paid"})).await, 200);
        let runs = daemon.api().settled(far.ledger()).await;
        assert_eq!(runs.len(), 1, "{runs:#?}");
        assert_eq!(runs[0]["status"], "succeeded", "{runs:#?}");
        let expected: Vec<_> = expected.iter().map(|(to, text)| (to.to_string(), text.to_string())).collect();
        assert_eq!(sent(&far), expected, "{after_an_hour}, {after_a_day}");
        assert!(shop.asked().iter().all(|id| id == "A-7"), "{:?}", shop.asked());
    }
}

const FROM_THE_SHOP: &str = r#"
name: from-the-shop
triggers: [manual]
steps:
  - id: people
    uses: data.read
    with: { url: "http://SHOP/api/customers.ndjson", auth: shop }
    retry: { attempts: 3, initial: 1ms }
  - id: message
    uses: moltflow.send
    for_each: { in: steps.people, concurrency: 16 }
    with: { session: support-team, to: "{{ item.phone }}", text: "hello {{ item.row }}" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipients_come_from_an_address_and_a_cut_list_is_no_short_one() {
    let (far, shop) = (GuideServer::start(), Shop::start().await);
    shop.cuts_lists(2);
    let text = FROM_THE_SHOP.replace("SHOP", &shop.address().to_string());
    let folder = named(Folder::new(far.address())).workflow("from-the-shop", &text).configure(|config| {
        config["net"] = json!({"allow_private": [shop.address().to_string()]});
        config["credentials"]["shop"]["allow"] = json!([shop.address().to_string()]);
    });
    let run = folder.run(["run", "workflows/from-the-shop.yaml", "--json"]).exits(0).json();
    let output = &run["steps"]["message"]["output"];
    assert_eq!((&output["total"], &output["succeeded"]), (&json!(500), &json!(500)), "{output}");
    assert_eq!(run["steps"]["people"]["attempts"], 3);
    let texts = far.ledger().by_text();
    assert!(texts.len() == 500 && texts.values().all(|count| *count == 1), "{} texts", texts.len());
    assert_eq!(shop.asked(), ["customers"; 3]);
}

/// `workflows/daily-report.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daily_report_is_sent_once_a_day_in_the_models_own_form() {
    let (far, shop) = (GuideServer::start(), Shop::start().await);
    far.model_says(r#"{"headline": "A good day", "points": ["17 orders", "912.00 in all"]}"#);
    let folder = asking(&far, &shop, "daily-report", &[]);
    let daemon = Daemon::start(&folder);
    for expected in ["succeeded", "skipped"] {
        let id = daemon.api().start("daily-report", &json!({})).await;
        let run = daemon.api().reaches(&id, "succeeded").await;
        assert_eq!(run["steps"]["report"]["status"], expected, "{run:#}");
    }
    assert_eq!(sent(&far), [(TEAM.to_string(), "A good day\n• 17 orders\n• 912.00 in all".to_string())]);
    let days = shop.asked();
    assert!(days.len() == 2 && days[0].len() == "2026-01-25".len(), "{days:?}");
}
