//! `moltrun plugin new`: a project that builds. Nothing is ever overwritten: the folder is new or empty.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::lang::Lang;
use super::templates;
use crate::cli::{Exit, Failed, out};
use crate::wasm;

#[derive(Debug, Args)]
pub struct NewArgs {
    /// The plugin's name: [a-z][a-z0-9-]*; workflows use its step as NAME/greet
    name: String,
    /// Its language
    #[arg(long, value_enum)]
    lang: Lang,
    /// Where the project goes; it must be new or empty [default: NAME]
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub fn run(args: NewArgs) -> Result<Exit, Failed> {
    let NewArgs { name, lang, dir } = args;
    wasm::check_name(&name).map_err(Failed::invalid)?;
    if name.ends_with('-') || name.contains("--") {
        return Err(Failed::invalid(format!("`{name}`: not every language has names with `-` at the end or twice")));
    }
    let dir = dir.unwrap_or_else(|| PathBuf::from(&name));
    let cannot = |error: io::Error| Failed::new(Exit::Failed, format!("{} cannot be written: {error}", dir.display()));
    if !is_free(&dir).map_err(cannot)? {
        let dir = dir.display();
        return Err(Failed::invalid(format!(
            "{dir} is there and not empty; nothing is overwritten, give another --dir"
        )));
    }
    let mut count = 0;
    for (path, text) in templates::files(lang) {
        write(&dir.join(templates::named(path, &name)), &templates::named(text, &name)).map_err(cannot)?;
        count += 1;
    }
    let shown = dir.display();
    out::line(format_args!("{shown}: {count} files, with the step {name}/greet"));
    out::note(format_args!("next: cd {shown}; {}; moltrun plugin build; README.md has the rest", lang.test()));
    Ok(Exit::Ok)
}

/// Whether there is nothing at `dir`, or an empty folder.
fn is_free(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}
