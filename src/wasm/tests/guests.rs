//! Guests for tests, written as text: one component with the full interface, of which a test replaces a part.

use std::fmt::Write;

/// One guest. The default echoes its input: one step `step`, any object in, anything out, an extra port `side`.
pub struct Guest {
    pub interface_version: &'static str,
    /// More imports of the component.
    pub imports: &'static str,
    /// More core definitions made of them, and the instance `$extra` that hands them to the core module.
    pub lowered: &'static str,
    /// Imports of the core module from `extra`.
    pub core_imports: &'static str,
    pub pages: u32,
    pub step: &'static str,
    pub effect: u8,
    pub input_schema: &'static str,
    pub output_schema: &'static str,
    /// Body of `describe`; empty answers as the fields above say.
    pub describe: &'static str,
    /// Body of `run`, with the input at `$in`, `$in_len`; leaves the address of the result. See [`ok`] and [`failure`].
    pub run: String,
    /// Helper functions of the core module.
    pub functions: &'static str,
    /// Texts a body may name: the n-th is at `TEXT + 4096 * n`.
    pub texts: Vec<Vec<u8>>,
}

/// Where `texts` lie.
pub const TEXT: u32 = 0x8000;

impl Default for Guest {
    fn default() -> Self {
        Self {
            interface_version: "1.0.0",
            imports: "",
            lowered: "(core instance $extra)",
            core_imports: "",
            pages: 2,
            step: "step",
            effect: 0,
            input_schema: r#"{"type": "object"}"#,
            output_schema: "{}",
            describe: "",
            run: ok("(local.get $in)", "(local.get $in_len)"),
            functions: "",
            texts: vec![],
        }
    }
}

impl Guest {
    pub fn with_output(self, output_schema: &'static str) -> Self {
        Self { output_schema, ..self }
    }

    /// Runs `body`.
    pub fn doing(body: impl Into<String>) -> Self {
        Self { run: body.into(), ..Self::default() }
    }

    /// Answers `text`.
    pub fn answering(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        let run = ok(&format!("(i32.const {TEXT})"), &format!("(i32.const {})", text.len()));
        Self { run, texts: vec![text], ..Self::default() }
    }

