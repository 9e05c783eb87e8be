//! JavaScript in workflow files, through the real program.

use serde_json::json;

use crate::examples::{folder, sent};
use crate::support::{Folder, GuideServer, load, repository};

const CUSTOMER: &str = "15551234567@c.us";

/// `workflows/price-quote.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn price_quote_reads_an_order_out_of_a_message() {
    let sums = "3 × tea: 7.50\n2 × coffee: 6.00\nTogether: 13.50";
    let sorry = "We have no beer. We have tea, coffee, cake.";
    for (body, expected) in [
        ("quote: 3 tea, 2 coffee", Some(sums)),
        ("quote: 3x tea and 1 beer", Some(sorry)),
        ("quote: please", None),
        ("Hello", None),
    ] {
        let far = GuideServer::start();
        let folder = folder(&far);
        let event = folder.file("event.json", &load::message("M1", CUSTOMER, body).to_string());
        let file = repository("workflows").join("price-quote.yaml");
        let run =
            folder.run(["run".as_ref(), file.as_os_str(), "--event".as_ref(), event.as_os_str(), "--json".as_ref()]);
        let run = run.exits(0).json();
        assert_eq!(run["status"], "succeeded", "{run:#}");
        let expected = expected.map(|text| (CUSTOMER.to_string(), text.to_string()));
        assert_eq!(sent(&far), Vec::from_iter(expected), "{body}");
    }
}

const BROKEN: &str = "name: broken
triggers: [manual]
steps:
  - id: total
    uses: script
    with:
      input: { n: 1 }
      code: |
        // The fourth line fails.
        const n = input.n;

        return n.toFixed(2).no.such;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_at_the_line_of_the_file() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("broken", BROKEN);
    let run = folder.run(["run", "workflows/broken.yaml", "--json"]).exits(1).json();
    let error = &run["steps"]["total"]["error"];
    assert_eq!(error["code"], "script.error", "{run:#}");
    let message = "TypeError: cannot read property 'such' of undefined at 12:18";
    assert_eq!(error["message"], message, "{run:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_javascript_is_found_when_the_file_is_checked() {
    let far = GuideServer::start();
    let text = BROKEN.replace("n.toFixed(2).no.such", "n +* 2");
    let folder = Folder::new(far.address()).workflow("broken", &text);
    let found = folder.run(["validate", "workflows/broken.yaml", "--format", "json"]).exits(2).json();
    let found = &found[0];
    let at = json!([found["code"], found["line"], found["column"], found["message"]]);
    assert_eq!(
        at,
        json!(["bad-script", 12, 19, "this is no JavaScript: unexpected token in expression: '*'"]),
        "{found:#}"
    );
}
