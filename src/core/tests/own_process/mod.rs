//! A test that runs as a process of its own, to be killed by others.

use std::env;
use std::process::{Command, Stdio};

/// What programs of another processor are run by, as cargo's `runner` is.
const RUNNER: &str = "TEST_RUNNER";

/// The command for one test of this program, which others ignore.
pub fn of_test(name: &str) -> Command {
    let own = env::current_exe().unwrap();
    let mut command = match env::var_os(RUNNER) {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(own);
            command
        }
        None => Command::new(own),
    };
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}
