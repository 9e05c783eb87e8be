//! Plugins that cannot be loaded, and those that ask for more than they are granted.

use std::sync::Arc;

use super::check::Check;
use crate::plan::Plan;
use crate::server::PluginSeen;

pub fn check(seen: &[PluginSeen], plans: &[Arc<Plan>]) -> Vec<Check> {
    let mut checks = Vec::new();
    for PluginSeen { name, plugin, trouble, file } in seen {
        if let Some(reason) = trouble {
            let detail = format!("`{name}` cannot be loaded: {reason}");
            let help = "rebuild or remove it; workflows that use it are refused";
            checks.push(Check::problem("plugins", detail, help));
        }
        // What is part of the binary asks nobody before it is used.
        let Some(plugin) = plugin.as_ref().filter(|_| file.is_some() || is_used(name, plans)) else { continue };
        for ask in plugin.asks.not_granted(name, &plugin.grant) {
            checks.push(Check::warning("plugins", format!("`{name}` {ask}"), "it runs without until then"));
        }
        for grant in plugin.asks.not_asked(&plugin.grant) {
            checks.push(Check::warning("plugins", format!("`{name}` {grant}"), "correct the grant, or remove it"));
        }
    }
    if checks.is_empty() {
        let steps: usize = seen.iter().flat_map(|seen| &seen.plugin).map(|plugin| plugin.steps.len()).sum();
        checks.push(Check::ok("plugins", format!("{} plugins with {steps} steps", seen.len())));
    }
    checks
}

fn is_used(name: &str, plans: &[Arc<Plan>]) -> bool {
    let is_its = |uses: &str| uses.split_once('/').is_some_and(|(plugin, _)| plugin == name);
    plans.iter().filter(|plan| plan.workflow.enabled).any(|plan| plan.steps.iter().any(|step| is_its(&step.uses)))
}
