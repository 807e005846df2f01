//! Activations as WGSL: written once here, put into the kernels that apply them.

use super::Kernel;
use crate::graph::{Epilogue, Unary};

/// The body of `fn activate(v: f32, kind: i32) -> f32`.
///
/// NaN is recognised by its bits and passed on, so that a diverged run is noticed; tanh is NaN for large arguments on
/// some drivers, so they are clamped to where it is 1 to the last bit.
const ACTIVATE: &str = "\
switch kind { \
case 1: { return select(v, 0.0, v < 0.0); } \
case 2: { return select(tanh(clamp(v, -15.0, 15.0)), v, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u); } \
case 3: { return select(1.0 / (1.0 + exp(min(-v, 88.0))), v, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u); } \
default: { return v; } }";

/// The body of `fn derivative(v: f32, kind: i32) -> f32`, from the activation's result `v`.
const DERIVATIVE: &str = "\
switch kind { \
case 1: { return select(0.0, 1.0, v > 0.0); } \
case 2: { return 1.0 - v * v; } \
case 3: { return v * (1.0 - v); } \
default: { return 1.0; } }";

/// `kernel` with the activations that it can apply.
pub fn with_activations(kernel: Kernel) -> Kernel {
    with_derivatives(kernel).define("activate", ACTIVATE)
}

/// `kernel` with their derivatives only.
pub fn with_derivatives(kernel: Kernel) -> Kernel {
    kernel.define("derivative", DERIVATIVE)
}

/// The number by which kernels know an activation; 0 is none.
pub fn code(activation: Option<Unary>) -> i32 {
    match activation {
        None | Some(Unary::Scale(_)) => 0,
        Some(Unary::Relu) => 1,
        Some(Unary::Tanh) => 2,
        Some(Unary::Sigmoid) => 3,
    }
}

/// Activation and mask numbers of an epilogue.
pub fn codes(epilogue: &Epilogue) -> [i32; 2] {
    [code(epilogue.activation), code(epilogue.mask.as_ref().map(|mask| mask.activation))]
}

/// The function itself, for an operand `v` that may be a vector.
pub fn expression(function: Unary, vector: bool) -> String {
    let (float, uint) = if vector { ("vec4<f32>", "vec4<u32>") } else { ("f32", "u32") };
    let nan = format!("(bitcast<{uint}>(a) & {uint}(0x7fffffffu)) > {uint}(0x7f800000u)");
    match function {
        Unary::Relu => format!("select(a, {float}(0.0), a < {float}(0.0))"),
        Unary::Tanh => format!("select(tanh(clamp(a, {float}(-15.0), {float}(15.0))), a, {nan})"),
        Unary::Sigmoid => format!("select(1.0 / (1.0 + exp(min(-a, {float}(88.0)))), a, {nan})"),
        Unary::Scale(_) => "a * scale".into(),
    }
}

/// The gradient `a` times the derivative at the function's result `b`.
pub fn backward_expression(function: Unary) -> &'static str {
    match function {
        Unary::Relu => "select(vec4<f32>(0.0), a, b > vec4<f32>(0.0))",
        Unary::Tanh => "a * (1.0 - b * b)",
        Unary::Sigmoid => "a * b * (1.0 - b)",
        Unary::Scale(_) => "a * scale",
    }
}
