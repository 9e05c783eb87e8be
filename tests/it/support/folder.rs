//! A user's working folder: a `moltrun.yaml`, workflows, a database; and the program run in it.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::guide_server::{API_KEY, MODEL_KEY};

pub struct Folder {
    dir: TempDir,
    config: Value,
}

/// What a finished command left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("stdout is no JSON ({error}): {self:#?}"),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code; {self:#?}");
        self
    }
}

impl Folder {
    /// A folder whose program talks to `far` and to nothing else.
    pub fn new(far: SocketAddr) -> Self {
        let config = json!({
            "workflows": "workflows",
            "database": "moltrun.db",
            "server": {"listen": "127.0.0.1:0"},
            "moltflow": {"base_url": format!("http://{far}/api/v2"), "api_key": API_KEY},
            "ai": {
                "default": "local",
                "providers": {
                    "local": {"base_url": format!("http://{far}/v1"), "api_key": MODEL_KEY, "model": "gpt-4o-mini"},
                },
            },
        });
        let folder = Self { dir: TempDir::new().unwrap(), config };
        std::fs::create_dir(folder.path("workflows")).unwrap();
        folder.configure(|_| {})
    }

    /// Changes `moltrun.yaml`. It is written as JSON, which is YAML too.
    pub fn configure(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        std::fs::write(self.path("moltrun.yaml"), text).unwrap();
        self
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and says where.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn workflow(self, name: &str, text: &str) -> Self {
        self.file(&format!("workflows/{name}.yaml"), text);
        self
    }

    /// The program in this folder with this folder's configuration, and nothing of the environment it was called from.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.prepared(Command::new(env!("CARGO_BIN_EXE_moltrun")), args)
    }

    /// The same, begun by another program that is given the program and its arguments.
    pub fn command_under<S: AsRef<std::ffi::OsStr>>(
        &self,
        outer: &[&str],
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(outer[0]);
        command.args(&outer[1..]).arg(env!("CARGO_BIN_EXE_moltrun"));
        self.prepared(command, args)
    }

    fn prepared<S: AsRef<std::ffi::OsStr>>(&self, mut command: Command, args: impl IntoIterator<Item = S>) -> Command {
        command
            .current_dir(self.dir.path())
            .env_clear()
            .envs(["PATH", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("HOME", self.dir.path())
            // One for all tests: the bundled plugins take seconds to compile.
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env("NO_COLOR", "1")
            .arg("--config")
            .arg(self.path("moltrun.yaml"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        finish(&mut self.command(args))
    }

    /// Runs a command that talks to the daemon at `url`.
    pub fn ask<S: AsRef<std::ffi::OsStr>>(&self, url: &str, args: impl IntoIterator<Item = S>) -> Finished {
        let listen = url.trim_start_matches("http://");
        finish(self.command(args).env("MOLTRUN_SERVER__LISTEN", listen))
    }
}

/// Runs `command` to its end; one that does not end is killed and fails the test.
pub fn finish(command: &mut Command) -> Finished {
    let mut child = command.spawn().unwrap();
    // Where a test has put something else there, one pipe's end still is the process's end.
    let stdout = child.stdout.take().map_or_else(nothing, read_to_end);
    let stderr = child.stderr.take().map_or_else(nothing, read_to_end);
    let both = stdout.recv_timeout(super::PATIENCE).and_then(|out| Ok((out, stderr.recv_timeout(super::PATIENCE)?)));
    let Ok((stdout, stderr)) = both else {
        kill(&mut child);
        panic!("{command:?} did not end");
    };
    Finished { code: child.wait().unwrap().code(), stdout, stderr }
}

/// SIGKILL: no handler, no goodbye.
pub fn kill(child: &mut Child) {
    // An error means that it is dead already.
    let _ = child.kill();
    let _ = child.wait();
}

fn nothing() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    sender.send(String::new()).unwrap();
    receiver
}

/// The whole text of a pipe, sent when its last writer has gone.
fn read_to_end(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
