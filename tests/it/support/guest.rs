//! A component as somebody might drop it into the plugins folder, written as text: one step, one answer, one line.

use std::fmt::Write;

/// What the component says of itself and does.
pub struct Guest {
    pub version: &'static str,
    pub step: &'static str,
    /// 0 pure, 1 idempotent, 2 at most once.
    pub effect: u8,
    /// The output, as JSON; empty: it fails, and the details of its failure are `{"left": 3}`.
    pub answer: &'static str,
    /// What it writes into its log first; empty: nothing.
    pub line: &'static str,
    /// The hosts it asks to reach: one, or none.
    pub host: &'static str,
}

impl Default for Guest {
    fn default() -> Self {
        Self { version: "1.0.0", step: "act", effect: 0, answer: "{}", line: "", host: "" }
    }
}

impl Guest {
    /// The bytes of the file.
    pub fn component(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn text(&self) -> String {
        let mut data = String::new();
        let mut put = |at: u32, bytes: &[u8]| {
            let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            let _ = writeln!(data, "(data (i32.const {at}) \"{escaped}\")");
        };
        let mut next = 0x1000;
        let mut text = |text: &str, put: &mut dyn FnMut(u32, &[u8])| {
            put(next, text.as_bytes());
            let at = [next, text.len() as u32];
            next += text.len() as u32;
            at
        };
        let (version, name) = (text(self.version, &mut put), text(self.step, &mut put));
        let (summary, any) = (text("a step of a test", &mut put), text("{}", &mut put));
        let input = text(r#"{"type": "object"}"#, &mut put);
        let (answer, line) = (text(self.answer, &mut put), text(self.line, &mut put));
        let (code, message) = (text("refused", &mut put), text("as it was told", &mut put));
        let (details, host) = (text(r#"{"left": 3}"#, &mut put), text(self.host, &mut put));
        let hosts = u32::from(!self.host.is_empty());
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        // plugin-info, its step-info, its host; then the two ends of a call.
        put(0x400, &words(&[version, [0x480, 1], [0x500, hosts], [0, 0]].concat()));
        put(0x480, &words(&[&name[..], &summary, &[self.effect.into()], &input, &any, &[0, 0]].concat()));
        put(0x500, &words(&host));
        put(0x600, &words(&[&[0, 0][..], &answer, &[0]].concat()));
        put(0x700, &words(&[&[1, 0, 0, 0][..], &code, &message, &[1], &details].concat()));
        // Only a plugin that imports something to reach out with may ask for hosts.
        let secrets = if hosts > 0 { r#"(import "moltrun:step/secrets@1.0.0" (instance))"# } else { "" };
        let result = if self.answer.is_empty() { 0x700 } else { 0x600 };
        let write = match self.line {
            "" => String::new(),
            _ => format!(
                "(call $write (i32.const 1) (i32.const {}) (i32.const {}) (i32.const 0) (i32.const 0))",
                line[0], line[1]
            ),
        };
        format!(
            r#"(component
  (import "moltrun:step/log@1.0.0" (instance $log
    (type $l (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $l)))
    (export "write" (func (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
  {secrets}
  (core module $libc
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 0x8000))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $p i32)
      (local.set $p (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $p) (local.get 3)))
      (local.get $p)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $write (canon lower (func $log "write") (memory $memory)))
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "write" (func $write (param i32 i32 i32 i32 i32)))
    {data}
    (func (export "describe") (result i32) (i32.const 0x400))
    (func (export "run") (param i32 i32 i32 i32) (result i32) {write} (i32.const {result})))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "write" (func $write))))))
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
  (export "moltrun:step/guest@1.0.0" (instance $guest)))"#
        )
    }
}
