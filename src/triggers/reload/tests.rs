//! What a folder serves after each kind of change.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::engine::run::StepSet;
use crate::triggers::testing::{STEP, catalog};

/// A folder and what is known of it.
struct Desk {
    home: TempDir,
    files: Files,
    steps: Steps,
    served: Served,
}

impl Desk {
    fn with(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(home.path().join(name), format!("{text}{STEP}")).unwrap();
        }
        let checker = Checker {
            steps: Steps::new(StepSet { catalog: Arc::new(catalog()), ..StepSet::default() }),
            vars: JsonMap::new(),
            refuses: Box::new(|plan| (*plan.name == *"refused").then(|| "not here".to_string())),
        };
        let roots = vec![home.path().to_path_buf()];
        let (steps, catalog) = (checker.steps.clone(), checker.steps.now().catalog.clone());
        let folder = Folder::check(&roots, &catalog, &checker.vars);
        let served = Served::of(&folder);
        Self { files: Files::new(roots, &folder, catalog, checker), steps, home, served }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), format!("{text}{STEP}")).unwrap();
    }

    /// Looks until everything has settled; how many looks changed something.
    fn settle(&mut self) -> usize {
        let mut changes = 0;
        loop {
            let look = self.files.look();
            if let Some(served) = look.served {
                self.served = served;
                changes += 1;
            }
            if !look.unsettled {
                return changes;
            }
        }
    }

    /// `name=description@file`, with `!` for one whose file is broken.
    fn shown(&self) -> Vec<String> {
        let show = |served: &ServedWorkflow| {
            let file = Path::new(&*served.file).file_name().unwrap().to_str().unwrap().to_string();
            let description = served.plan.workflow.description.clone().unwrap_or_default();
            format!("{}={description}@{file}{}", served.plan.name, if served.stale { "!" } else { "" })
        };
        self.served.workflows().iter().map(show).collect()
    }

    fn codes(&self) -> Vec<&str> {
        self.served.problems().iter().map(|problem| problem.code).collect()
    }
}

#[test]
fn nothing_changes_while_nothing_changes() {
    let mut desk = Desk::with(&[("a.yaml", "name: a"), ("b.yaml", "name: b")]);
    assert_eq!(desk.settle(), 0);
    assert_eq!(desk.shown(), ["a=@a.yaml", "b=@b.yaml"]);
}

#[test]
fn edits_new_files_and_deletions_are_served_after_two_looks() {
    let mut desk = Desk::with(&[("a.yaml", "name: a\ndescription: one"), ("b.yaml", "name: b")]);
    let b = desk.served.find("b").unwrap().plan.clone();
    desk.write("a.yaml", "name: a\ndescription: two");
    desk.write("c.yaml", "name: c");
    let first = desk.files.look();
    assert!(first.served.is_none() && first.unsettled, "{first:?}");
    assert_eq!(desk.settle(), 1);
    assert_eq!(desk.shown(), ["a=two@a.yaml", "b=@b.yaml", "c=@c.yaml"]);
    assert!(Arc::ptr_eq(&b, &desk.served.find("b").unwrap().plan), "a file that did not change is not read again");
    fs::remove_file(desk.path("a.yaml")).unwrap();
    assert_eq!(desk.settle(), 1);
    assert_eq!(desk.shown(), ["b=@b.yaml", "c=@c.yaml"]);
    assert_eq!(desk.settle(), 0);
}

#[test]
fn a_broken_edit_leaves_the_last_good_version() {
    let mut desk = Desk::with(&[("a.yaml", "name: a\ndescription: one")]);
    desk.write("a.yaml", "name: a\nstepz: 1");
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=one@a.yaml!".to_string()], vec!["unknown-key"]));
    // Broken in another way, and unreadable altogether.
    desk.write("a.yaml", "name: [");
    desk.settle();
    assert_eq!(desk.shown(), ["a=one@a.yaml!"]);
    fs::write(desk.path("a.yaml"), [0xff, 0xfe]).unwrap();
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=one@a.yaml!".to_string()], vec!["not-utf8"]));
    desk.write("a.yaml", "name: a\ndescription: two");
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=two@a.yaml".to_string()], vec![]));
}

#[test]
fn a_file_that_is_being_written_is_left_alone() {
    let mut desk = Desk::with(&[("a.yaml", "name: a\ndescription: one")]);
    for length in 1..20 {
        fs::write(desk.path("a.yaml"), &format!("name: a{STEP}")[..length]).unwrap();
        let look = desk.files.look();
        assert!(look.served.is_none() && look.unsettled);
    }
    desk.write("a.yaml", "name: a\ndescription: two");
    assert_eq!(desk.settle(), 1);
    assert_eq!(desk.shown(), ["a=two@a.yaml"]);
}

#[test]
fn editors_may_rename() {
    let mut desk = Desk::with(&[("a.yaml", "name: a\ndescription: one")]);
    // The new version is put in the old one's place.
    desk.write("a.yaml.tmp", "name: a\ndescription: two");
    fs::rename(desk.path("a.yaml.tmp"), desk.path("a.yaml")).unwrap();
    desk.settle();
    assert_eq!(desk.shown(), ["a=two@a.yaml"]);
    // The old one is moved away before the new one is there.
    fs::rename(desk.path("a.yaml"), desk.path("a.yaml~")).unwrap();
    let look = desk.files.look();
    assert!(look.served.is_none() && look.unsettled);
    desk.write("a.yaml", "name: a\ndescription: three");
    assert_eq!(desk.settle(), 1);
    assert_eq!(desk.shown(), ["a=three@a.yaml"]);
    // The workflow moves to another file.
    fs::rename(desk.path("a.yaml"), desk.path("z.yaml")).unwrap();
    assert_eq!(desk.settle(), 1);
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=three@z.yaml".to_string()], vec![]));
}

