//! Tests for what operators see: the page, JSON and metrics of one report. Without them a name in
//! the configuration could run as a script, and a tool could read what the next version has
//! renamed.

mod discovered;
mod forms;
mod hands;
mod names;
mod orders;
mod sample;
mod schema;
mod verdicts;
