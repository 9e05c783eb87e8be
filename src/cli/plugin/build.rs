//! `moltrun plugin build`: the project's own build, with its output on stderr; then the component is loaded as the daemon
//! would load it.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use super::detect::Project;
use super::lang::Lang;
use super::target::Target;
use super::tools::{self, CARGO_TARGET, RUST_TARGET};
use super::{inspect, target};
use crate::base::Json;
use crate::cli::{Exit, Failed, Globals, out, setup};
use crate::config::{DEFAULT_FILE, Need};
use crate::wasm::Origin;

#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Put the component here, too
    #[arg(long, value_name = "FILE", conflicts_with = "install")]
    out: Option<PathBuf>,
    /// Put the component into the plugins folder of the configuration
    #[arg(long)]
    install: bool,
}

pub async fn run(globals: &Globals, args: BuildArgs) -> Result<Exit, Failed> {
    // Before the build: a mistake in it should not cost one.
    let config = setup::config(globals, Need::Shape)?;
    if args.install && !is_configured(globals) {
        let reason = "there is no moltrun.yaml here that names the plugins folder";
        let what_to_do = "run `moltrun plugin build DIR --install` beside it, or give --config FILE";
        return Err(Failed::invalid(format!("--install: {reason}; {what_to_do}")));
    }
    if let Some(out) = args.out.as_deref().filter(|out| out.extension().is_none_or(|ending| ending != "wasm")) {
        return Err(Failed::invalid(format!(
            "--out: {} is no place for a component; its name ends in .wasm",
            out.display()
        )));
    }
    let project = Project::of(&args.dir).map_err(Failed::invalid)?;
    let missing = tools::missing(project.lang);
    if !missing.is_empty() {
        return Err(Failed::new(Exit::Failed, missing.join("\nerror: ")));
    }
    let built = tokio::task::spawn_blocking(move || build(&project).map(|()| project)).await;
    let project = built
        .map_err(|error| error.to_string())
        .and_then(|built| built)
        .map_err(|reason| Failed::new(Exit::Failed, reason))?;

    let component = project.component();
    let target = Target { name: project.name.clone(), origin: Origin::File(component.clone()) };
    let found = inspect::look(&target::host(&config, false), target).await;
    inspect::print_short(&found);
    if found.loaded.is_err() {
        return Ok(Exit::Invalid);
    }
    let to = match (args.install, args.out) {
        (true, _) => config.plugins.join(format!("{}.wasm", project.name)),
        (false, Some(file)) => file,
        (false, None) => {
            out::line(component.display());
            return Ok(Exit::Ok);
        }
    };
    put(&component, &to).map_err(|error| Failed::new(Exit::Failed, format!("{}: {error}", to.display())))?;
    out::line(to.display());
    Ok(Exit::Ok)
}

/// Whether somebody said where the plugins folder is: the default is that of the working folder, which is the project's own.
fn is_configured(globals: &Globals) -> bool {
    globals.config.is_some() || Path::new(DEFAULT_FILE).exists() || std::env::var_os("MOLTRUN_PLUGINS").is_some()
}

/// All of the file or nothing: a daemon may be watching the folder.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let aside = tempfile::Builder::new().prefix(".moltrun-").tempfile_in(folder)?;
    fs::copy(from, aside.path())?;
    aside.persist(to).map_err(|error| error.error)?;
    Ok(())
}

/// Leaves [`Project::component`].
fn build(project: &Project) -> Result<(), String> {
    match project.lang {
        Lang::Rust => {
            let made = cargo(project)?;
            put(&made, &project.component()).map_err(|error| format!("{}: {error}", made.display()))?;
        }
        Lang::Js => {
            if !project.dir.join("node_modules").exists() {
                own(project, "npm", &["install", "--no-audit", "--no-fund"])?;
            }
            own(project, "npm", &["run", "build"])?;
        }
        Lang::Python | Lang::Go => own(project, "sh", &["build.sh"])?,
        Lang::C => own(project, "make", &[])?,
    }
    match project.component() {
        component if component.is_file() => Ok(()),
        component => Err(format!("the build went well and left no {}", component.display())),
    }
}

/// Runs a program of the project.
fn own(project: &Project, program: &str, args: &[&str]) -> Result<(), String> {
    let shown = format!("{program} {}", args.join(" "));
    let shown = shown.trim_end();
    out::note(format_args!("{shown}"));
    let mut command = Command::new(program);
    // stdout is data: a build has none.
    command.args(args).current_dir(&project.dir).stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed: {status}")) }
}

/// Runs cargo, which says itself what it made.
fn cargo(project: &Project) -> Result<PathBuf, String> {
    let mut args = vec!["build", "--release", "--message-format", "json-render-diagnostics"];
    if std::env::var_os(CARGO_TARGET).is_none() {
        args.extend(["--target", RUST_TARGET]);
    }
    out::note(format_args!("cargo {}", args.join(" ")));
    let mut command = Command::new("cargo");
    command.args(args).current_dir(&project.dir).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut cargo = command.spawn().map_err(|error| format!("`cargo` cannot be started: {error}"))?;
    let mut made = None;
    // A line is one message of cargo, about one crate.
    for line in cargo.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let Ok(line) = line else { break };
        made = artifact(&line, &project.name).or(made);
    }
    let status = cargo.wait().map_err(|error| format!("`cargo` cannot be waited for: {error}"))?;
    if !status.success() {
        return Err(format!("`cargo build` failed: {status}"));
    }
    made.ok_or_else(|| "cargo made no component; the library needs `crate-type = [\"cdylib\"]`".to_string())
}

/// The component of the package `name`, if that is what the message is about.
fn artifact(message: &str, name: &str) -> Option<PathBuf> {
    let message: Json = serde_json::from_str(message).ok()?;
    let is_it = message["reason"] == "compiler-artifact"
        && message["target"]["name"].as_str()?.replace('-', "_") == name.replace('-', "_");
    let files = message["filenames"].as_array().filter(|_| is_it)?;
    files.iter().filter_map(Json::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_what_it_made() {
        let made = |name: &str, file: &str| {
            format!(r#"{{"reason": "compiler-artifact", "target": {{"name": "{name}"}}, "filenames": ["{file}"]}}"#)
        };
        assert_eq!(artifact(&made("a_b", "/t/a_b.wasm"), "a-b"), Some(PathBuf::from("/t/a_b.wasm")));
        for other in [made("serde", "/t/serde.wasm"), made("a_b", "/t/a_b.rlib"), "{}".into(), "warning: x".into()] {
            assert_eq!(artifact(&other, "a-b"), None, "{other}");
        }
    }

    #[test]
    fn a_file_is_put_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (from, folder) = (dir.path().join("a.wasm"), dir.path().join("deep/plugins"));
        fs::write(&from, "new").unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.wasm"), "old").unwrap();
        put(&from, &folder.join("a.wasm")).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a.wasm")).unwrap(), "new");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
