//! Bindings that are read as images.
//!
//! Mesa's driver for processors loads from a storage buffer lane by lane, and puts each number into its vector through the
//! stack where the processor has no AVX-512: 210 ns for a vec4 in eight lanes. It reads images by gathers, in 6 ns. So what
//! a kernel only reads is bound there as an image of the same memory (`gpu/images.rs`):
//!
//! ```text
//! var<storage, read> x: array<vec4<f32>>;    ->    var x: texture_storage_2d<rgba32float, read>;
//! let v = x[i / 4u];                         ->    let v = read_x(u32(i / 4u));
//! ```
//!
//! An element is a texel, rows of [`ROW`] follow one another. Elements of 64 bits are two texels.
//!
//! What a kernel both reads and writes stays a buffer. Where the file says of a binding `// read before it is written`, so of
//! each element by the one invocation that writes it, reads go to an image beside it, at [`BESIDE`] and its own number.

use super::accesses::{Binding, resolve, rewrite};
use std::cell::Cell;

/// Texels of a row, a power of two: rows of the widest are 64 KiB.
pub const ROW: u32 = 4096;

/// Where images of bindings stand that are written, too.
pub const BESIDE: usize = 16;

/// An image in place of an element type: its format, the type of its texels, and how an element `i` is made of them.
struct Image {
    element: &'static str,
    format: &'static str,
    texel: &'static str,
    read: &'static str,
}

const fn image(element: &'static str, format: &'static str, texel: &'static str, read: &'static str) -> Image {
    Image { element, format, texel, read }
}

const WIDE: &str = "let p = texel(2u * i); let q = texel(2u * i + 1u); return vec4<u64>(u64(p.x) | (u64(p.y) << 32u), \
    u64(p.z) | (u64(p.w) << 32u), u64(q.x) | (u64(q.y) << 32u), u64(q.z) | (u64(q.w) << 32u));";

const IMAGES: [Image; 7] = [
    image("f32", "r32float", "vec4<f32>", "return texel(i).x;"),
    image("vec2<f32>", "rg32float", "vec4<f32>", "return texel(i).xy;"),
    image("vec4<f32>", "rgba32float", "vec4<f32>", "return texel(i);"),
    image("u32", "r32uint", "vec4<u32>", "return texel(i).x;"),
    image("vec2<u32>", "rg32uint", "vec4<u32>", "return texel(i).xy;"),
    image("vec4<u32>", "rgba32uint", "vec4<u32>", "return texel(i);"),
    image("vec4<u64>", "rgba32uint", "vec4<u32>", WIDE),
];

/// `text` with reads of those of the storage bindings `read` and `before` as reads of images whose elements have a format;
/// those of `before` are written as well.
pub(super) fn read_images(text: &str, read: &[String], before: &[String]) -> Result<String, String> {
    let (mut bindings, mut out) = (vec![], String::with_capacity(text.len()));
    let among = |names: &[String], name: &str| names.iter().any(|other| other == name);
    for line in text.lines() {
        let declared = line.split_once("var<storage, read_write> ").and_then(|(head, rest)| {
            let (name, element) = rest.split_once(": array<")?;
            Some((head, name, resolve(text, element.split_once(">;")?.0)))
        });
        let wanted = |name: &str| among(read, name) || (among(before, name) && is_read(text, name));
        let found = declared.filter(|(_, name, _)| wanted(name)).and_then(|declared| {
            let image = IMAGES.iter().find(|image| image.element == declared.2)?;
            Some((declared, image))
        });
        let Some(((head, name, element), Image { format, texel, read: element_of, .. })) = found else {
            rewrite(line, &bindings, &form, &mut out)?;
            continue;
        };
        let mut head = head.to_string();
        if among(before, name) {
            out.push_str(&format!("{line}\n"));
            let number = number(line).ok_or_else(|| format!("{line} has no number"))?;
            head = format!("@group(0) @binding({}) ", BESIDE + number);
        }
        let element_of = element_of.replace("texel(", &format!("texel_{name}("));
        out.push_str(&format!(
            "{head}var image_{name}: texture_storage_2d<{format}, read>;\n\
             fn texel_{name}(i: u32) -> {texel} {{ return textureLoad(image_{name}, vec2<u32>(i % {ROW}u, i / {ROW}u)); }}\n\
             fn read_{name}(i: u32) -> {element} {{ {element_of} }}\n"
        ));
        bindings.push(Binding { name, element });
    }
    Ok(out)
}

fn form(binding: &Binding, index: &str, stored: Option<&str>) -> String {
    match stored {
        None => format!("read_{}(u32({index}))", binding.name),
        Some(value) => format!("{}[{index}] = {value};", binding.name),
    }
}

/// Whether `text` reads of the binding `name`.
fn is_read(text: &str, name: &str) -> bool {
    let (found, bindings) = (Cell::new(false), [Binding { name, element: String::new() }]);
    let form = |_: &Binding, _: &str, stored: Option<&str>| {
        found.set(found.get() || stored.is_none());
        String::new()
    };
    let mut out = String::new();
    // What cannot be rewritten is reported when that is tried.
    text.lines().for_each(|line| rewrite(line, &bindings, &form, &mut out).unwrap_or_default());
    found.get()
}

fn number(line: &str) -> Option<usize> {
    line.strip_prefix("@group(0) @binding(")?.split_once(')')?.0.parse().ok()
}

/// The format of the image that a line of a shader declares, and its binding.
pub fn declared(line: &str) -> Option<(usize, &str)> {
    Some((number(line)?, line.split_once("texture_storage_2d<")?.1.split_once(',')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
alias T = vec4<u64>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<T>;
@group(0) @binding(3) var<storage, read_write> h: array<f16>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // read before it is written
@group(0) @binding(5) var<storage, read_write> z: array<f32>; // read before it is written
y[i] = x[u32(x[2]) + i] * f32(w[0].x) * f32(h[i]) * y[i];
z[i] = y[i + 1u];
";

    #[test]
    fn what_is_read_becomes_images_where_there_is_a_format() {
        let [read, before] = [&["x", "w", "h"][..], &["y", "z"]].map(|names| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            names
        });
        let text = read_images(TEXT, &read, &before).unwrap();
        let product =
            "y[i] = read_x(u32(u32(read_x(u32(2))) + i)) * f32(read_w(u32(0)).x) * f32(h[i]) * read_y(u32(i));";
        assert!(text.contains(product), "{text}");
        assert!(text.contains("\nz[i] = read_y(u32(i + 1u));\n"), "{text}");
        assert!(text.contains("fn read_w(i: u32) -> vec4<u64> { let p = texel_w(2u * i);"), "{text}");
        assert!(text.contains("@binding(4) var<storage, read_write> y: array<f32>;"), "{text}");
        let images: Vec<_> = text.lines().filter_map(declared).collect();
        assert_eq!(images, [(1, "r32float"), (2, "rgba32uint"), (20, "r32float")]);
    }
}
