//! `moltrun serve` as a process of its own, so that it can be killed as a machine dies.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::folder::{Folder, kill};
use super::{Api, PATIENCE};

pub struct Daemon {
    child: Child,
    api: Api,
    stdout: mpsc::Receiver<String>,
    stderr: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts the daemon and returns once it says where it listens.
    pub fn start(folder: &Folder) -> Self {
        Self::of(&mut folder.command(["serve"]))
    }

    /// The same with a command that was changed, or wrapped.
    pub fn of(command: &mut Command) -> Self {
        match Starting::of(command).listens_within(PATIENCE) {
            Ok(daemon) => daemon,
            Err(stderr) => panic!("the daemon did not say where it listens; stderr:\n{stderr}"),
        }
    }

    pub fn api(&self) -> &Api {
        &self.api
    }

    pub fn url(&self) -> &str {
        &self.api.url
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// SIGKILL, and the process is gone when this returns.
    pub fn kill(mut self) {
        kill(&mut self.child);
    }

    /// Sends the signal of that name (`TERM`, `STOP`).
    pub fn signal(&self, name: &str) {
        let signal = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(signal.success(), "the daemon was gone before SIG{name}; stderr:\n{}", self.stderr());
    }

    /// Returns once it has said so on stderr.
    pub async fn says(&self, text: &str) {
        let said = async {
            while !self.stderr().contains(text) {
                tokio::task::yield_now().await;
            }
        };
        let said = tokio::time::timeout(PATIENCE, said).await;
        assert!(said.is_ok(), "it never said {text:?}; stderr:\n{}", self.stderr());
    }

    /// SIGTERM; the exit code of what follows.
    pub fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for its end; the exit code.
    pub fn ended(mut self) -> Option<i32> {
        // The pipe's end is the process's end; anything it still prints is not our business.
        loop {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code(),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it did not end; stderr:\n{}", self.stderr()),
            }
        }
    }
}

/// A daemon that has not yet said where it listens.
pub struct Starting {
    child: Child,
    stdout: mpsc::Receiver<String>,
    stderr: Arc<Mutex<String>>,
}

impl Starting {
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap(), Arc::default());
        let stderr = Arc::<Mutex<String>>::default();
        // Its lines are kept whole in `stderr`; what is received is dropped.
        drop(lines(child.stderr.take().unwrap(), stderr.clone()));
        Self { child, stdout, stderr }
    }

    /// The daemon once it listens. One that does not within `time`, or that ends, is killed; then this is its stderr.
    pub fn listens_within(mut self, time: Duration) -> Result<Daemon, String> {
        let Ok(line) = self.stdout.recv_timeout(time) else {
            kill(&mut self.child);
            return Err(self.stderr.lock().unwrap().clone());
        };
        let Some(url) = line.strip_prefix("listening on ") else {
            kill(&mut self.child);
            panic!("expected `listening on http://…` as the first line of stdout, got {line:?}");
        };
        let api = Api::new(url);
        Ok(Daemon { child: self.child, api, stdout: self.stdout, stderr: self.stderr })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(&mut self.child);
        if std::thread::panicking() {
            let stderr = self.stderr();
            let tail: Vec<&str> = stderr.lines().rev().take(40).collect();
            eprintln!("--- the daemon's last words ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Reads a pipe line by line, so that its writer never blocks: into `kept` and to whoever still listens.
fn lines(pipe: impl std::io::Read + Send + 'static, kept: Arc<Mutex<String>>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut kept = kept.lock().unwrap();
            kept.push_str(&line);
            kept.push('\n');
            let _ = sender.send(line);
        }
    });
    receiver
}
