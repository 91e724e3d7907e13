//! No panic leaves a callback: it would abort the worker.

use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs `body`; a panic becomes `fallback`. Rust's panic hook has written its message to standard
/// error by then, which is nginx's error log.
pub fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    // What a panic may leave half done belongs to one request and is not used for another.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}
