//! What a folder holds: a project of which language, and of which plugin.

use std::path::{Path, PathBuf};

use super::lang::Lang;
use crate::base::{Json, limits};
use crate::lang::file::read_bounded;
use crate::wasm;

/// A project that can be built.
#[derive(Debug, PartialEq, Eq)]
pub struct Project {
    pub dir: PathBuf,
    pub lang: Lang,
    /// The plugin's, from the project's manifest.
    pub name: String,
}

impl Project {
    /// The project in `dir`; an error says what is missing.
    pub fn of(dir: &Path) -> Result<Self, String> {
        let shown = dir.display();
        if !dir.is_dir() {
            return Err(format!("{shown} is no folder"));
        }
        let Some(lang) = Lang::ALL.into_iter().find(|lang| dir.join(lang.manifest()).is_file()) else {
            let known = Lang::ALL.map(Lang::manifest).join(", ");
            return Err(format!("{shown} holds no project: none of {known}; `moltrun plugin new` writes one"));
        };
        let manifest = dir.join(lang.manifest());
        let bytes = read_bounded(&manifest, limits::SOURCE_FILE)
            .map_err(|error| format!("{} cannot be read: {error}", manifest.display()))?;
        let name = name_in(lang, &String::from_utf8_lossy(&bytes))
            .ok_or_else(|| format!("{} does not say what the plugin is called", manifest.display()))?;
        wasm::check_name(&name).map_err(|reason| format!("{}: {reason}", manifest.display()))?;
        Ok(Self { dir: dir.to_path_buf(), lang, name })
    }

    /// Where the component lies once it is built.
    pub fn component(&self) -> PathBuf {
        self.dir.join(format!("{}.wasm", self.name))
    }
}

/// What the manifest calls the plugin. Only the form that templates have and formatters keep is understood.
fn name_in(lang: Lang, manifest: &str) -> Option<String> {
    match lang {
        Lang::Rust => in_section(manifest, "[package]"),
        Lang::Python => in_section(manifest, "[project]"),
        Lang::Js => {
            let package: Json = serde_json::from_str(manifest).ok()?;
            // Without the scope of its owner.
            Some(package["name"].as_str()?.rsplit('/').next()?.to_string())
        }
        Lang::Go => {
            let module = manifest.lines().find_map(|line| line.trim().strip_prefix("module "))?;
            Some(module.trim().trim_matches('"').rsplit('/').next()?.to_string())
        }
        Lang::C => manifest.lines().find_map(|line| {
            let (target, _) = line.split_once(':')?;
            Some(target.strip_suffix(".wasm")?.to_string()).filter(|name| !name.contains(['$', '%', '/', ' ']))
        }),
    }
}

/// `name = "…"` of a section of a TOML file.
fn in_section(toml: &str, section: &str) -> Option<String> {
    let lines = toml.lines().map(str::trim).skip_while(|line| *line != section).skip(1);
    lines.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?;
        (key.trim() == "name").then(|| value.split('"').next().unwrap_or_default().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_says_what_the_plugin_is_called() {
        for (lang, manifest, name) in [
            (Lang::Rust, "[package]\nversion = \"1\"\nname = \"a-b\" # it\n", Some("a-b")),
            (Lang::Rust, "[workspace]\nmembers = []\n", None),
            (Lang::Rust, "[package]\nversion = \"1\"\n[[bin]]\nname = \"x\"\n", None),
            (Lang::Python, "[project]\nname = \"a\"\n", Some("a")),
            (Lang::Js, r#"{"name": "@me/a-b"}"#, Some("a-b")),
            (Lang::Js, r#"{"name": 1}"#, None),
            (Lang::Js, "{", None),
            (Lang::Go, "// a\nmodule example.com/me/a-b\n\ngo 1.24\n", Some("a-b")),
            (Lang::C, "# a: b\nCC ?= cc\n\n%.wasm: %.c\na-b.wasm: x.c\n", Some("a-b")),
            (Lang::C, "all: x\n", None),
        ] {
            assert_eq!(name_in(lang, manifest).as_deref(), name, "{manifest}");
        }
    }

    #[test]
    fn a_folder_that_is_no_project_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let error = Project::of(dir.path()).unwrap_err();
        assert!(error.contains("holds no project: none of Cargo.toml, package.json"), "{error}");
        assert!(Project::of(&dir.path().join("x")).unwrap_err().ends_with("is no folder"));
        std::fs::write(dir.path().join("go.mod"), "module me/http\n").unwrap();
        assert!(Project::of(dir.path()).unwrap_err().contains("`http` is reserved"));
        std::fs::write(dir.path().join("go.mod"), "module me/fine\n").unwrap();
        let project = Project::of(dir.path()).unwrap();
        assert_eq!((project.lang, project.component()), (Lang::Go, dir.path().join("fine.wasm")));
    }
}
