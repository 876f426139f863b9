//! What it is measured on: the machine, the versions, and the core that the processes are pinned
//! to.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::measure::Cores;

/// The core to pin every measuring process to: the last that this process may use, because the
/// first ones serve most interrupts. `None` if `taskset` is not there (outside Linux), and then
/// nothing is pinned.
pub(crate) fn pinned_core() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let core: usize = allowed.trim().rsplit([',', '-']).next()?.parse().ok()?;
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", &core.to_string(), "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    taskset.status().ok()?.success().then_some(core)
}

/// The core for the threads beside the loop: the first that this process may use, if it is not the
/// pinned one.
pub(crate) fn helper_core(pinned: Option<usize>) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let core = allowed.trim().split([',', '-']).next()?.parse().ok()?;
    (pinned.is_some() && pinned != Some(core)).then_some(core)
}

/// In a process that measures: where [`pin_helper`] pins threads.
static HELPER_CORE: OnceLock<usize> = OnceLock::new();

/// In a process that measures, before it starts: pins helper threads to `core`.
pub(crate) fn set_helper_core(core: usize) {
    HELPER_CORE.get_or_init(|| core);
}

/// Moves the calling thread to the helpers' core, if there is one.
pub(crate) fn pin_helper() {
    #[cfg(target_os = "linux")]
    if let Some(&core) = HELPER_CORE.get() {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(core);
        rustix::thread::sched_setaffinity(None, &cores).expect("the core is allowed");
    }
}

/// A clock of the processor time of this process, all its threads together.
pub(crate) struct CpuTime(cpu_time::ProcessTime);

impl CpuTime {
    /// Starts it.
    pub(crate) fn now() -> Self {
        Self(cpu_time::ProcessTime::now())
    }

    /// The nanoseconds since.
    pub(crate) fn elapsed_ns(&self) -> f64 {
        self.0.elapsed().as_nanos() as f64
    }
}

/// The lines above the table.
pub(crate) fn describe(cores: Cores) -> String {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let compiler =
        first_line(Command::new("rustc").arg("--version")).unwrap_or("an unknown rustc".to_owned());
    let pinned = match (cores.loops, cores.helpers) {
        (Some(core), Some(helpers)) => {
            format!("every process pinned to core {core}, the threads that wake it to core {helpers}")
        }
        (Some(core), None) => format!("every process pinned to core {core}"),
        (None, _) => "NOT pinned to a core: there is no taskset here".to_owned(),
    };
    format!("{}, {count} cores, {compiler}; {pinned}\n{}\n", processor(), peer_versions())
}

/// The name of the processor, where Linux says it.
fn processor() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = information
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The versions of the peers, as cargo resolved them.
fn peer_versions() -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut tree = Command::new(cargo);
    tree.args([
        "tree",
        "--offline",
        "--depth",
        "1",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--manifest-path",
        manifest,
    ]);
    let output = tree.stderr(Stdio::null()).output().ok();
    let printed =
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // The first line is this package; ours has a path behind its version.
    let versions = printed.lines().skip(1).filter(|line| !line.contains('(')).map(str::to_owned);
    #[cfg(target_os = "linux")]
    let versions = versions.chain(crate::scripts::versions());
    versions.collect::<Vec<_>>().join(", ")
}

/// The first line that a command prints, if it succeeds.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    printed.lines().next().map(str::to_owned)
}
