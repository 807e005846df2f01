//! Parts of a shader that another file has in a form of its own.
//!
//! ```text
//! // part NAME
//! ...
//! // end
//! ```
//!
//! stands in both files. What the other file enables, the shader then does too.

/// `text` with each of its parts as `other` has it.
pub(super) fn with_parts(text: &str, other: &str) -> Result<String, String> {
    let mut out: Vec<&str> = other.lines().filter(|line| line.starts_with("enable ")).collect();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        match name(line) {
            Some(name) => {
                let mut replaced = lines.by_ref().take_while(|line| line.trim() != "// end");
                replaced.by_ref().for_each(drop);
                out.extend(part(other, name).ok_or_else(|| format!("there is no other part {name}"))?);
            }
            None => out.push(line),
        }
    }
    Ok(out.join("\n"))
}

/// The name of the part that begins with this line.
fn name(line: &str) -> Option<&str> {
    line.trim().strip_prefix("// part ")
}

/// The lines of a part.
fn part<'a>(text: &'a str, wanted: &str) -> Option<impl Iterator<Item = &'a str>> {
    let mut lines = text.lines();
    lines.by_ref().find(|line| name(line) == Some(wanted))?;
    Some(lines.take_while(|line| line.trim() != "// end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn f() {\n  // part sum\n  x += 1;\n  // end\n  g();\n}";

    #[test]
    fn parts_are_exchanged() {
        let other = "enable f16;\nfn h() {\n  // part sum\n  y += 2;\n  z();\n  // end\n}";
        assert_eq!(with_parts(TEXT, other).unwrap(), "enable f16;\nfn f() {\n  y += 2;\n  z();\n  g();\n}");
        assert!(with_parts(TEXT, "// part product\n// end").unwrap_err().contains("sum"));
    }
}
