//! Words that are not parameters here, but mean something elsewhere: to NGINX Plus or Angie, or as
//! a directive, before which the `;` is missing. A message that says so saves a search.

/// The names of directives that stand in an upstream block.
const DIRECTIVES: [&[u8]; 22] = [
    b"server",
    b"zone",
    b"state",
    b"hash",
    b"ip_hash",
    b"least_conn",
    b"least_time",
    b"random",
    b"fair",
    b"keepalive",
    b"keepalive_requests",
    b"keepalive_time",
    b"keepalive_timeout",
    b"ntlm",
    b"queue",
    b"resolver",
    b"resolver_timeout",
    b"sticky",
    b"sticky_secret",
    b"sticky_strict",
    b"upstream",
    b"health_check",
];

/// Whether a `;` may be missing before the word.
pub(super) fn is_directive(word: &[u8]) -> bool {
    DIRECTIVES.contains(&word)
}

/// What to do about a word that is no parameter; empty where nothing is known of it.
pub(super) fn hint(word: &[u8]) -> &'static str {
    let name = word.split(|&byte| byte == b'=').next().unwrap_or_default();
    match name {
        b"on" if word == name => "\"sticky;\" alone turns it on",
        b"off" if word == name => "it is off without the directive",
        b"sync" => {
            "which is of NGINX Plus: sessions are shared by the workers of one nginx, leave it out"
        }
        b"remote_action" | b"remote_result" | b"remote_uri" => {
            "which is of Angie: sessions are kept by nginx itself, leave it out"
        }
        b"max-age" => "which is of Angie, expected \"expires=TIME\"",
        b"max_sessions" if word != name => {
            "which is of \"mode=query\" and \"sticky learn\": no other mode counts sessions"
        }
        b"sid" => "which is of Angie, as a parameter of \"server\", expected \"route=\" there",
        _ if is_directive(word) => "is a \";\" missing before it?",
        _ => "",
    }
}
