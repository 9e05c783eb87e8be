//! Who is measured: `moltrun serve` in a folder of its own, or the floor; both as processes of their own.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::far::{Far, KEY};

/// A working folder: configuration, workflows, database.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    pub fn new(far: &Far, workflows: &[(&str, &str)]) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("moltrun-bench-").tempdir()?;
        let config = json!({
            "workflows": "workflows",
            "database": "moltrun.db",
            "server": {"listen": "127.0.0.1:0"},
            "moltflow": {"base_url": far.moltflow_url(), "api_key": KEY},
            "ai": {
                "default": "local",
                "providers": {"local": {"base_url": far.model_url(), "api_key": KEY, "model": "canned"}},
            },
        });
        let folder = Self { dir };
        std::fs::write(folder.path("moltrun.yaml"), config.to_string())?;
        std::fs::create_dir(folder.path("workflows"))?;
        for (name, text) in workflows {
            folder.workflow(name, text)?;
        }
        Ok(folder)
    }

    pub fn workflow(&self, name: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.path(&format!("workflows/{name}.yaml")), text)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path("moltrun.db")
    }
}

/// A running process that serves webhooks; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// From its start to the line that says where it listens.
    pub started_in: Duration,
}

impl Server {
    /// `binary serve` in `folder`.
    pub fn moltrun(binary: &Path, folder: &Folder) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command.current_dir(folder.dir.path()).args(["-q", "serve"]);
        Self::spawn(command)
    }

    /// The floor, which is this program called again.
    pub fn floor(far: &Far) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--floor", &far.address.to_string()]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> io::Result<Self> {
        let from = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let started_in = from.elapsed();
        let address = line.trim().strip_prefix("listening on http://").and_then(|text| text.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::Error::other(format!("it did not say where it listens, but {line:?}")));
        };
        // Its pipe is kept empty, whatever else it prints.
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        Ok(Self { child, address, started_in })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An answer of its API.
    pub async fn get(&self, path: &str) -> reqwest::Result<Value> {
        reqwest::get(format!("http://{}{path}", self.address)).await?.error_for_status()?.json().await
    }

    /// Runs that stand so, up to a page of 500 that is ended by `more`.
    pub async fn any(&self, status: &str) -> reqwest::Result<bool> {
        let page = self.get(&format!("/api/v1/runs?limit=1&status={status}")).await?;
        Ok(page["runs"].as_array().is_some_and(|runs| !runs.is_empty()))
    }

    /// Returns once no run is queued or running.
    pub async fn settled(&self) -> reqwest::Result<()> {
        while self.any("queued").await? || self.any("running").await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// SIGTERM, and its end: what it leaves is whole.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
