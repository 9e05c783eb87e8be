//! What a process has used, as the kernel counts it.

use std::fs;
use std::ops::Sub;

/// Since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// In seconds, all threads.
    pub user: f64,
    pub system: f64,
    /// Of all threads that are still there.
    pub switches: u64,
}

impl Usage {
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may hold spaces: state is field 3, utime 14, stime 15.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        // The kernel's clock ticks are hundredths of a second for programs, whatever it uses itself.
        let seconds = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 100.0;
        Self { user: seconds(11), system: seconds(12), switches: switches(pid) }
    }

    /// In seconds.
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

fn switches(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let status = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    status
        .map(|status| number(&status, "voluntary_ctxt_switches:") + number(&status, "nonvoluntary_ctxt_switches:"))
        .sum()
}

/// Resident memory now and at its highest, in MB (of 1,000,000 bytes).
pub fn resident(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mb = |name| number(&status, name) as f64 * 1024.0 / 1e6;
    (mb("VmRSS:"), mb("VmHWM:"))
}

fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|text| text.parse().ok()).unwrap_or(0)
}
