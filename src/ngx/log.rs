//! nginx's error log.

use std::ptr::NonNull;

use super::sys;

/// Severity of a line.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// Why nginx does not start.
    Emerg,
    /// Something does not work, or the operator should act on it. Said once for each change of
    /// state: an nginx whose `error_log` names no level, such as Debian's, shows nothing below.
    Error,
    /// Of a configuration that is being read, which the terminal shows as well.
    Warn,
    /// Normal, but rare.
    Notice,
    /// What is done with each request.
    Debug,
}

/// A log of nginx: of a connection, or of the cycle.
#[derive(Clone, Copy)]
pub struct Log(NonNull<sys::ngx_log_t>);

impl Log {
    /// # Safety
    /// `log` outlives every use of the view.
    pub unsafe fn from_ptr(log: *mut sys::ngx_log_t) -> Option<Self> {
        NonNull::new(log).map(Self)
    }

    /// The log of the running cycle.
    pub fn cycle() -> Self {
        Self(ngx::log::ngx_cycle_log())
    }

    /// Writes one debug line.
    #[cold]
    pub fn debug(self, line: std::fmt::Arguments<'_>) {
        self.write(Level::Debug, line);
    }

    /// Writes one line, if the log is configured for its severity.
    pub fn write(self, level: Level, line: std::fmt::Arguments<'_>) {
        let level = match level {
            Level::Emerg => sys::NGX_LOG_EMERG,
            Level::Error => sys::NGX_LOG_ERR,
            Level::Warn => sys::NGX_LOG_WARN,
            Level::Notice => sys::NGX_LOG_NOTICE,
            Level::Debug => sys::NGX_LOG_DEBUG,
        };
        let log = self.0.as_ptr();
        ngx::ngx_log_error!(level, log, "{}", line);
    }
}
