//! Activations as WGSL: written once here, put into the kernels that apply them.

use super::{Dim, Kernel};
use crate::graph::{Epilogue, Unary};
use std::f32::consts::FRAC_2_SQRT_PI;

/// `kernel` with what an epilogue asks for: the functions `activate` and `derivative`, of numbers or of vectors, and the
/// constant `MASK`.
pub fn with_epilogue(kernel: Kernel, epilogue: &Epilogue, vector: bool) -> Kernel {
    let kernel = match epilogue.activation {
        Some(activation) => kernel.define("activate", format!("let a = v; {}", body(activation, vector))),
        None => kernel,
    };
    with_mask(kernel, epilogue, vector)
}

/// [`with_epilogue`] for kernels that take a long time to compile: whether there is a bias and a ReLU are numbers
/// (`dims.bias`, `dims.relu`), so that layers share a pipeline. Other activations are put into the text.
pub fn with_runtime_epilogue(kernel: Kernel, epilogue: &Epilogue) -> Kernel {
    match epilogue.activation {
        None | Some(Unary::Relu) => {
            let relu = "return select(v, vec4<f32>(0.0), (v < vec4<f32>(0.0)) & vec4<bool>(dims.relu != 0u));";
            with_mask(kernel.define("activate", relu), epilogue, true)
        }
        Some(_) => with_epilogue(kernel, epilogue, true),
    }
}

/// The last two numbers of such a kernel's dimensions.
pub fn runtime_epilogue(epilogue: &Epilogue, bias: bool) -> [Dim; 2] {
    [Dim::U(bias.into()), Dim::U((epilogue.activation == Some(Unary::Relu)).into())]
}

/// The mask alone, for kernels that have no activation of their own.
pub fn with_mask(kernel: Kernel, epilogue: &Epilogue, vector: bool) -> Kernel {
    match &epilogue.mask {
        Some(mask) => {
            let (steps, slope) = derivative(mask.activation, vector);
            kernel.define("MASK", true).define("derivative", format!("{steps}return {slope};"))
        }
        None => kernel,
    }
}

/// Statements that return the function of `a`, which may be a vector.
///
/// NaN is recognised by its bits and passed on, so that a diverged run is noticed; tanh is NaN for large arguments on
/// some drivers, so they are clamped to where it is 1 to the last bit.
pub fn body(function: Unary, vector: bool) -> String {
    let (f, uint) = if vector { ("vec4<f32>", "vec4<u32>") } else { ("f32", "u32") };
    let nan = format!("(bitcast<{uint}>(a) & {uint}(0x7fffffffu)) > {uint}(0x7f800000u)");
    match function {
        Unary::Relu => format!("return select(a, {f}(0.0), a < {f}(0.0));"),
        Unary::Relu6 => format!("return select(select(a, {f}(0.0), a < {f}(0.0)), {f}(6.0), a > {f}(6.0));"),
        Unary::LeakyRelu(slope) => format!("return select(a, a * {slope:?}, a < {f}(0.0));"),
        Unary::Tanh => format!("return select(tanh(clamp(a, {f}(-15.0), {f}(15.0))), a, {nan});"),
        Unary::Sigmoid => format!("return select(1.0 / (1.0 + exp(min(-a, {f}(88.0)))), a, {nan});"),
        Unary::Silu => format!("return a / (1.0 + exp(min(-a, {f}(88.0))));"),
        Unary::HardSwish => format!("return a * clamp(a + 3.0, {f}(0.0), {f}(6.0)) / 6.0;"),
        Unary::Gelu => format!("{}return 0.5 * a * (1.0 + e);", erf("a", f)),
        Unary::GeluTanh => format!("{}return a / (1.0 + exp(-y));", tanh_gate("a", f)),
        Unary::Scale(_) => "return a * scale;".into(),
    }
}

/// Statements that return the gradient `a` times the derivative at `b`, the function's result or its operand
/// ([`Unary::needs_operand`]), both vectors.
pub fn backward_body(function: Unary) -> String {
    match function {
        Unary::Scale(_) => "return a * scale;".into(),
        _ => masked_body(function),
    }
}

/// The same for functions that have no scale of their own.
pub fn masked_body(function: Unary) -> String {
    match function {
        // A selection, not a product: an infinite gradient behind a closed relu is 0.
        Unary::Relu => "return select(vec4<f32>(0.0), a, b > vec4<f32>(0.0));".into(),
        _ => {
            let (steps, slope) = derivative(function, true);
            format!("let v = b; {steps}return a * ({slope});")
        }
    }
}

