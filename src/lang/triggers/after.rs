//! The `workflow` trigger: after another workflow's run.

use super::sessions::words;
use crate::lang::diagnostic::Diagnostics;
use crate::lang::is_workflow_name;
use crate::lang::reader::{self, Fields};
use crate::lang::workflow::{End, Trigger};
use crate::lang::yaml::Node;

pub(super) fn read(node: &Node, found: &mut Diagnostics<'_>) -> Option<Trigger> {
    let mut fields = Fields::open(node, "a `workflow` trigger", found)?;
    let name = fields.required("name", found);
    let status = fields.optional("status").map(|entry| words(&entry.value, &End::WORDS, found));
    fields.finish(found);
    let name = reader::name(&name?.value, is_workflow_name, "name of a workflow", found)?;
    Some(Trigger::Workflow { name, status: status.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::super::samples::triggers;
    use super::*;

    #[test]
    fn a_name_and_perhaps_how_it_ended() {
        let (found, mistakes) = triggers("workflow: { name: import, status: [failed, cancelled] }");
        let expected = Trigger::Workflow { name: "import".to_string(), status: vec![End::Failed, End::Cancelled] };
        assert_eq!((found, mistakes), (vec![expected], vec![]));
        for (text, expected) in [
            ("workflow: { status: failed }", "a `workflow` trigger needs `name`"),
            ("workflow: { name: Import }", "`Import` is no name of a workflow"),
            ("workflow: { name: a, status: succeded }", "did you mean `succeeded`?"),
        ] {
            let (_, mistakes) = triggers(text);
            assert!(mistakes.len() == 1 && mistakes[0].contains(expected), "{text}: {mistakes:?}");
        }
    }
}
