//! Files in memory that this process has open: at its start, those of the nginx that has started
//! it.

use std::os::fd::RawFd;

use rustix::fs::{readlinkat, Dir, Mode, OFlags};

/// Their descriptors and names. `None`: there is no /proc.
pub fn open_files() -> Option<Vec<(RawFd, Vec<u8>)>> {
    let files = rustix::fs::open("/proc/self/fd", OFlags::DIRECTORY, Mode::empty()).ok()?;
    let mut all = Vec::new();
    for entry in Dir::read_from(&files).ok()?.flatten() {
        let Ok(link) = readlinkat(&files, entry.file_name(), Vec::new()) else {
            continue;
        };
        let link = link.as_bytes();
        let link = link.strip_suffix(b" (deleted)").unwrap_or(link);
        let name = link.strip_prefix(b"/memfd:");
        let number = entry.file_name().to_str().ok();
        let number = number.and_then(|number| number.parse().ok());
        all.extend(number.zip(name.map(<[u8]>::to_vec)));
    }
    Some(all)
}
