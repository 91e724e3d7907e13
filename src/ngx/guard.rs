//! Keeps panics from leaving a callback, which would abort the worker.

use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs `body`; after a panic returns `fallback`. Rust's panic hook has written the message to
/// standard error by then, which is nginx's error log.
pub fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    // What a panic leaves half done belongs to one request and is not used for another.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}
