//! The steps of all blocks in one row: their numbers, their places in the file, and who is around whom.
//!
//! The root block's steps come first, then, container by container in order of number, the steps of each container's
//! block. A `for_each` on one step stands for two: the container, and a block of that one step.

use std::collections::{HashMap, VecDeque};

use super::Block;
use crate::lang::Workflow;
use crate::lang::workflow::StepDef;

/// One number.
#[derive(Clone, Debug)]
pub(super) struct Slot<'w> {
    pub step: &'w StepDef,
    pub role: Role,
    /// The block it is in.
    pub block: usize,
    /// Keys and indexes from the root of the file to the step.
    pub path: Vec<String>,
}

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A step that does something, once.
    Single,
    /// A `for_each`, and the number of its block.
    Container(usize),
    /// The step that the `for_each` beside it repeats. It has the container's id, and nobody can name it.
    Repeated,
}

#[derive(Clone, Debug)]
pub(super) struct Layout<'w> {
    pub slots: Vec<Slot<'w>>,
    pub blocks: Vec<Block>,
    /// The number of every id; the first of two equal ones counts. A repeated step is not among them.
    pub ids: HashMap<&'w str, usize>,
}

impl<'w> Layout<'w> {
    pub fn of(workflow: &'w Workflow) -> Self {
        let mut layout = Self { slots: Vec::new(), blocks: Vec::new(), ids: HashMap::new() };
        layout.block(&workflow.steps, &[], Vec::new());
        let mut open = VecDeque::from([0]);
        while let Some(block) = open.pop_front() {
            for number in layout.numbers(block) {
                if layout.expand(number) {
                    open.push_back(layout.blocks.len() - 1);
                }
            }
        }
        for (number, slot) in layout.slots.iter().enumerate() {
            if slot.role != Role::Repeated && !slot.step.id.is_empty() {
                layout.ids.entry(slot.step.id.as_str()).or_insert(number);
            }
        }
        layout
    }

    /// The numbers of a block's steps.
    pub fn numbers(&self, block: usize) -> std::ops::Range<usize> {
        let Block { first, len, .. } = self.blocks[block];
        first..first + len
    }

    /// The containers around a step, the outermost first.
    pub fn around(&self, number: usize) -> &[usize] {
        &self.blocks[self.slots[number].block].chain
    }

    /// The names of the items around the steps of a block, the outermost first.
    pub fn items(&self, block: usize) -> Vec<&'w str> {
        let chain = self.blocks[block].chain.iter();
        chain.filter_map(|container| Some(self.slots[*container].step.for_each.as_ref()?.name.as_str())).collect()
    }

    /// Adds the block of `steps`, which stand at `path` of the file.
    fn block(&mut self, steps: &'w [StepDef], path: &[String], chain: Vec<usize>) {
        let number = self.blocks.len();
        self.blocks.push(Block { first: self.slots.len(), len: steps.len(), chain });
        for (index, step) in steps.iter().enumerate() {
            let below = ["steps".to_string(), index.to_string()];
            let path = path.iter().cloned().chain(below).collect();
            self.slots.push(Slot { step, role: Role::Single, block: number, path });
        }
    }

    /// Gives a step with `for_each` its block; false if it has none.
    fn expand(&mut self, number: usize) -> bool {
        let Slot { step, role, path, .. } = self.slots[number].clone();
        if step.for_each.is_none() || role == Role::Repeated {
            return false;
        }
        let block = self.blocks.len();
        let chain: Vec<usize> = self.around(number).iter().copied().chain([number]).collect();
        self.slots[number].role = Role::Container(block);
        if step.is_block() {
            self.block(&step.steps, &path, chain);
        } else {
            self.blocks.push(Block { first: self.slots.len(), len: 1, chain });
            self.slots.push(Slot { step, role: Role::Repeated, block, path });
        }
        true
    }
}

impl Slot<'_> {
    /// The place of `below` in the file.
    pub fn at<'a>(&'a self, below: &[&'a str]) -> Vec<&'a str> {
        self.path.iter().map(String::as_str).chain(below.iter().copied()).collect()
    }
}