    pub fn component(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn text(&self) -> String {
        let Self { interface_version, imports, lowered, core_imports, pages, run, functions, .. } = self;
        let mut data = String::new();
        let mut put = |at: u32, bytes: &[u8]| {
            let escaped = bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "\\{byte:02x}");
                text
            });
            let _ = writeln!(data, "(data (i32.const {at}) \"{escaped}\")");
        };
        // plugin-info at 0x400, its one step-info at 0x480, the port list at 0x500, texts from 0x1000.
        let mut next = 0x1000;
        let mut text = |text: &str, put: &mut dyn FnMut(u32, &[u8])| {
            put(next, text.as_bytes());
            let at = [next, text.len() as u32];
            next += text.len() as u32;
            at
        };
        let version = text("1.2.3", &mut put);
        let name = text(self.step, &mut put);
        let summary = text("a guest of a test", &mut put);
        let input = text(self.input_schema, &mut put);
        let output = text(self.output_schema, &mut put);
        let port = text("side", &mut put);
        put(0x400, &words(&[version, [0x480, 1], [0, 0], [0, 0]].concat()));
        put(0x480, &words(&[&name[..], &summary, &[self.effect.into()], &input, &output, &[0x500, 1]].concat()));
        put(0x500, &words(&port));
        for (number, bytes) in self.texts.iter().enumerate() {
            put(TEXT + 4096 * number as u32, bytes);
        }
        let describe = if self.describe.is_empty() { "(i32.const 0x400)" } else { self.describe };
        format!(
            r#"(component
  (import "moltrun:step/log@1.0.0" (instance $log
    (type $l (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $l)))
    (export "write" (func (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
  (import "moltrun:step/context@1.0.0" (instance $context
    (export "attempt" (func (result u32)))
    (export "idempotency-key" (func (result string)))
    (export "now-ms" (func (result u64)))
    (export "remaining-ms" (func (result u64)))))
  {imports}
  (core module $libc
    (memory (export "memory") {pages})
    (global $next (mut i32) (i32.const 0x10000))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $p i32)
      (local.set $p (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $p) (local.get 3)))
      (block $fits (loop $grow
        (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        unreachable))
      (local.get $p)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $write (canon lower (func $log "write") (memory $memory)))
  (core func $attempt (canon lower (func $context "attempt")))
  (core func $key (canon lower (func $context "idempotency-key") (memory $memory) (realloc $realloc)))
  (core func $now (canon lower (func $context "now-ms")))
  (core func $remaining (canon lower (func $context "remaining-ms")))
  {lowered}
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "write" (func $write (param i32 i32 i32 i32 i32)))
    (import "host" "attempt" (func $attempt (result i32)))
    (import "host" "key" (func $key (param i32)))
    (import "host" "now" (func $now (result i64)))
    (import "host" "remaining" (func $remaining (result i64)))
    {core_imports}
    {data}
    {functions}
    (func (export "describe") (result i32) {describe})
    (func (export "run") (param $step i32) (param $step_len i32) (param $in i32) (param $in_len i32) (result i32)
      (local $n i32)
      {run}))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "extra" (instance $extra))
    (with "host" (instance
      (export "write" (func $write)) (export "attempt" (func $attempt)) (export "key" (func $key))
      (export "now" (func $now)) (export "remaining" (func $remaining))))))
  (type $effect (enum "pure" "idempotent" "at-most-once"))
  (type $step-info (record (field "name" string) (field "summary" string) (field "effect" $effect)
    (field "input-schema" string) (field "output-schema" string) (field "ports" (list string))))
  (type $secret-request (record (field "name" string) (field "hosts" (list string))))
  (type $plugin-info (record (field "version" string) (field "steps" (list $step-info)) (field "hosts" (list string))
    (field "secrets" (list $secret-request))))
  (type $output (record (field "data" string) (field "port" (option string))))
  (type $failure (record (field "code" string) (field "message" string) (field "details" (option string))))
  (type $delay (record (field "failure" $failure) (field "after-ms" u64)))
  (type $step-error (variant (case "permanent" $failure) (case "transient" $failure) (case "later" $delay) (case "unknown" $failure)))
  (func $describe (result $plugin-info) (canon lift (core func $main "describe") (memory $memory)))
  (func $run (param "step" string) (param "input" string) (result (result $output (error $step-error)))
    (canon lift (core func $main "run") (memory $memory) (realloc $realloc)))
  (instance $guest
    (export "effect" (type $effect)) (export "step-info" (type $step-info))
    (export "secret-request" (type $secret-request)) (export "plugin-info" (type $plugin-info))
    (export "output" (type $output)) (export "failure" (type $failure)) (export "delay" (type $delay))
    (export "step-error" (type $step-error))
    (export "describe" (func $describe)) (export "run" (func $run)))
  (export "moltrun:step/guest@{interface_version}" (instance $guest)))"#
        )
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The body that answers the text at `at` with `len` bytes, on `ok`.
pub fn ok(at: &str, len: &str) -> String {
    format!(
        "(i32.store (i32.const 0x600) (i32.const 0)) (i32.store (i32.const 0x608) {at})
         (i32.store (i32.const 0x60c) {len}) (i32.store (i32.const 0x610) (i32.const 0)) (i32.const 0x600)"
    )
}

/// The body that answers the input on the port whose name has `len` bytes at `at`.
pub fn on_port(at: u32, len: usize) -> String {
    let some = format!(
        "(i32.store (i32.const 0x610) (i32.const 1)) (i32.store (i32.const 0x614) (i32.const {at}))
         (i32.store (i32.const 0x618) (i32.const {len})) (i32.const 0x600)"
    );
    format!("{} drop {some}", ok("(local.get $in)", "(local.get $in_len)"))
}

/// The body that fails: kind 0 permanent, 1 transient, 2 later, 3 unknown; `code` is text 0, the message is the input.
pub fn failure(kind: u8, code_len: usize, after_ms: i64) -> String {
    format!(
        "(i32.store (i32.const 0x600) (i32.const 1)) (i32.store (i32.const 0x608) (i32.const {kind}))
         (i32.store (i32.const 0x610) (i32.const {TEXT})) (i32.store (i32.const 0x614) (i32.const {code_len}))
         (i32.store (i32.const 0x618) (local.get $in)) (i32.store (i32.const 0x61c) (local.get $in_len))
         (i32.store (i32.const 0x620) (i32.const 0)) (i64.store (i32.const 0x630) (i64.const {after_ms})) (i32.const 0x600)"
    )
}
