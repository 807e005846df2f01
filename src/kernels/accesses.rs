//! Reads of storage bindings and stores to them, found in the text of a shader and put otherwise.

/// A storage binding with its element type, aliases followed.
pub struct Binding<'a> {
    pub name: &'a str,
    pub element: String,
}

/// What becomes of an access: to which binding, at which index, and what is stored if it is a store.
pub type Form<'a> = &'a dyn Fn(&Binding, &str, Option<&str>) -> String;

/// The type that `name` stands for.
pub fn resolve(text: &str, name: &str) -> String {
    let alias = text.lines().find_map(|line| line.strip_prefix("alias ")?.strip_prefix(name)?.strip_prefix(" = "));
    alias.map_or(name.into(), |value| resolve(text, value.split(';').next().unwrap_or(value).trim()))
}

/// Appends a line with its accesses to `bindings` in another form; a store ends with its semicolon.
pub fn rewrite(line: &str, bindings: &[Binding], form: Form, out: &mut String) -> Result<(), String> {
    let bytes = line.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut at = 0;
    while at < line.len() {
        let starts = at == 0 || !(is_name(bytes[at - 1]) || bytes[at - 1] == b'.');
        let end = (at..line.len()).find(|&end| !is_name(bytes[end])).unwrap_or(line.len());
        let found = bindings.iter().find(|binding| starts && binding.name == &line[at..end]);
        let Some(binding) = found.filter(|_| line[end..].starts_with('[')) else {
            let next = end.max(at + 1);
            out.push_str(&line[at..next]);
            at = next;
            continue;
        };
        let close = closing(&line[end..]).ok_or_else(|| format!("{}[ has no end in {line}", binding.name))?;
        let mut index = String::new();
        rewrite(&line[end + 1..end + close], bindings, form, &mut index)?;
        let index = index.trim_end();
        let rest = &line[end + close + 1..];
        let Some(value) = rest.strip_prefix(" = ") else {
            if [" +=", " -=", " *=", " /="].iter().any(|operator| rest.starts_with(operator)) {
                return Err(format!("{line} reads and stores at once"));
            }
            out.push_str(&form(binding, index, None));
            at = end + close + 1;
            continue;
        };
        let semicolon = value.find(';').ok_or_else(|| format!("the store {line} does not end on its line"))?;
        let mut stored = String::new();
        rewrite(&value[..semicolon], bindings, form, &mut stored)?;
        out.push_str(&form(binding, index, Some(stored.trim_end())));
        at = line.len() - value.len() + semicolon + 1;
    }
    out.push('\n');
    Ok(())
}

/// Where the bracket closes with which `text` begins.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, character)| {
        depth += match character {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        (depth == 0).then_some(at)
    })
}
