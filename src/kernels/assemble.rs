//! From a shader file to the text that a driver compiles.
//!
//! The files are valid WGSL as they stand; `tiles_cooperative` is so for naga alone, which knows matrices of subgroups. The
//! host changes six things, the first five each on a line of its own:
//!
//! | in the file | becomes |
//! |---|---|
//! | `const NAME: T = ...;` | the same with the define's value |
//! | `alias NAME = ...;` | likewise |
//! | `fn NAME(...) -> T { ... }` on one line | the same with the define as its body |
//! | `var<storage, read>` | `var<storage, read_write>`: tensors share buffers, and a dispatch may not bind one buffer both ways |
//! | `// unroll` above `for (var i = A; i < B; i += C) {` | the body once for each value of `i`, arithmetic on constants in its indices done |
//! | `// part NAME` to `// end` | the part of that name in the file that the kernel takes its parts from (`parts.rs`) |
//!
//! Bindings that hold 16-bit floating point are converted as they are read and stored (`half.rs`), and those that are only
//! read become images where an adapter reads these faster (`images.rs`). Where dimensions are to
//! be baked in, the uniform `dims` becomes a constant of the same name. Bounds of unrolled loops are integer literals,
//! constants of the file, variables of unrolled loops around them, and arithmetic on these.

use super::fold::{Constants, Number, evaluate, fold, literal};
use super::half::store_half;
use super::images::read_images;
use super::parts::with_parts;
use super::{Dim, Kernel, source};
use crate::{Error, Result};

/// The text of `kernel`; with `dims`, they are baked in, and with `images`, what it only reads is bound as images.
pub fn assemble(kernel: &Kernel, dims: Option<&[Dim]>, images: bool) -> Result<String> {
    let fail = |message: String| Error::Shader { kernel: kernel.name.into(), message };
    let text = source(kernel.name);
    if text.is_empty() {
        return Err(fail("there is no shader of this name".into()));
    }
    let text = &match kernel.parts {
        Some(other) => with_parts(text, source(other)).map_err(fail)?,
        None => text.to_string(),
    };
    let mut used = vec![false; kernel.defines.len()];
    let (mut lines, mut read, mut before) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//") || line.trim() == "// unroll") {
        let declared = declaration(line);
        let define = kernel.defines.iter().position(|(name, _)| declared == Some(name));
        let line = match define {
            Some(index) => {
                used[index] = true;
                replace(line, &kernel.defines[index].1)
            }
            // naga has the builtins without the extension and refuses its name; browsers demand it.
            None if line.starts_with("enable subgroups") && !cfg!(target_arch = "wasm32") => continue,
            None => {
                let name = |rest: &str| rest.split(':').next().unwrap_or(rest).to_string();
                let (line, written) = match line.split_once(" // read before it is written") {
                    Some((line, _)) => (line, line.split_once("var<storage, read_write> ")),
                    None => (line, None),
                };
                before.extend(written.map(|(_, rest)| name(rest)));
                read.extend(line.split_once("var<storage, read> ").map(|(_, rest)| name(rest)));
                line.replace("var<storage, read>", "var<storage, read_write>")
            }
        };
        match dims {
            Some(dims) if line.contains("var<uniform> dims") => lines.push(baked(text, dims).map_err(fail)?),
            _ => lines.push(line),
        }
    }
    if let Some(index) = used.iter().position(|used| !used) {
        return Err(fail(format!("the file declares no {}", kernel.defines[index].0)));
    }
    if kernel.half != 0 {
        let text = store_half(&lines.join("\n"), kernel.half).map_err(fail)?;
        lines = text.lines().map(str::to_string).collect();
    } else if kernel.rounds() {
        lines.insert(0, "enable f16;".into());
    }
    let constants: Constants = lines.iter().filter_map(|line| constant(line)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut out = String::with_capacity(4 * text.len());
    unroll(&lines, &constants, &Constants::new(), &mut out).map_err(fail)?;
    if images { read_images(&out, &read, &before).map_err(fail) } else { Ok(out) }
}

/// The name that a line declares, if it is one of those that the host may replace.
fn declaration(line: &str) -> Option<&str> {
    let rest = ["const ", "alias ", "fn "].iter().find_map(|keyword| line.strip_prefix(keyword))?;
    if line.starts_with("fn ") && !line.ends_with('}') {
        return None;
    }
    rest.split([':', ' ', '(', '=']).next()
}

fn replace(line: &str, value: &str) -> String {
    if line.starts_with("fn ") {
        let head = line.find('{').map_or(line, |brace| &line[..brace]);
        return format!("{head}{{ {value} }}");
    }
    let head = line.find('=').map_or(line, |equals| &line[..equals]);
    format!("{head}= {value};")
}

/// Name and value of an integer constant.
fn constant(line: &str) -> Option<(String, Number)> {
    let (name, rest) = line.strip_prefix("const ")?.split_once(':')?;
    let (kind, value) = rest.split_once('=')?;
    let value = literal(value.split(';').next()?.trim())?.value;
    let kind = if kind.contains("u32") { 'u' } else { 'i' };
    Some((name.trim().into(), Number { value, kind }))
}

