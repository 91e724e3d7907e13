//! What the debug lines of a request need (`error_log … debug`): why it goes where it goes, and
//! what was read of its response. Only a request whose log takes such lines has a [`Trace`]; for
//! the others nothing is done.
//!
//! A line names an id by its hash, as `$sticky_id_hash` does, and never the id.

use std::cell::{Cell, OnceCell, Ref, RefCell};

use sticky_core::events::Source;

use crate::ngx::log::Log;
use crate::ngx::request::Request;

/// What the debug lines of a request need. The line of the response is written when the request's
/// memory is given back, as only then all of it has come.
pub struct Trace<'r> {
    log: Log,
    learned: RefCell<Vec<(Source, Option<u32>)>>,
    has_line: Cell<bool>,
    end: OnceCell<WriteLine<'r>>,
}

/// Writes a line.
type WriteLine<'r> = Box<dyn Fn(&Trace<'r>) + 'r>;

impl<'r> Trace<'r> {
    /// For a request whose log takes debug lines.
    pub fn begin(r: Request<'r>) -> Option<&'r Self> {
        r.pool()?.keep(Trace {
            log: r.log(),
            learned: RefCell::default(),
            has_line: Cell::new(false),
            end: OnceCell::new(),
        })
    }

    /// Where its lines go.
    pub fn log(&self) -> Log {
        self.log
    }

    /// A session has begun, of which `source` has shown the id.
    pub fn learn(&self, source: Source, id_hash: Option<u32>) {
        self.learned.borrow_mut().push((source, id_hash));
    }

    /// The sessions that have begun: the source that has shown each, and its hash.
    pub fn learned(&self) -> Ref<'_, Vec<(Source, Option<u32>)>> {
        self.learned.borrow()
    }

    /// Whether the request has its line. It has from now on.
    pub fn takes_line(&self) -> bool {
        self.has_line.replace(true)
    }

    /// How the line of the response is written. Of a response that is passed on more than once, the
    /// first one counts. What reads the body is gone by then, the request's context is not.
    pub fn at_end(&self, write: impl Fn(&Trace<'r>) + 'r) {
        let _ = self.end.set(Box::new(write));
    }
}

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        if let Some(write) = self.end.get() {
            write(self);
        }
    }
}