/// The derivative of a function at its result or operand `v`: statements, and an expression after them.
///
/// `s (1 - s)` of a logistic `s` is written `e / (1 + e)^2` with `e = exp(-|v|)`: nothing is lost where `s` is near 1.
fn derivative(function: Unary, vector: bool) -> (String, String) {
    let f = if vector { "vec4<f32>" } else { "f32" };
    let gate = |y: &str| {
        format!("let e = exp(-abs({y})); let d = 1.0 / (1.0 + e); ")
            + &format!("let s = select(e * d, d, {y} >= {f}(0.0)); ")
    };
    let plain = |slope: String| (String::new(), slope);
    match function {
        Unary::Relu => plain(format!("select({f}(0.0), {f}(1.0), v > {f}(0.0))")),
        Unary::Relu6 => plain(format!("select({f}(0.0), {f}(1.0), (v > {f}(0.0)) & (v < {f}(6.0)))")),
        Unary::LeakyRelu(slope) => plain(format!("select({f}({slope:?}), {f}(1.0), v > {f}(0.0))")),
        Unary::Tanh => plain("1.0 - v * v".into()),
        Unary::Sigmoid => plain("v * (1.0 - v)".into()),
        Unary::Scale(scale) => plain(format!("{f}({scale:?})")),
        Unary::HardSwish => {
            plain(format!("select(select({f}(1.0), v / 3.0 + 0.5, v < {f}(3.0)), {f}(0.0), v <= {f}(-3.0))"))
        }
        Unary::Silu => (format!("let u = clamp(v, {f}(-88.0), {f}(88.0)); {}", gate("u")), "s + u * e * d * d".into()),
        Unary::Gelu => {
            let bell = format!("let u = clamp(v, {f}(-13.0), {f}(13.0)); let g = 0.3989423 * exp(-0.5 * u * u); ");
            (erf("v", f) + &bell, "0.5 * (1.0 + e) + u * g".into())
        }
        Unary::GeluTanh => {
            (tanh_gate("v", f) + &gate("y"), "s + u * e * d * d * 1.5957691 * (1.0 + 0.134145 * u * u)".into())
        }
    }
}

/// Statements that set `y` to `2 sqrt(2 / pi) (u + 0.044715 u^3)`, where `u` is `v` as far as that makes a difference:
/// `(1 + tanh(y / 2)) / 2 = 1 / (1 + exp(-y))`.
fn tanh_gate(v: &str, f: &str) -> String {
    format!("let u = clamp({v}, {f}(-10.0), {f}(10.0)); let y = 1.5957691 * u * (1.0 + 0.044715 * u * u); ")
}

/// Beyond this the error function is 1 in f32.
const ERF_END: f32 = 3.92;

/// `erf(z) = z P(z^2) / Q(z^2)` for `|z| <= ERF_END`, lowest power first: fitted to the error function by least squares
/// (numerator and denominator together, weighted anew until the largest relative error no longer fell), which leaves
/// 2e-8. All coefficients are positive, so that nothing cancels; in f32 the error is at most 7 units in the last place,
/// 4.1e-7 in absolute numbers (see the test).
const ERF: [[f32; 6]; 2] = [
    [FRAC_2_SQRT_PI, 0.190_402_42, 0.052_748_194, 0.003_765_443_4, 0.000_284_878_85, 2.050_119_7e-6],
    [1.0, 0.502_072_5, 0.114_107_445, 0.014_968_872, 0.001_162_493_2, 3.809_184_5e-5],
];

/// Statements that set `e` to `erf(v / sqrt(2))`.
fn erf(v: &str, f: &str) -> String {
    let horner = |c: [f32; 6]| {
        c[..5].iter().rev().fold(format!("{:?}", c[5]), |sum, coefficient| format!("({sum} * q + {coefficient:?})"))
    };
    let [p, q] = ERF.map(horner);
    format!("let z = clamp({v} * 0.70710677, {f}(-{ERF_END:?}), {f}({ERF_END:?})); let q = z * z; ")
        + &format!("let e = clamp(z * {p} / {q}, {f}(-1.0), {f}(1.0)); ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_is_right_to_a_few_units_in_the_last_place() {
        let horner = |c: [f32; 6], q: f32| c[..5].iter().rev().fold(c[5], |sum, coefficient| sum * q + coefficient);
        let (mut units, mut largest) = (0.0_f64, 0.0_f64);
        for i in 1..600_000 {
            let x = i as f32 * 1e-5;
            let z = x.min(ERF_END);
            let [p, q] = ERF.map(|c| horner(c, z * z));
            let found = f64::from((z * p / q).min(1.0));
            let exact = crate::reference::erf(f64::from(x));
            let unit = f64::from(f32::EPSILON) * 2.0_f64.powi(exact.log2().floor() as i32);
            units = units.max((found - exact).abs() / unit);
            largest = largest.max((found - exact).abs());
        }
        assert!(units <= 7.0 && largest <= 4.1e-7, "{units} units, {largest:e}");
    }
}
