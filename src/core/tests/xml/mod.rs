//! XML as quick-xml reads it. The fuzz target has it, too.

use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesRef, Event};
use quick_xml::Reader;

/// An element that is open.
struct Open {
    name: Option<usize>,
    text: Vec<u8>,
    /// It has nothing but text.
    is_text: bool,
}

/// The contents and attributes of these names, each with the index of its name, up to a document
/// type. `None`: the document is not well-formed, as far as that matters, or not read alike.
pub fn values(body: &[u8], names: &[&[u8]]) -> Option<Vec<(usize, Vec<u8>)>> {
    let index = |name: &[u8]| names.iter().position(|own| *own == name);
    let body = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(body);
    reader.config_mut().check_end_names = true;
    reader.config_mut().check_comments = true;
    let mut open: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let name = start.name();
                is_name(name.as_ref()).then_some(())?;
                if let Some(around) = open.last_mut() {
                    around.is_text = false;
                }
                open.push(Open {
                    name: index(name.local_name().as_ref()),
                    text: Vec::new(),
                    is_text: true,
                });
                attributes(start.attributes(), &index, &mut found)?;
            }
            Event::Empty(start) => {
                is_name(start.name().as_ref()).then_some(())?;
                if let Some(around) = open.last_mut() {
                    around.is_text = false;
                }
                attributes(start.attributes(), &index, &mut found)?;
            }
            Event::End(_) => {
                let closed = open.pop()?;
                if let Some(name) = closed.name.filter(|_| closed.is_text) {
                    found.push((name, closed.text.trim_ascii().to_vec()));
                }
            }
            Event::Text(text) => {
                let text = text.decode().ok()?;
                is_allowed(text.as_bytes()).then_some(())?;
                if let Some(around) = open.last_mut() {
                    around.text.extend_from_slice(text.as_bytes());
                }
            }
            Event::GeneralRef(reference) => {
                let text = character(&reference);
                is_allowed(text.as_deref().unwrap_or_default().as_bytes()).then_some(())?;
                match (open.last_mut(), text) {
                    (Some(around), Some(text)) => around.text.extend_from_slice(text.as_bytes()),
                    // An entity that is not known.
                    (Some(around), None) => around.is_text = false,
                    (None, _) => {}
                }
            }
            Event::CData(text) => {
                if let Some(around) = open.last_mut() {
                    around.text.extend_from_slice(&text);
                }
            }
            Event::DocType(_) => break,
            Event::Eof if open.is_empty() => break,
            Event::Eof => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    found.retain(|(_, value)| !value.is_empty());
    Some(found)
}

/// What a reference stands for, where it is known without a document type.
fn character(reference: &BytesRef<'_>) -> Option<String> {
    if reference.is_char_ref() {
        let character = reference.resolve_char_ref().ok()??;
        return Some(character.to_string());
    }
    let name = reference.decode().ok()?;
    resolve_predefined_entity(&name).map(str::to_owned)
}

fn attributes(
    attributes: Attributes<'_>,
    index: &impl Fn(&[u8]) -> Option<usize>,
    found: &mut Vec<(usize, Vec<u8>)>,
) -> Option<()> {
    for attribute in attributes {
        let attribute = attribute.ok()?;
        let name = attribute.key.as_ref();
        is_name(name).then_some(())?;
        if name.starts_with(b"xmlns:") {
            continue;
        }
        if let Some(name) = index(attribute.key.local_name().as_ref()) {
            // Tabs and ends of lines stay what they are.
            if let Ok(value) = unescape(std::str::from_utf8(&attribute.value).ok()?) {
                is_allowed(value.as_bytes()).then_some(())?;
                found.push((name, value.as_bytes().trim_ascii().to_vec()));
            }
        }
    }
    Some(())
}

fn is_name(name: &[u8]) -> bool {
    let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b":_.-".contains(byte);
    !name.is_empty() && name.len() < 200 && name.iter().all(is_in_name)
}

/// quick-xml lets references stand for characters that XML has not.
fn is_allowed(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'))
}
