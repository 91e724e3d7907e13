//! `mode=rewrite`: the name of the server as a parameter in the links of its pages.

use std::sync::Arc;

use super::cookie::recipe;
use super::error::DirectiveError;
use super::hosts::hosts;
use super::no_fallback::no_fallback;
use super::on_failure::on_failure;
use super::parameters::Parameters;
use super::RewriteRule;
use crate::url::Names;

pub fn rule(given: &Parameters) -> Result<RewriteRule, DirectiveError> {
    let name = given.value("name").unwrap_or(b"route");
    if !Names::is_valid_name(name) {
        let expected = "1 to 64 of the characters A-Z a-z 0-9 - _ . ~ ! $ * @ :";
        return Err(DirectiveError::value("name", name, expected));
    }
    Ok(RewriteRule {
        names: Arc::new(Names::new(vec![name.into()])),
        recipe: recipe(given)?,
        hosts: hosts(given)?,
        on_failure: on_failure(given)?,
        no_fallback: no_fallback(given)?,
        is_dry_run: given.has("dry_run"),
    })
}
