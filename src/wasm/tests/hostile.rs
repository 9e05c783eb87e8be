//! Guests that mean harm: each gets one clear line, and the host and everyone else go on.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use tracing_subscriber::fmt::MakeWriter;

use super::guests::{TEXT, on_port};
use super::*;

/// What was logged.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<String>>);

impl Lines {
    pub(super) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

const LOOP: &str = "(loop $l (br $l)) unreachable";

fn recursion() -> Guest {
    Guest { functions: "(func $deeper (call $deeper))", ..Guest::doing("(call $deeper) unreachable") }
}

fn memory_bomb() -> Guest {
    Guest::doing("(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable")
}

/// Writes `times` log lines of 4 bytes, then echoes.
fn logger(times: u32) -> Guest {
    let write = format!("(call $write (i32.const 1) (i32.const {TEXT}) (i32.const 4) (i32.const 0) (i32.const 0))");
    let echo = guests::ok("(local.get $in)", "(local.get $in_len)");
    let body = format!(
        "(loop $l {write} (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $n) (i32.const {times})))) {echo}"
    );
    Guest { texts: vec![b"line".to_vec()], ..Guest::doing(body) }
}

#[tokio::test]
async fn every_hostile_guest_gets_one_clear_line() {
    let answer = |at: &str, len: &str| Guest::doing(guests::ok(at, len));
    let cases = [
        ("spins", Guest::doing(LOOP), "plugin.timeout", "took longer than 100 ms"),
        ("recurses", recursion(), "plugin.trap", "recursed until its stack of 512 KiB was full"),
        ("bombs", memory_bomb(), "plugin.memory", "wanted more than its 64 MiB of memory"),
        ("traps", Guest::doing("unreachable"), "plugin.trap", "trapped: wasm `unreachable` instruction executed"),
        (
            "divides",
            Guest::doing("(i32.div_u (i32.const 1) (i32.const 0))"),
            "plugin.trap",
            "trapped: integer divide by zero",
        ),
        ("beyond", answer("(i32.const 0)", "(i32.const 100000000)"), "plugin.bad_output", "broke the interface: "),
        ("unaligned", Guest::doing("(i32.const 0x601)"), "plugin.bad_output", "broke the interface: "),
        ("nowhere", Guest::doing("(i32.const -8)"), "plugin.bad_output", "broke the interface: "),
        (
            "huge",
            Guest { pages: 700, ..answer("(i32.const 0)", "(i32.const 40000000)") },
            "plugin.too_large",
            "handed over more than 1048576 bytes at once",
        ),
        (
            "hundred",
            Guest { pages: 1600, ..answer("(i32.const 0)", "(i32.const 100000000)") },
            "plugin.too_large",
            "handed over more than 1048576 bytes at once",
        ),
        (
            "large",
            Guest { pages: 20, ..answer("(i32.const 0x11000)", "(i32.const 1048577)") },
            "plugin.too_large",
            "answered 1048577 bytes, more than the 1048576 allowed",
        ),
        ("garbled", Guest::answering("{\"a\": "), "plugin.bad_output", "answered what is not JSON: "),
        ("deep", Guest::answering("[".repeat(4000)), "plugin.bad_output", "answered what is not JSON: "),
        (
            "bytes",
            Guest::answering(b"\"\xff\xfe\"".to_vec()),
            "plugin.bad_output",
            "broke the interface: invalid utf-8",
        ),
        (
            "liar",
            Guest::answering("[1]").with_output(r#"{"type": "object"}"#),
            "plugin.bad_output",
            r#"answered against its own output schema: at the root: [1] is not of type "object""#,
        ),
        (
            "port",
            Guest { texts: vec![b"elsewhere".to_vec()], ..Guest::doing(on_port(TEXT, 9)) },
            "plugin.bad_output",
            "answered on the port `elsewhere`; it has ok, side",
        ),
        (
            "code",
            Guest { texts: vec![b"No Code".to_vec()], ..Guest::doing(guests::failure(0, 7, 0)) },
            "plugin.bad_output",
            "failed with the code `No Code`, which is not [a-z][a-z0-9_]*",
        ),
        ("floods", logger(10_001), "plugin.trap", "was stopped: it called the host more than 10000 times"),
    ];
    let mut folder = Folder::new();
    for (name, guest, ..) in &cases {
        folder = folder.with(name, guest);
    }
    let patient = Grant { timeout_ms: Some(60_000), ..Grant::default() };
    let mut grants: BTreeMap<_, _> = cases.iter().map(|(name, ..)| (name.to_string(), patient.clone())).collect();
    grants.insert("hundred".to_string(), Grant { memory_bytes: Some(128 << 20), ..patient });
    let plugins = load(PluginsConfig { grants, ..folder.config() }).await;
    assert!(plugins.broken.is_empty(), "{:?}", plugins.broken);
    for (name, guest, code, message) in &cases {
        let mut call = call(json!({"a": 1}));
        // Only the endless one needs it to be short; the others must not run into it on a slow machine.
        call.timeout_ms = if *name == "spins" { 100 } else { 60_000 };
        let failure = permanent(step(&plugins, &format!("{name}/step")).run(call).await);
        let digest = &sha256(&guest.component())[..12];
        let expected = format!("the plugin {name} ({digest}) in its step step {message}");
        assert_eq!(failure.code, *code, "{name}: {}", failure.message);
        assert!(failure.message.starts_with(&expected), "{name}: {}", failure.message);
        assert!(failure.message.len() < 600 && !failure.message.contains('\n'), "{name}: {}", failure.message);
    }
    assert_works(&plugins).await;
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_does_no_harm() {
    let plugins = Folder::new().with("logs", &logger(5_000)).load().await;
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let outcome = {
        let _here = tracing::subscriber::set_default(subscriber);
        run(&plugins, "logs", json!({})).await
    };
    assert_eq!(outcome, Ok(Outcome::ok(json!({}))));
    let lines = lines.0.lock().unwrap();
    let (guest, host): (Vec<&str>, Vec<&str>) = lines.lines().partition(|line| line.contains("moltrun::plugin"));
    assert_eq!(guest.len(), 100);
    let end = format!(" moltrun::plugin: line plugin=logs run={} step=score", RunId::new(1_000, 7));
    assert!(guest[0].ends_with(&end), "{}", guest[0]);
    assert_eq!(host.len(), 1);
    assert!(host[0].contains("lines were dropped") && host[0].ends_with(" dropped=4900"), "{host:?}");
}

/// More endless guests than workers, on one worker: the others are still served, because guests yield at every tick.
#[tokio::test]
async fn endless_guests_do_not_starve_the_others() {
    let folder = Folder::new().with("spins", &Guest::doing(LOOP));
    let patient = Grant { timeout_ms: Some(60_000), ..Grant::default() };
    let plugins = load(PluginsConfig { grants: [("spins".to_string(), patient)].into(), ..folder.config() }).await;
    let spins = step(&plugins, "spins/step");
    // They would fill their time; they are dropped as soon as the others are through.
    let spinning = futures::future::join_all((0..8).map(|_| spins.run(call(json!({})))));
    let working = async {
        for _ in 0..5 {
            assert_works(&plugins).await;
        }
    };
    futures::pin_mut!(working);
    match futures::future::select(working, spinning).await {
        futures::future::Either::Left(_) => {}
        futures::future::Either::Right(_) => panic!("the endless guests ended first"),
    }
    assert_works(&plugins).await;
}

/// Memory that is really used, floods of lines and of calls, and endless loops, on one worker: calls in between are served.
#[tokio::test]
async fn bombs_and_floods_at_once_leave_the_others_alone() {
    let fills = "(loop $more
        (local.set $n (memory.grow (i32.const 16)))
        (if (i32.eq (local.get $n) (i32.const -1)) (then unreachable))
        (memory.fill (i32.mul (local.get $n) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
        (br $more)) unreachable";
    let folder = Folder::new()
        .with("fills", &Guest::doing(fills))
        .with("logs", &logger(9_000))
        .with("floods", &logger(u32::MAX))
        .with("recurses", &recursion())
        .with("spins", &Guest::doing(LOOP));
    let patient = Grant { timeout_ms: Some(60_000), ..Grant::default() };
    let quick = Grant { timeout_ms: Some(200), ..Grant::default() };
    let names = ["fills", "logs", "floods", "recurses", "spins"];
    let grants = names.map(|name| (name.to_string(), if name == "spins" { quick.clone() } else { patient.clone() }));
    let plugins = load(PluginsConfig { grants: grants.into(), ..folder.config() }).await;
    let hostile = futures::future::join_all(names.iter().cycle().take(20).map(|name| run(&plugins, name, json!({}))));
    let others = async {
        for _ in 0..50 {
            assert_works(&plugins).await;
        }
    };
    let (ended, ()) = futures::future::join(hostile, others).await;
    for (name, ended) in names.iter().cycle().zip(ended) {
        match (*name, ended) {
            ("logs", ended) => assert_eq!(ended, Ok(Outcome::ok(json!({})))),
            ("fills", ended) => assert_eq!(permanent(ended).code, "plugin.memory"),
            ("spins", ended) => assert_eq!(permanent(ended).code, "plugin.timeout"),
            (_, ended) => assert_eq!(permanent(ended).code, "plugin.trap"),
        }
    }
    assert_works(&plugins).await;
}

#[tokio::test]
async fn calls_beyond_the_pool_wait_and_dropped_ones_give_their_place_back() {
    let plugins = Folder::new().with("spins", &Guest::doing(LOOP)).load().await;
    let spins = step(&plugins, "spins/step");
    let mut calls: Vec<_> = (0..crate::base::limits::PLUGIN_CALLS + 10).map(|_| spins.run(call(json!({})))).collect();
    for call in &mut calls {
        assert!(futures::poll!(call).is_pending());
    }
    drop(calls);
    assert_works(&plugins).await;
}

#[tokio::test]
async fn a_call_waits_for_a_place_no_longer_than_its_time() {
    let patient = Grant { timeout_ms: Some(60_000), ..Grant::default() };
    let folder = Folder::new().with("spins", &Guest::doing(LOOP));
    let plugins = load(PluginsConfig { grants: [("spins".to_string(), patient)].into(), ..folder.config() }).await;
    let spins = step(&plugins, "spins/step");
    let mut calls: Vec<_> = (0..crate::base::limits::PLUGIN_CALLS).map(|_| spins.run(call(json!({})))).collect();
    for call in &mut calls {
        assert!(futures::poll!(call).is_pending());
    }
    let mut beyond = call(json!({}));
    beyond.timeout_ms = 200;
    match spins.run(beyond).await {
        Err(StepError::Transient(failure)) => {
            assert_eq!(failure.code, "plugin.busy");
            assert!(
                failure.message.ends_with("found no free place within 85 ms: 64 calls were at work"),
                "{failure:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    drop(calls);
    assert_works(&plugins).await;
}

/// The environment and the preopened folders, as the standard libraries of guests ask for them.
#[tokio::test]
async fn files_and_environment_are_empty() {
    // Both return their list through memory: address, then length. Answers the sum of the lengths as one digit.
    let body = format!(
        "(call $env (i32.const 0x700)) (call $dirs (i32.const 0x708))
         (i32.store8 (i32.const {TEXT}) (i32.add (i32.const 48)
           (i32.add (i32.load (i32.const 0x704)) (i32.load (i32.const 0x70c))))) {}",
        guests::ok(&format!("(i32.const {TEXT})"), "(i32.const 1)")
    );
    let curious = Guest {
        imports: r#"
            (import "wasi:cli/environment@0.2.12" (instance $cli
              (export "get-environment" (func (result (list (tuple string string)))))))
            (import "wasi:filesystem/types@0.2.3" (instance $files (export "descriptor" (type (sub resource)))))
            (alias export $files "descriptor" (type $descriptor))
            (import "wasi:filesystem/preopens@0.2.3" (instance $preopens
              (alias outer 1 $descriptor (type $d))
              (export "descriptor" (type $own (eq $d)))
              (export "get-directories" (func (result (list (tuple (own $own) string)))))))"#,
        lowered: r#"
            (core func $env (canon lower (func $cli "get-environment") (memory $memory) (realloc $realloc)))
            (core func $dirs (canon lower (func $preopens "get-directories") (memory $memory) (realloc $realloc)))
            (core instance $extra (export "env" (func $env)) (export "dirs" (func $dirs)))"#,
        core_imports: r#"
            (import "extra" "env" (func $env (param i32)))
            (import "extra" "dirs" (func $dirs (param i32)))"#,
        ..Guest::doing(body)
    };
    let plugins = Folder::new().with("curious", &curious).load().await;
    assert_eq!(run(&plugins, "curious", json!({})).await, Ok(Outcome::ok(json!(0))));
}

/// A guest that sleeps for an hour wakes at once, at the same instant; its random numbers are those of its last attempt.
#[tokio::test]
async fn time_stands_still_and_chance_repeats() {
    let body = format!(
        "(call $block (call $later (i64.const 3600000000000)))
         (if (i64.ne (call $mono) (i64.const 0)) (then unreachable))
         (call $wall (i32.const 0x700))
         (if (i64.ne (i64.load (i32.const 0x700)) (i64.const 1700000000)) (then unreachable))
         (i64.store (i32.const {TEXT}) (i64.or (i64.const 0x3030303030303030)
           (i64.and (call $random) (i64.const 0x0707070707070707))))
         (i32.store8 (i32.const {TEXT}) (i32.const 0x31)) {}",
        guests::ok(&format!("(i32.const {TEXT})"), "(i32.const 8)")
    );
    let sleeper = Guest {
        imports: r#"
            (import "wasi:io/poll@0.2.6" (instance $poll
              (export "pollable" (type $p (sub resource)))
              (export "[method]pollable.block" (func (param "self" (borrow $p))))))
            (alias export $poll "pollable" (type $pollable))
            (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
              (alias outer 1 $pollable (type $p))
              (export "pollable" (type $own (eq $p)))
              (export "now" (func (result u64)))
              (export "subscribe-duration" (func (param "when" u64) (result (own $own))))))
            (import "wasi:clocks/wall-clock@0.2.6" (instance $wall
              (type $r (record (field "seconds" u64) (field "nanoseconds" u32)))
              (export "datetime" (type $datetime (eq $r)))
              (export "now" (func (result $datetime)))))
            (import "wasi:random/random@0.2.6" (instance $random (export "get-random-u64" (func (result u64)))))"#,
        lowered: r#"
            (core func $block (canon lower (func $poll "[method]pollable.block")))
            (core func $mono (canon lower (func $clock "now")))
            (core func $later (canon lower (func $clock "subscribe-duration")))
            (core func $wall (canon lower (func $wall "now") (memory $memory)))
            (core func $chance (canon lower (func $random "get-random-u64")))
            (core instance $extra (export "block" (func $block)) (export "mono" (func $mono))
              (export "later" (func $later)) (export "wall" (func $wall)) (export "random" (func $chance)))"#,
        core_imports: r#"
            (import "extra" "block" (func $block (param i32)))
            (import "extra" "mono" (func $mono (result i64)))
            (import "extra" "later" (func $later (param i64) (result i32)))
            (import "extra" "wall" (func $wall (param i32)))
            (import "extra" "random" (func $random (result i64)))"#,
        ..Guest::doing(body)
    };
    let plugins = Folder::new().with("sleeper", &sleeper).load().await;
    let first = run(&plugins, "sleeper", json!({})).await.unwrap();
    assert_eq!(run(&plugins, "sleeper", json!({})).await.unwrap(), first);
    let mut other = call(json!({}));
    other.items = vec![1];
    assert_ne!(step(&plugins, "sleeper/step").run(other).await.unwrap(), first);
}

/// As many as there are places, so that each has to wait for many others before it sees that its time is over.
#[tokio::test]
async fn every_endless_guest_is_told_its_time_is_over_and_gives_its_place_back() {
    let quick = Grant { timeout_ms: Some(100), ..Grant::default() };
    let folder = Folder::new().with("spins", &Guest::doing(LOOP));
    let plugins = load(PluginsConfig { grants: [("spins".to_string(), quick)].into(), ..folder.config() }).await;
    let spins = step(&plugins, "spins/step");
    for _ in 0..2 {
        let calls = (0..crate::base::limits::PLUGIN_CALLS).map(|_| spins.run(call(json!({}))));
        for ended in futures::future::join_all(calls).await {
            let failure = permanent(ended);
            assert_eq!(failure.code, "plugin.timeout");
            assert!(failure.message.ends_with("in its step step took longer than 100 ms"), "{}", failure.message);
        }
        assert_works(&plugins).await;
    }
}