/// The uniform block as a constant: its fields in order, vectors taking as many numbers as they have components.
fn baked(text: &str, dims: &[Dim]) -> Result<String, String> {
    let body = text.split_once("struct Dims {").and_then(|(_, rest)| rest.split_once('}')).ok_or("no struct Dims")?.0;
    let mut numbers = dims.iter().map(|dim| match dim {
        Dim::U(value) => format!("{value}u"),
        Dim::I(value) => format!("{value}i"),
        Dim::F(value) => format!("{value:?}f"),
    });
    let mut take = |count: usize| -> Result<String, String> {
        let taken: Vec<String> = numbers.by_ref().take(count).collect();
        if taken.len() == count { Ok(taken.join(", ")) } else { Err("Dims has more fields than the host gives".into()) }
    };
    let mut fields = Vec::new();
    for field in body.lines().filter_map(|line| line.split("//").next()?.split_once(':')) {
        let kind = field.1.trim().trim_end_matches(',');
        fields.push(if kind.starts_with("vec4") { format!("{kind}({})", take(4)?) } else { take(1)? });
    }
    Ok(format!("const dims = Dims({});", fields.join(", ")))
}

/// Writes `lines`, unrolling marked loops, the outer ones first. `known` are the loop variables around them; within
/// loops also names that `let` gives to numbers.
fn unroll(lines: &[&str], constants: &Constants, known: &Constants, out: &mut String) -> Result<(), String> {
    let mut known = known.clone();
    let unrolled = !known.is_empty();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim() != "// unroll" {
            let line = if unrolled { fold(lines[at], &known, constants) } else { lines[at].to_string() };
            match line.trim().strip_prefix("let ").and_then(|rest| rest.strip_suffix(';')?.split_once(" = ")) {
                Some((name, value)) if unrolled && evaluate(value, constants).is_some() => {
                    known.extend(evaluate(value, constants).map(|number| (name.to_string(), number)));
                }
                _ => {
                    out.push_str(line.trim());
                    out.push('\n');
                }
            }
            at += 1;
            continue;
        }
        let head = lines.get(at + 1).ok_or("nothing follows an unroll mark")?;
        let names: Constants = constants.iter().chain(&known).map(|(name, number)| (name.clone(), *number)).collect();
        let (name, values) = loop_head(head, &names).ok_or_else(|| format!("cannot unroll {}", head.trim()))?;
        let indent = head.len() - head.trim_start().len();
        let end = (at + 2..lines.len())
            .find(|&i| lines[i].trim() == "}" && lines[i].len() - lines[i].trim_start().len() == indent)
            .ok_or_else(|| format!("the loop {} has no end", head.trim()))?;
        // A body that declares nothing needs no scope of its own.
        let scoped =
            lines[at + 2..end].iter().any(|line| ["let ", "var "].iter().any(|word| line.trim().starts_with(word)));
        for value in values {
            known.insert(name.into(), value);
            out.push_str(if scoped { "{\n" } else { "" });
            unroll(&lines[at + 2..end], constants, &known, out)?;
            out.push_str(if scoped { "}\n" } else { "" });
        }
        known.remove(name);
        at = end + 1;
    }
    Ok(())
}

/// Variable and values of `for (var i = A; i < B; i += C) {`.
fn loop_head<'a>(head: &'a str, constants: &Constants) -> Option<(&'a str, Vec<Number>)> {
    let inner = head.trim().strip_prefix("for (var ")?.strip_suffix(") {")?;
    let mut parts = inner.split(';');
    let (name, start) = parts.next()?.split_once(" = ")?;
    let bound = parts.next()?.trim().strip_prefix(name)?.trim().strip_prefix('<')?;
    let step = parts.next()?.trim().strip_prefix(name)?.trim().strip_prefix("+=")?;
    let [start, bound, step] = [evaluate(start, constants)?, evaluate(bound, constants)?, evaluate(step, constants)?];
    let kind = if start.kind == 'u' { 'u' } else { 'i' };
    let values = (start.value..bound.value).step_by(step.value.try_into().ok()?);
    Some((name, values.map(|value| Number { value, kind }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_loops_unroll() {
        let lines = [
            "// unroll",
            "for (var i = 0u; i < N; i += 1u) {",
            "  // unroll",
            "  for (var j = 1u; j < 5u; j += 2u) {",
            "    f(i, j);",
            "  }",
            "}",
            "g();",
        ];
        let mut out = String::new();
        let two = Number { value: 2, kind: 'u' };
        unroll(&lines, &Constants::from([("N".into(), two)]), &Constants::new(), &mut out).unwrap();
        assert_eq!(out, "f(0u, 1u);\nf(0u, 3u);\nf(1u, 1u);\nf(1u, 3u);\ng();\n");
    }

    #[test]
    fn declarations_are_replaced_and_unknown_ones_refused() {
        let text = assemble(&Kernel::new("elementwise").define("apply", "return -a;"), None, false).unwrap();
        assert!(text.contains("fn apply(a: vec4<f32>, b: vec4<f32>, scale: f32) -> vec4<f32> { return -a; }"));
        assert!(!text.contains("var<storage, read>"));
        let error = assemble(&Kernel::new("elementwise").define("NOTHING", 1), None, false).unwrap_err();
        assert!(error.to_string().contains("NOTHING"), "{error}");
    }

    #[test]
    fn dimensions_are_baked() {
        let text = assemble(&Kernel::new("fill"), Some(&[Dim::U(7), Dim::F(0.5)]), false).unwrap();
        assert!(text.contains("const dims = Dims(7u, 0.5f);"), "{text}");
        assert!(assemble(&Kernel::new("fill"), Some(&[Dim::U(7)]), false).is_err());
    }
}
