//! `moltrun serve` as a process of its own, so that it can be killed as a machine dies.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

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
        let mut child = folder.command(["serve"]).spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap(), Arc::default());
        let stderr = Arc::<Mutex<String>>::default();
        // Its lines are kept whole in `stderr`; what is received is dropped.
        drop(lines(child.stderr.take().unwrap(), stderr.clone()));
        let Ok(line) = stdout.recv_timeout(PATIENCE) else {
            kill(&mut child);
            panic!("the daemon did not say where it listens; stderr:\n{}", stderr.lock().unwrap());
        };
        let Some(url) = line.strip_prefix("listening on ") else {
            kill(&mut child);
            panic!("expected `listening on http://…` as the first line of stdout, got {line:?}");
        };
        let api = Api::new(url);
        Self { child, api, stdout, stderr }
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

    /// SIGTERM; the exit code of what follows.
    pub fn terminate(mut self) -> Option<i32> {
        let signal = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status().unwrap();
        assert!(signal.success(), "the daemon was gone before it was asked to stop; stderr:\n{}", self.stderr());
        // The pipe's end is the process's end; anything it still prints is not our business.
        loop {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code(),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("SIGTERM did not end it; stderr:\n{}", self.stderr()),
            }
        }
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
