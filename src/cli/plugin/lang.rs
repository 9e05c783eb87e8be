//! The languages that a project can be in.

use clap::ValueEnum;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    Rust,
    Js,
    Python,
    Go,
    C,
}

impl Lang {
    pub const ALL: [Self; 5] = [Self::Rust, Self::Js, Self::Python, Self::Go, Self::C];

    /// The file by which a project of it is known. C has the least telling one, and is looked for last.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Js => "package.json",
            Self::Python => "pyproject.toml",
            Self::Go => "go.mod",
            Self::C => "Makefile",
        }
    }

    /// What runs the project's test.
    pub fn test(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::Js => "npm test",
            Self::Python => "python3 -m unittest",
            Self::Go => "go test ./...",
            Self::C => "make test",
        }
    }
}
