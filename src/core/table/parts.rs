//! Work on a whole table in several threads at once.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread::{Builder, ScopedJoinHandle};

use super::LINE;

/// More threads than that are never started.
const MOST_THREADS: usize = 64;

/// Does work on so many words in so many threads at once: calls `work` once with each part of their
/// places, whole lines, one of them in this thread. A part for which there is no thread to be had is
/// done in this one, too. Returns what `work` did, in the order of the parts.
///
/// Threads inherit which signals are blocked: in a process of nginx, all are to be.
pub(super) fn in_parts<R: Send>(
    words: usize,
    threads: usize,
    work: impl Fn(Range<usize>) -> R + Sync,
) -> Vec<R> {
    let count = threads.clamp(1, MOST_THREADS);
    let lines = words.div_ceil(LINE);
    let begin = |part: usize| (lines * part / count * LINE).min(words);
    let part = |part: usize| begin(part)..begin(part + 1);
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<Result<ScopedJoinHandle<'_, R>, Range<usize>>> = (1..count)
            .map(|number| {
                let builder = Builder::new().name("sticky".into());
                let started = builder.spawn_scoped(scope, move || work(part(number)));
                started.map_err(|_| part(number))
            })
            .collect();
        let mut done = vec![work(part(0))];
        done.extend(others.into_iter().map(|other| match other {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(part) => work(part),
        }));
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_in_one_part() {
        for (words, threads) in [(0, 1), (4, 3), (64, 1), (64, 5), (1000, 7), (1000, 1000)] {
            let parts = in_parts(words, threads, |part| part);
            let places: Vec<usize> = parts.iter().cloned().flatten().collect();
            assert_eq!(
                places,
                (0..words).collect::<Vec<_>>(),
                "{words} in {threads}"
            );
            assert!(parts.iter().all(|part| part.start % LINE == 0));
            assert_eq!(parts.len(), threads.min(MOST_THREADS));
        }
    }
}
