//! Bindings that hold 16-bit floating point.
//!
//! Kernels are written for f32 throughout. Where a tensor is stored as f16, each read of its binding is converted as it is
//! read, and each number as it is stored:
//!
//! ```text
//! var<storage, read_write> x: array<vec4<f32>>;    ->    var<storage, read_write> x: array<vec4<f16>>;
//! let v = x[i / 4u];                               ->    let v = vec4<f32>(x[i / 4u]);
//! x[at] = v * scale;                               ->    x[at] = vec4<f16>(v * scale);
//! ```

use super::accesses::{Binding, resolve, rewrite};

/// `text` with those storage bindings stored as f16 whose bits are set in `half`, the first binding's the lowest.
pub(super) fn store_half(text: &str, half: u32) -> Result<String, String> {
    let mut bindings = vec![];
    let mut out = String::from("enable f16;\n");
    let mut count = 0;
    for line in text.lines() {
        let declared = line.split_once("var<storage, read_write> ").and_then(|(_, rest)| rest.split_once(": array<"));
        match declared {
            Some((name, element)) => {
                let written = element.strip_suffix(">;").ok_or_else(|| format!("cannot read {line}"))?;
                if half >> count & 1 == 1 {
                    let element = resolve(text, written);
                    if !["f32", "vec2<f32>", "vec4<f32>"].contains(&element.as_str()) {
                        return Err(format!("{name} holds {element}, which has no form of 16 bits"));
                    }
                    let head = &line[..line.len() - written.len() - 2];
                    out.push_str(&format!("{head}{}>;\n", narrow(&element)));
                    bindings.push(Binding { name, element });
                } else {
                    out.push_str(line);
                    out.push('\n');
                }
                count += 1;
            }
            None => rewrite(line, &bindings, &converted, &mut out)?,
        }
    }
    Ok(out)
}

/// A read of a binding, or a store to it.
fn converted(binding: &Binding, index: &str, stored: Option<&str>) -> String {
    let Binding { name, element } = binding;
    match stored {
        None => format!("{element}({name}[{index}])"),
        Some(value) => format!("{name}[{index}] = {}({value});", narrow(element)),
    }
}

fn narrow(element: &str) -> String {
    element.replace("f32", "f16")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
alias T = vec4<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<T>;
fn f(i: u32) -> f32 { return x[i + u32(x[0])] * w[i] + box.x[i] + max[i]; }
y[at[0]] = T(x[3], 1.0, v.y, 0.0); if y[2].x == 0.0 { y[1] = T(); }
";

    #[test]
    fn reads_and_stores_of_some_bindings_are_converted() {
        let expected = "\
enable f16;
alias T = vec4<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f16>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f16>>;
fn f(i: u32) -> f32 { return f32(x[i + u32(f32(x[0]))]) * w[i] + box.x[i] + max[i]; }
y[at[0]] = vec4<f16>(T(f32(x[3]), 1.0, v.y, 0.0)); if vec4<f32>(y[2]).x == 0.0 { y[1] = vec4<f16>(T()); }
";
        assert_eq!(store_half(TEXT, 0b101).unwrap(), expected);
    }

    #[test]
    fn what_has_no_such_form_is_refused() {
        let words = TEXT.replace("alias T = vec4<f32>", "alias T = vec4<u64>");
        assert!(store_half(&words, 0b100).unwrap_err().contains("vec4<u64>"));
        assert!(store_half(&words, 0b001).is_ok());
        let twice = TEXT.replace("y[1] = T()", "y[1] += T()");
        assert!(store_half(&twice, 0b100).unwrap_err().contains("at once"));
    }
}
