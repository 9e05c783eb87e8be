//! The plugin `plugin-name`: its steps are those that `plugin!` lists.

use moltrun_step::prelude::*;

mod greet;

plugin!(greet::Greet);