#[test]
fn the_file_that_serves_a_name_keeps_it() {
    let mut desk = Desk::with(&[("m.yaml", "name: a\ndescription: old"), ("n.yaml", "name: n")]);
    desk.write("b.yaml", "name: a\ndescription: new");
    desk.settle();
    assert_eq!(
        (desk.shown(), desk.codes()),
        (vec!["a=old@m.yaml".to_string(), "n=@n.yaml".into()], vec!["duplicate-workflow"])
    );
    // An edit that takes another's name is a mistake like any other.
    desk.write("n.yaml", "name: a\ndescription: newer");
    desk.settle();
    assert_eq!(desk.shown(), ["a=old@m.yaml", "n=@n.yaml!"]);
    // The name becomes free.
    fs::remove_file(desk.path("m.yaml")).unwrap();
    desk.settle();
    assert_eq!(desk.shown(), ["a=new@b.yaml", "n=@n.yaml!"]);
    desk.write("b.yaml", "name: c");
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=newer@n.yaml".to_string(), "c=@b.yaml".into()], vec![]));
}

#[test]
fn a_name_goes_to_a_good_file_before_a_stale_one() {
    let mut desk = Desk::with(&[("m.yaml", "name: a\ndescription: old")]);
    desk.write("m.yaml", "name: [");
    desk.write("n.yaml", "name: a\ndescription: new");
    desk.settle();
    assert_eq!(desk.shown(), ["a=new@n.yaml"]);
    fs::remove_file(desk.path("n.yaml")).unwrap();
    desk.settle();
    assert_eq!(desk.shown(), Vec::<String>::new(), "an old version does not come back");
}

#[test]
fn what_cannot_run_here_is_not_served() {
    let mut desk = Desk::with(&[("a.yaml", "name: a")]);
    desk.write("a.yaml", "name: refused");
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=@a.yaml!".to_string()], vec!["unconfigured"]));
}

#[test]
fn a_folder_that_is_lost_keeps_its_workflows() {
    let mut desk = Desk::with(&[("a.yaml", "name: a")]);
    let (home, away) = (desk.path(""), desk.home.path().with_extension("away"));
    fs::rename(&home, &away).unwrap();
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=@a.yaml".to_string()], vec!["unreadable"]));
    fs::rename(&away, &home).unwrap();
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=@a.yaml".to_string()], vec![]));
}

#[test]
fn a_folder_below_that_is_removed_ends_its_workflows() {
    let mut desk = Desk::with(&[("a.yaml", "name: a")]);
    fs::create_dir(desk.path("deep")).unwrap();
    desk.write("deep/b.yaml", "name: b");
    desk.settle();
    assert_eq!(desk.shown(), ["a=@a.yaml", "b=@b.yaml"]);
    fs::remove_dir_all(desk.path("deep")).unwrap();
    desk.settle();
    assert_eq!(desk.shown(), ["a=@a.yaml"]);
}

#[test]
fn other_steps_have_every_file_checked_anew() {
    let mut desk = Desk::with(&[("a.yaml", "name: a\ndescription: one"), ("b.yaml", "name: b")]);
    let b = desk.served.find("b").unwrap().plan.digest.clone();
    let uses = |desk: &Desk, name: &str| {
        fs::write(desk.path("c.yaml"), format!("name: c\nsteps: [{{id: x, uses: {name}}}]\n"))
    };
    uses(&desk, "new/step").unwrap();
    desk.settle();
    assert_eq!(
        (desk.shown(), desk.codes()),
        (vec!["a=one@a.yaml".into(), "b=@b.yaml".into()], vec!["unknown-step-type"])
    );

    // A plugin that brings the step: one look is enough, since the files are as they were.
    desk.steps.replace(with("new/step"));
    assert_eq!(desk.settle(), 1);
    assert_eq!((desk.shown().len(), desk.codes().len()), (3, 0));
    assert_eq!(desk.served.find("b").unwrap().plan.digest, b);
    assert_eq!(desk.settle(), 0);

    // And one that no longer has it: the last good version stays.
    desk.steps.replace(with("other/step"));
    assert_eq!(desk.settle(), 1);
    assert_eq!((desk.shown().pop(), desk.codes()), (Some("c=@c.yaml!".to_string()), vec!["unknown-step-type"]));
    uses(&desk, "other/step").unwrap();
    desk.settle();
    assert_eq!((desk.shown().pop(), desk.codes().len()), (Some("c=@c.yaml".to_string()), 0));
}

/// The steps there are, and one of this name.
fn with(name: &str) -> StepSet {
    let mut catalog = catalog();
    let step = catalog.get("set").unwrap().clone();
    catalog.insert(crate::lang::StepSpec { name: name.to_string(), ..step });
    StepSet { catalog: Arc::new(catalog), ..StepSet::default() }
}

#[test]
fn a_file_that_was_away_when_other_steps_came_is_checked_against_them() {
    let mut desk = Desk::with(&[("a.yaml", "name: a")]);
    fs::write(desk.path("c.yaml"), "name: c\nsteps: [{id: x, uses: new/step}]\n").unwrap();
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=@a.yaml".to_string()], vec!["unknown-step-type"]));
    // With its folder, which leaves the file's own times as they were.
    let (home, away) = (desk.path(""), desk.home.path().with_extension("away"));
    fs::rename(&home, &away).unwrap();
    desk.steps.replace(with("new/step"));
    desk.settle();
    fs::rename(&away, &home).unwrap();
    desk.settle();
    assert_eq!((desk.shown(), desk.codes()), (vec!["a=@a.yaml".to_string(), "c=@c.yaml".into()], vec![]));
}
