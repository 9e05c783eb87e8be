//! What a script costs a run: webhook → `script` of three lines → `moltflow.send`, beside the same run whose text a `set` step
//! makes, in turns.

use std::error::Error;

use super::Sizes;
use super::daemon::{Folder, Server};
use super::far::Far;
use super::throughput::{Contender, compare};

const SCRIPT: &str = "
name: script
triggers:
  - message: {}
steps:
  - id: say
    uses: script
    with:
      code: |
        const words = event.data.body.split(' ');
        const longest = words.reduce((a, b) => b.length > a.length ? b : a, '');
        return { text: event.data.body, words: words.length, longest };
  - id: reply
    uses: moltflow.send
    with: { session: s, to: \"{{ event.data.from }}\", text: \"{{ steps.say.text }}\" }
";

const SET: &str = "
name: set
triggers:
  - message: {}
steps:
  - id: say
    uses: set
    with: { text: \"{{ event.data.body }}\" }
  - id: reply
    uses: moltflow.send
    with: { session: s, to: \"{{ event.data.from }}\", text: \"{{ steps.say.text }}\" }
";

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    let mut contenders = Vec::new();
    for binary in &sizes.binaries {
        for (name, workflow) in [("set", SET), ("script", SCRIPT)] {
            let folder = Folder::new(far, &[(name, workflow)])?;
            contenders.push(Contender::started(name, Server::moltrun(binary, &folder)?, folder));
        }
    }
    println!("script: {} events a round, {} clients; a run is a step and a send", sizes.events, sizes.clients);
    compare(far, sizes, &contenders).await
}
