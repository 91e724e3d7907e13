//! Members of JSON and elements of XML, as `from=` and `learn=` name them.

use crate::scan::json::Member;
use crate::url::Names;

/// The longest path, in steps.
const MAX_STEPS: usize = 32;

/// `NAME` wherever it stands, `A.B.NAME` from the outermost object on, `.NAME` in that object
/// alone, `.` for a text that is one string. `None`: it is none of these.
pub(super) fn member(written: &[u8]) -> Option<Member> {
    if written == b"." {
        return Some(Member::ByPath([].into()));
    }
    let (path, is_outermost) = match written.strip_prefix(b".") {
        Some(path) => (path, true),
        None => (written, false),
    };
    let steps: Vec<Box<[u8]>> = path.split(|byte| *byte == b'.').map(Into::into).collect();
    if steps.len() > MAX_STEPS || !steps.iter().all(|step| Names::is_valid_name(step)) {
        return None;
    }
    match <[Box<[u8]>; 1]>::try_from(steps) {
        Ok([name]) if !is_outermost => Some(Member::ByName(name)),
        Ok([name]) => Some(Member::ByPath([name].into())),
        Err(steps) => Some(Member::ByPath(steps.into())),
    }
}

/// The members that have these names, wherever they stand.
pub(super) fn members_named(names: &[Box<[u8]>]) -> impl Iterator<Item = Member> + '_ {
    names.iter().cloned().map(Member::ByName)
}

/// Whether it is the local name of an element or an attribute.
pub(super) fn is_element(name: &[u8]) -> bool {
    Names::is_valid_name(name) && !name.contains(&b':')
}
