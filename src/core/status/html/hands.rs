//! What an operator can do on the page: forms that work without a script.

use std::fmt::Write;

use super::super::address::Query;
use super::super::pieces::Pieces;
use super::super::{shown, Notice, Report, Server, Upstream};

/// What has come of the latest of them. It stands apart from what a script keeps up to date.
pub fn notice(report: &Report<'_>, chosen: Option<&[u8]>, pieces: &mut Pieces<'_>) {
    let Some(notice) = &report.notice else {
        return;
    };
    let (class, text) = match notice {
        Notice::Done(text) => ("good", text),
        Notice::Refused(text) => ("bad", text),
        Notice::Ask(text, _) => ("look", text),
    };
    // Where the focus is, so that the next Tab leads to the buttons.
    let _ = write!(
        pieces,
        "<div class=\"notice\"><div role=\"alert\" tabindex=\"-1\" autofocus class=\"verdict {class}\"><p>{}</p>",
        shown::html(text.as_bytes())
    );
    let back = chosen.map_or_else(|| "?".to_owned(), Query::for_upstream);
    let back = shown::html(back.as_bytes());
    if let Notice::Ask(_, parameters) = notice {
        let token = report.token.as_deref().unwrap_or_default();
        pieces.push(begin(token));
        for (name, value) in parameters {
            hidden(name, value, pieces);
        }
        hidden("confirm", b"1", pieces);
        let _ = write!(
            pieces,
            "<button>Yes</button> <a class=\"button\" href=\"{back}\">No</a></form>"
        );
    } else {
        let _ = write!(pieces, "<a class=\"button\" href=\"{back}\">Close</a>");
    }
    pieces.push("</div></div>\n");
}

/// Looks up and forgets one session.
pub fn session(it: &Upstream<'_>, token: &str, pieces: &mut Pieces<'_>) {
    if !it.mode.learns() {
        return;
    }
    pieces
        .push("<div class=\"one\"><h3>One session</h3>")
        .push(begin(token));
    hidden("upstream", it.name, pieces);
    pieces.push(
        "<label>Its id <input name=\"id\" required maxlength=\"4096\" autocomplete=\"off\" \
         spellcheck=\"false\"></label><span><button name=\"action\" value=\"lookup\">Look up\
         </button> <button name=\"action\" value=\"forget\">Forget …</button></span></form></div>\n",
    );
}

/// What can be done with a server.
pub fn of_server(it: &Upstream<'_>, server: &Server<'_>, token: &str) -> String {
    let mut text = String::new();
    {
        let mut bytes = Vec::new();
        let mut out = |piece: &[u8]| bytes.extend_from_slice(piece);
        let mut pieces = Pieces::new(&mut out);
        let label = shown::html(&server.name);
        let _ = write!(
            pieces,
            "<details><summary>{}{}<span class=\"unseen\"> {label}</span></summary><div>",
            if server.drain.is_some() {
                "Put back"
            } else {
                "Drain"
            },
            if it.mode.learns() {
                ", move, forget"
            } else {
                ""
            }
        );
        drain(it, server, token, &mut pieces);
        if it.mode.learns() {
            r#move(it, server, token, &mut pieces);
            form("forget", it, server, token, &mut pieces);
            pieces.push("<button>Forget …</button><span>all of its sessions</span></form>");
        }
        pieces.push("</div></details>");
        drop(pieces);
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    text
}

fn drain(it: &Upstream<'_>, server: &Server<'_>, token: &str, pieces: &mut Pieces<'_>) {
    if server.drain.is_some() {
        form("undrain", it, server, token, pieces);
        pieces.push("<button>Put back</button><span>new sessions again</span></form>");
        return;
    }
    form("drain", it, server, token, pieces);
    pieces.push(
        "<button>Drain</button><span>no new sessions</span><label>its own go elsewhere after <input name=\"for\" size=\"6\" placeholder=\"never\" autocomplete=\"off\" \
         title=\"A time such as 30m\"></label></form>",
    );
}

fn r#move(it: &Upstream<'_>, server: &Server<'_>, token: &str, pieces: &mut Pieces<'_>) {
    form("move", it, server, token, pieces);
    pieces.push(
        "<button>Move …</button><label><input name=\"percent\" type=\"number\" min=\"1\" \
         max=\"100\" value=\"100\"> % of its sessions</label><label>to <select name=\"to\">\
         <option value=\"\">whichever the balancer chooses</option>",
    );
    for other in it.servers.iter().filter(|other| other.name != server.name) {
        let (value, name) = (shown::value(&other.name), shown::html(&other.name));
        let _ = write!(pieces, "<option value=\"{value}\">{name}</option>");
    }
    pieces.push("</select></label></form>");
}

fn form(
    action: &str,
    it: &Upstream<'_>,
    server: &Server<'_>,
    token: &str,
    pieces: &mut Pieces<'_>,
) {
    pieces.push(begin(token));
    hidden("action", action.as_bytes(), pieces);
    hidden("upstream", it.name, pieces);
    hidden("server", &server.name, pieces);
}

fn begin(token: &str) -> String {
    let token = shown::html(token.as_bytes());
    format!("<form method=\"post\"><input type=\"hidden\" name=\"token\" value=\"{token}\">")
}

fn hidden(name: &str, value: &[u8], pieces: &mut Pieces<'_>) {
    let _ = write!(
        pieces,
        "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
        shown::value(value)
    );
}
