//! What an operator does by hand: what a request of his asks for, and whether it may.

pub mod access;
pub mod action;
pub mod token;
